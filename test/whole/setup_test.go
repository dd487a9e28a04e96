package whole

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/test/suite"
)

// patience bounds a wait for what must happen. It is long because a machine
// under load is slow; what goes well takes none of it.
const patience = 90 * time.Second

var binDir string // set once by TestMain

// TestMain builds the binaries that are tested, unless WHOLE_BIN names a folder
// that has them.
func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if binDir = os.Getenv("WHOLE_BIN"); binDir != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "postcote-bin")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	binDir = dir
	cmd := exec.Command("go", "build", "-o", dir+"/", "../../cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Printf("go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func start(t *testing.T, o suite.Options) *suite.Suite {
	t.Helper()
	// t.TempDir is too long for the path of a Unix socket.
	dir, err := os.MkdirTemp("", "pc")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Bin = dir, binDir
	s, err := suite.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { discard(t, s) })
	return s
}

// discard ends a suite, and shows its logs if the test failed.
func discard(t *testing.T, s *suite.Suite) {
	s.Stop()
	if t.Failed() {
		for _, n := range suite.Names {
			b, _ := os.ReadFile(s.Procs[n].LogFile())
			t.Logf("log of %s:\n%s", n, last(string(b), 5000))
		}
	}
	os.RemoveAll(s.Dir)
}

func last(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

func trust(t *testing.T, s *suite.Suite) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(s.Path("etc/tls/cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// send gives one message to port 25 and returns the server's verdict.
func send(addr, from, to, body string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.CommandTimeout, c.SubmissionTimeout = patience, patience
	return c.SendMail(from, []string{to}, strings.NewReader(body))
}

// submit sends as an authenticated user over implicit TLS.
func submit(t *testing.T, s *suite.Suite, a suite.Account, to, body string) error {
	t.Helper()
	c, err := smtp.DialTLS(s.Addr(465), trust(t, s))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", a.Name, a.Password)); err != nil {
		return err
	}
	return c.SendMail(a.Name, []string{to}, strings.NewReader(body))
}

func login(t *testing.T, s *suite.Suite, a suite.Account) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(s.Addr(993), &imapclient.Options{TLSConfig: trust(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(a.Name, a.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

func letter(to, mark string) string {
	return fmt.Sprintf("From: <x@elsewhere.test>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%s@elsewhere.test>\r\n\r\nbody of %s\r\n", to, mark, mark, mark)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// subjects counts the messages in an account's INBOX by subject.
func subjects(s *suite.Suite, local string) map[string]int {
	count := map[string]int{}
	for _, sub := range []string{"new", "cur"} {
		files, _ := filepath.Glob(filepath.Join(s.Home(local), "Maildir", sub, "*"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				continue
			}
			for _, line := range strings.Split(string(b), "\n") {
				if v, ok := strings.CutPrefix(line, "Subject: "); ok {
					count[strings.TrimSpace(v)]++
					break
				}
			}
		}
	}
	return count
}
