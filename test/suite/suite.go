package suite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Domain is the demo domain of a private suite.
const Domain = "demo.test"

// Account is a mailbox owner of the suite.
type Account struct{ Name, Password string }

// Options of a private suite.
type Options struct {
	Dir  string // everything lives here; made when missing
	Bin  string // folder of the binaries
	Repo string // root of the repository (deploy/ is read from it); "" finds it
	Base int    // first port: SMTP is Base+25, and so on; 0 picks a free range
	// Env is added to every process, Edit may change a configuration text
	// before it is written (by process name).
	Env      []string
	Edit     map[string]func(string) string
	AsUsers  bool // run each process under its own user (needs root and the users)
	Accounts []string
}

// Suite is a running set of processes.
type Suite struct {
	Options
	Accounts []Account
	Procs    map[string]*Process
	sockets  []*socket
	held     map[string]net.Listener // TCP sockets that no unit has taken yet, by address
}

// Names of the processes in start order.
var Names = []string{"authd", "deliverd", "imapd", "imapd-login", "mtad"}

// Start prepares the folder and starts every process; it returns when all of
// them say that they are ready, or with the first one's log when they do not.
func Start(ctx context.Context, o Options) (*Suite, error) {
	s, err := Prepare(o)
	if err != nil {
		return nil, err
	}
	for _, name := range Names {
		if err := s.Procs[name].Start(ctx); err != nil {
			s.Stop()
			return nil, err
		}
	}
	return s, nil
}

// Prepare makes folders, certificate, configurations, accounts and sockets
// without starting a process.
func Prepare(o Options) (*Suite, error) {
	var err error
	if o.Repo == "" {
		if o.Repo, err = repoRoot(); err != nil {
			return nil, err
		}
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if o.Bin, err = filepath.Abs(o.Bin); err != nil {
		return nil, err
	}
	if len(o.Accounts) == 0 {
		o.Accounts = []string{"alice", "bob"}
	}
	s := &Suite{Options: o, Procs: map[string]*Process{}, held: map[string]net.Listener{}}
	defer s.release()
	if s.Base == 0 {
		if err := s.holdPorts(); err != nil {
			return nil, err
		}
	}
	for _, step := range []func() error{s.makeFolders, s.makeCertificate, s.writeConfigs, s.makeAccounts, s.openSockets} {
		if err := step(); err != nil {
			s.closeSockets()
			return nil, err
		}
	}
	for _, name := range Names {
		s.Procs[name] = &Process{suite: s, Name: name}
	}
	return s, nil
}

// Stop ends the processes in reverse order and closes the sockets.
func (s *Suite) Stop() {
	for i := len(Names) - 1; i >= 0; i-- {
		if p := s.Procs[Names[i]]; p != nil {
			p.Stop()
		}
	}
	s.closeSockets()
}

// Addr is the loopback address of a service by its well-known port.
func (s *Suite) Addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", s.Base+port) }

// Path is a path below the suite's folder.
func (s *Suite) Path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// Home is the home folder of an account: Home("alice@demo.test").
func (s *Suite) Home(local string) string { return s.Path("mail", Domain, local) }

// ports that a suite uses, relative to its base.
var ports = []int{25, 587, 465, 143, 993, 110, 995}

// holdPorts finds a base whose ports are all free, below the kernel's range for
// outgoing connections, and listens at them at once: between a look and a later
// listen, another process that looks too would take them.
func (s *Suite) holdPorts() error {
	start := 12000 + os.Getpid()*7%16000
	for try := range 100 {
		s.Base = 10000 + (start+try*1100)%21000
		if s.hold() {
			return nil
		}
	}
	return errors.New("no free range of ports")
}

// hold listens at all ports of the base, or at none.
func (s *Suite) hold() bool {
	for _, p := range ports {
		l, err := net.Listen("tcp", s.Addr(p))
		if err != nil {
			s.release()
			return false
		}
		s.held[s.Addr(p)] = l
	}
	return true
}

// release closes what no unit has taken.
func (s *Suite) release() {
	for addr, l := range s.held {
		l.Close()
		delete(s.held, addr)
	}
}

// listen opens a TCP socket, or returns the one that is held.
func (s *Suite) listen(addr string) (net.Listener, error) {
	if l := s.held[addr]; l != nil {
		delete(s.held, addr)
		return l, nil
	}
	return net.Listen("tcp", addr)
}

func repoRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, e := os.Stat(filepath.Join(dir, "deploy", "systemd")); e == nil {
			return dir, nil
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("not inside the repository")
}

// readyTimeout is long because a machine under load is slow; it only bounds a
// failure.
const readyTimeout = 90 * time.Second
