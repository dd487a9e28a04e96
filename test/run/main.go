// Command run is `make run`: a private suite on loopback ports that a stranger
// can send mail to and read mail from, until Ctrl-C.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/postcote/postcote/test/suite"
)

func main() {
	dir := flag.String("dir", "./run", "folder of the suite")
	base := flag.Int("base", 10000, "first port")
	bin := flag.String("bin", "./bin", "folder of the binaries")
	flag.Parse()
	if err := run(*dir, *base, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

func run(dir string, base int, bin string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := suite.Start(ctx, suite.Options{Dir: dir, Base: base, Bin: bin, AsUsers: os.Getuid() == 0 && suite.UsersExist()})
	if err != nil {
		return err
	}
	defer s.Stop()
	explain(s)
	ended := make(chan string, len(suite.Names))
	for name, p := range s.Procs {
		go func() { <-p.Done(); ended <- name }()
	}
	select {
	case <-ctx.Done():
		fmt.Println("\nstopping")
		return nil
	case name := <-ended:
		if ctx.Err() != nil {
			fmt.Println("\nstopping")
			return nil
		}
		return fmt.Errorf("%s ended; see %s", name, s.Procs[name].LogFile())
	}
}

func explain(s *suite.Suite) {
	from, to := s.Accounts[0], s.Accounts[1]
	ca := s.Path("etc/tls/cert.pem")
	fmt.Printf("Postcote runs in %s\n\n", s.Dir)
	for _, a := range s.Accounts {
		fmt.Printf("account: %s password: %s\n", a.Name, a.Password)
	}
	fmt.Printf("\nsmtp %s  submission %s  submissions %s\nimap %s  imaps %s  pop3 %s  pop3s %s\n",
		s.Addr(25), s.Addr(587), s.Addr(465), s.Addr(143), s.Addr(993), s.Addr(110), s.Addr(995))
	fmt.Printf("\nSend a message from %s to %s:\n\n", from.Name, to.Name)
	fmt.Printf("  printf 'From: %s\\r\\nTo: %s\\r\\nSubject: hello\\r\\n\\r\\nIt works.\\r\\n' | \\\n", from.Name, to.Name)
	fmt.Printf("  curl -sS --cacert %s --ssl-reqd -u '%s:%s' \\\n    --mail-from %s --mail-rcpt %s -T - smtp://%s\n", ca, from.Name, from.Password, from.Name, to.Name, s.Addr(587))
	fmt.Printf("\nRead it:\n\n  curl -sS --cacert %s -u '%s:%s' 'imaps://%s/INBOX;MAILINDEX=1'\n", ca, to.Name, to.Password, s.Addr(993))
	fmt.Printf("  curl -sS --cacert %s -u '%s:%s' 'pop3s://%s/1'\n", ca, to.Name, to.Password, s.Addr(995))
	fmt.Println("\nLogs are in", s.Path("log"), "– Ctrl-C stops everything.")
}
