package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// Ours runs the named processes of a private suite, and counts the CPU and the
// memory of all of them. mtad relays what is for sink.test to an LMTP server at
// sink, and keeps what is for hold.test, whose server at hole never answers.
func Ours(name, dir, bin string, users []string, sink, hole string, processes ...string) (*Server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "users")
	if err := writeUsers(file, users); err != nil {
		return nil, err
	}
	s, err := suite.Prepare(suite.Options{Dir: dir, Bin: bin, Accounts: []string{"postmaster"}, Edit: map[string]func(string) string{
		"authd":       func(text string) string { return editAuthd(text, file) },
		"deliverd":    func(text string) string { return text + "limits: {user_concurrency: 0}\n" },
		"imapd":       func(text string) string { return text + "limits: {per_user_and_address: 0, sessions: 50000}\n" },
		"imapd-login": func(text string) string { return text + "limits: {connections: 50000, without_login: 10000}\n" },
		"mtad":        func(text string) string { return editMtad(text, sink, hole) },
	}})
	if err != nil {
		return nil, err
	}
	o := &Server{
		Name: name, LMTP: s.Path("run/deliverd/lmtp"),
		SMTP: s.Addr(25), IMAP: s.Addr(143), IMAPS: s.Addr(993), POP3: s.Addr(110),
		Home:  s.Home,
		Index: func(user string) string { return s.Path("lib/imapd/index", user+"@"+Domain) },
		Users: func(names []string) error { return writeUsers(file, names) },
		stop:  s.Stop,
	}
	o.only = func(names []string) *Server {
		some := *o
		some.roots = func() (pids []int) {
			for _, p := range names {
				if pid := s.Procs[p].PID(); pid != 0 {
					pids = append(pids, pid)
				}
			}
			return pids
		}
		return &some
	}
	o.again = func(process string) (time.Duration, error) {
		p := s.Procs[process]
		p.Stop()
		began := time.Now()
		err := p.Start(context.Background())
		return time.Since(began), err
	}
	o.command = func(process string, args ...string) *exec.Cmd {
		p := s.Procs[process]
		cmd := exec.Command(p.Binary(), append(args, "-c", s.Path("etc", process+".yaml"))...)
		cmd.Env = append(os.Environ(), "POSTCOTE_ALLOW_ROOT=1")
		return cmd
	}
	start := func() error {
		for _, p := range processes {
			if err := s.Procs[p].Start(context.Background()); err != nil {
				return err
			}
		}
		return nil
	}
	o.restart = func() error {
		for _, p := range slices.Backward(processes) {
			s.Procs[p].Stop()
		}
		return start()
	}
	if err := start(); err != nil {
		s.Stop()
		return nil, err
	}
	return o.only(processes), nil
}

// editAuthd puts a file of users in the place of authd's own store, as the peer
// has one.
func editAuthd(text, users string) string {
	head, rest, _ := strings.Cut(text, "passdb:")
	_, control, _ := strings.Cut(rest, "control:")
	_, home, _ := strings.Cut(rest, "home: ")
	home, _, _ = strings.Cut(home, "\n")
	return head + fmt.Sprintf(`passdb: [{driver: passwd-file}]
userdb: [{driver: passwd-file}]
users: {file: %s, home: %s}
passwords: {allow_schemes: [PLAIN]}
login: {failure_delay: 0s, penalty: false}
limits: {connections: 20000}
control:`, users, home) + control
}

// editMtad names the domains of the suites.
func editMtad(text, sink, hole string) string {
	head, rest, _ := strings.Cut(text, "domains:")
	_, rest, _ = strings.Cut(rest, "auth_socket:")
	text = head + fmt.Sprintf("domains:\n  mailbox: [%s]\n  tables: []\n  relay: [sink.test, hold.test]\nauth_socket:", Domain) + rest
	return text + fmt.Sprintf(`client_names: false
routes:
  sink.test: "lmtp:%s"
  hold.test: "lmtp:%s"
limits: {connections: 20000, connections_per_peer: 0}
shutdown: {timeout: 1s}
`, sink, hole)
}
