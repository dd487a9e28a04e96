//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// fill delivers n messages to alice and waits until they are in her INBOX.
func fill(t *testing.T, s *suite.Suite, n int) {
	t.Helper()
	for i := range n {
		mark := fmt.Sprintf("mark-%d-", i)
		run(t, letter("sender@elsewhere.test", s.Accounts[0].Name, mark), "curl", "-sS", "--mail-from", "sender@elsewhere.test",
			"--mail-rcpt", s.Accounts[0].Name, "-T", "-", "smtp://"+s.Addr(25))
		// one after the other, so that their order is known
		eventually(t, "message "+mark+" arrived", func() bool { return len(messages(filepath.Join(s.Home("alice"), "Maildir"))) == i+1 })
	}
}

// Programs that users read mail with, all over TLS.
func TestReaders(t *testing.T) {
	need(t, "curl", "mbsync", "mutt", "fetchmail")
	s := start(t, nil)
	fill(t, s, 5)
	alice, ca := s.Accounts[0], s.Path("etc/tls/cert.pem")
	login := []string{"-sS", "--cacert", ca, "-u", alice.Name + ":" + alice.Password}

	t.Run("curl IMAPS", func(t *testing.T) {
		out := run(t, "", "curl", append(login, "imaps://"+s.Addr(993)+"/INBOX;MAILINDEX=3")...)
		if !strings.Contains(out, "mark-2-") || !strings.Contains(out, "\r\n.dot first\r\n") {
			t.Errorf("message 3:\n%s", out)
		}
	})
	t.Run("curl IMAP STARTTLS", func(t *testing.T) {
		out := run(t, "", "curl", append(login, "--ssl-reqd", "imap://"+s.Addr(143)+"/INBOX", "-X", "UID SEARCH SUBJECT mark-3-")...)
		if !strings.Contains(out, "* SEARCH 4") {
			t.Errorf("search:\n%s", out)
		}
	})
	t.Run("curl POP3S and STLS", func(t *testing.T) {
		if out := run(t, "", "curl", append(login, "pop3s://"+s.Addr(995)+"/2")...); !strings.Contains(out, "mark-1-") {
			t.Errorf("message 2:\n%s", out)
		}
		if out := run(t, "", "curl", append(login, "--ssl-reqd", "pop3://"+s.Addr(110))...); strings.Count(out, "\n") != 5 {
			t.Errorf("list:\n%s", out)
		}
	})
	t.Run("mbsync", func(t *testing.T) { mbsync(t, s) })
	t.Run("mutt", func(t *testing.T) { mutt(t, s) })
	t.Run("fetchmail POP3", func(t *testing.T) { fetchmail(t, s, "pop3", 995) })
	t.Run("fetchmail IMAP", func(t *testing.T) { fetchmail(t, s, "imap", 993) })
}

// mbsyncConfig keeps the account in dir/mail.
func mbsyncConfig(t *testing.T, s *suite.Suite, dir string) string {
	if err := os.MkdirAll(filepath.Join(dir, "mail"), 0o755); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, "mbsyncrc"), fmt.Sprintf(`IMAPAccount a
Host localhost
Port %d
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account a

MaildirStore near
Path %s/mail/
Inbox %s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, s.Base+993, s.Accounts[0].Name, s.Accounts[0].Password, s.Path("etc/tls/cert.pem"), dir, dir), 0o600)
}

// mbsync both ways: what the server has comes down, a local folder, a flag
// and a deletion go up.
func mbsync(t *testing.T, s *suite.Suite) {
	dir := t.TempDir()
	rc := mbsyncConfig(t, s, dir)
	run(t, "", "mbsync", "-c", rc, "all")
	if got := len(messages(filepath.Join(dir, "mail/INBOX"))); got != 5 {
		t.Fatalf("%d messages came down, want 5", got)
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "mail/Work", sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "mail/Work/cur/1.local:2,S"), strings.ReplaceAll(letter("a@b.test", "c@d.test", "local-draft"), "\r\n", "\n"), 0o644)
	run(t, "", "mbsync", "-c", rc, "all")
	if got := messages(filepath.Join(s.Home("alice"), "Maildir/.Work")); len(got) != 1 || !strings.Contains(got[0], "local-draft") {
		t.Errorf("folder Work on the server: %q", got)
	}
	if out := run(t, "", "mbsync", "-c", rc, "all"); strings.Contains(out, "error") {
		t.Errorf("third run: %s", out)
	}
}

// muttConfig has mutt copy every message of INBOX to a local mbox.
func muttConfig(t *testing.T, s *suite.Suite, dir, box string, settings ...string) string {
	return write(t, filepath.Join(dir, "muttrc"), fmt.Sprintf(`set imap_user="%s"
set imap_pass="%s"
set certificate_file="%s"
set ssl_usesystemcerts=no
set ssl_force_tls=yes
set folder="%s"
set confirmappend=no
set confirmcreate=no
set copy=no
set quit=yes
set delete=no
set mark_old=no
%s
push "<tag-pattern>~A<enter><tag-prefix><copy-message>%s<enter><quit>"
`, s.Accounts[0].Name, s.Accounts[0].Password, s.Path("etc/tls/cert.pem"), dir, strings.Join(settings, "\n"), box), 0o600)
}

// mutt without a terminal of its own.
func mutt(t *testing.T, s *suite.Suite, settings ...string) {
	dir := t.TempDir()
	box := filepath.Join(dir, "copy.mbox")
	rc := muttConfig(t, s, dir, box, settings...)
	_, _ = try("", "script", "-qec", fmt.Sprintf("TERM=xterm mutt -F %s -f imaps://localhost:%d/INBOX", rc, s.Base+993), "/dev/null")
	text, err := os.ReadFile(box)
	if err != nil || strings.Count(string(text), "Subject: mark-") != 5 {
		t.Errorf("mutt copied: %v\n%.2000s", err, text)
	}
}

func fetchmail(t *testing.T, s *suite.Suite, proto string, port int, options ...string) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	rc := write(t, filepath.Join(dir, "fetchmailrc"), fmt.Sprintf(`poll localhost protocol %s port %d %s
 user "%s" password "%s" ssl sslcertfile "%s" sslcertck keep fetchall
 mda "cat >> %s"
`, proto, s.Base+port, strings.Join(options, " "), s.Accounts[0].Name, s.Accounts[0].Password, s.Path("etc/tls/cert.pem"), out), 0o600)
	run(t, "", "fetchmail", "-f", rc, "--nodetach", "--nosyslog", "-i", filepath.Join(dir, "ids"), "--pidfile", filepath.Join(dir, "pid"))
	text, _ := os.ReadFile(out)
	if strings.Count(string(text), "Subject: mark-") != 5 {
		t.Errorf("fetched:\n%.2000s", text)
	}
}
