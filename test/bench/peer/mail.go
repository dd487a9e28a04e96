package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// The users of a mail server: NAME@Domain, all with one password that is stored
// readably, so that hashing does not hide the rest of a login.
const (
	Domain   = "demo.test"
	Password = "secret"
	// MailUID owns the mail and is nobody on Debian: Dovecot serves no mail as root.
	MailUID = 65534
)

func writeUsers(path string, users []string) error {
	var b strings.Builder
	for _, u := range users {
		fmt.Fprintf(&b, "%s@%s:{PLAIN}%s::::::\n", u, Domain, Password)
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// writeCertificate leaves cert.pem and key.pem (P-256) in dir.
func writeCertificate(dir string) error {
	cert, key, err := tlsx.SelfSigned([]string{"localhost", "127.0.0.1"}, time.Now(), 24*time.Hour)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o644)
}

// Mailbox makes the user's INBOX of the first n messages of a Maildir, as hard
// links, and forgets what was there before. The server must not be using it.
func (s *Server) Mailbox(user, corpus string, n int) error {
	maildir := filepath.Join(s.Home(user), "Maildir")
	if err := os.RemoveAll(s.Home(user)); err != nil {
		return err
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(maildir, sub), 0o770); err != nil {
			return err
		}
	}
	files, err := os.ReadDir(filepath.Join(corpus, "cur"))
	if err != nil {
		return err
	}
	if len(files) < n {
		return fmt.Errorf("%s has %d messages, not %d", corpus, len(files), n)
	}
	for _, f := range files[:n] {
		if err := os.Link(filepath.Join(corpus, "cur", f.Name()), filepath.Join(maildir, "cur", f.Name())); err != nil {
			return err
		}
	}
	for _, d := range []string{s.Home(user), maildir, filepath.Join(maildir, "cur"), filepath.Join(maildir, "new"), filepath.Join(maildir, "tmp")} {
		if err := chown(d); err != nil {
			return err
		}
	}
	return nil
}

// chown gives a path to the owner of the mail, if we may.
func chown(path string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chown(path, MailUID, MailUID)
}

// Drop puts a message into the user's INBOX behind the server's back, as a
// delivery agent that does not tell it does.
func (s *Server) Drop(user, name string, message []byte) error {
	maildir := filepath.Join(s.Home(user), "Maildir")
	temp := filepath.Join(maildir, "tmp", name)
	if err := os.WriteFile(temp, message, 0o660); err != nil {
		return err
	}
	if err := chown(temp); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(maildir, "new", name))
}

// Delivered counts the messages in the INBOXes' folders for new mail.
func (s *Server) Delivered(users []string) (n int) {
	for _, u := range users {
		files, _ := os.ReadDir(filepath.Join(s.Home(u), "Maildir/new")) // not there before the first message
		n += len(files)
	}
	return n
}

// RaiseFiles lets this process and those it starts open n files, or as many as
// it may, and returns how many that are.
func RaiseFiles(n uint64) (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	if l.Cur >= n {
		return l.Cur, nil
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: max(n, l.Max)}); err == nil {
		return n, nil
	}
	return l.Max, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: l.Max, Max: l.Max})
}
