//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// remoteIMAP are the settings by which a Dovecot has our server as its remote.
func remoteIMAP(t *testing.T, c *imapConn, dir string, port int, user, password, cert string) string {
	t.Helper()
	ca := write(t, filepath.Join(dir, "ca.pem"), read(t, cert), 0o644)
	return fmt.Sprintf(`ssl_client_ca_file = %s
imapc_host = localhost
imapc_port = %d
imapc_ssl = imaps
imapc_user = %s
imapc_password = %s
imapc_features = rfc822.size fetch-headers search modseq delay-login
mail_prefetch_count = 20
namespace inbox {
  inbox = yes
  separator = %s
}
`, ca, port, user, password, c.separator())
}

// separator is the server's hierarchy separator.
func (c *imapConn) separator() string {
	c.t.Helper()
	untagged, _ := c.send(`LIST "" ""`)
	return strings.Split(untagged[0], `"`)[1]
}

// A site moves to Dovecot, and the other way round, with Dovecot's own tools:
// doveadm backup takes an account from our server with all its UIDs, and
// doveadm sync keeps both the same afterwards.
func TestDsyncFromAndToOurServer(t *testing.T) {
	need(t, "dovecot", "doveadm")
	s := start(t, nil)
	a, c := s.Accounts[0], server(t, s)
	c.must("CREATE Work")
	c.put("INBOX", "one", "two", "three", "four", "five")
	c.put("Work", "six", "seven")
	c.must("SELECT INBOX")
	c.must(`UID STORE 2 +FLAGS (\Seen \Flagged)`)
	c.must(`UID STORE 4 +FLAGS (\Answered $Forwarded)`)
	c.must(`UID STORE 1,3 +FLAGS (\Deleted)`)
	c.must("EXPUNGE")

	dir := tempDir(t, "dsync")
	run(t, "", "install", "-d", "-o", "65534", "-g", "65534", "-m", "2770", dir+"/mail")
	remote := remoteIMAP(t, c, dir, s.Base+993, a.Name, a.Password, s.Path("etc/tls/cert.pem"))
	d := serveMail(t, s.Accounts, dir+"/mail/%n", "maildir:~/Maildir\n"+remote)
	doveadm := func(args ...string) string {
		t.Helper()
		return run(t, "", "doveadm", append([]string{"-c", filepath.Join(d.dir, "dovecot.conf")}, args...)...)
	}
	theirs := func() *imapConn {
		c := dialIMAP(t, fmt.Sprintf("127.0.0.1:%d", d.port), "")
		c.login(a)
		return c
	}
	agree := func(stage string, want map[string]int) {
		t.Helper()
		other := theirs()
		for folder, n := range want {
			far, near := c.identities(folder), other.identities(folder)
			if len(far) != n+1 || !slices.Equal(far, near) {
				t.Errorf("%s: %s, want %d messages\nours:\n%s\nDovecot's:\n%s", stage, folder, n, strings.Join(far, "\n"), strings.Join(near, "\n"))
			}
		}
	}
	doveadm("backup", "-R", "-u", a.Name, "imapc:")
	agree("backup", map[string]int{"INBOX": 3, "Work": 2, "Drafts": 0})
	c.must("SELECT INBOX")
	c.must(`UID STORE 5 +FLAGS (\Deleted)`)
	c.must("UID EXPUNGE 5")
	c.must(`UID STORE 2 -FLAGS (\Flagged)`)
	c.put("INBOX", "eight")
	doveadm("backup", "-R", "-u", a.Name, "imapc:")
	agree("second backup", map[string]int{"INBOX": 3, "Work": 2})

	// Both sides change.
	other := theirs()
	other.put("INBOX", "nine")
	other.must("SELECT INBOX")
	other.must(`UID STORE 2 +FLAGS (\Draft mine)`)
	other.must("SELECT Work")
	other.must(`UID STORE 1 +FLAGS (\Deleted)`)
	other.must("EXPUNGE")
	c.must("SELECT INBOX")
	c.must(`UID STORE 4 +FLAGS (\Seen)`)
	doveadm("sync", "-u", a.Name, "imapc:")
	agree("sync", map[string]int{"INBOX": 4, "Work": 1})

	// Dovecot shows our server's folder as if it were its own.
	if out := doveadm("-o", "mail_location=imapc:"+dir+"/mail/imapc", "fetch", "-u", a.Name, "hdr.subject", "mailbox", "INBOX"); strings.Count(out, "hdr.subject:") != 4 {
		t.Errorf("through imapc:\n%s", out)
	}
	if log := complaints(d.log()); strings.Contains(log, "Error") {
		t.Errorf("Dovecot complains:\n%s", log)
	}
}

// identities is what a move must keep of a folder: UIDVALIDITY, and of each
// message UID, flags, keywords, date of arrival, size and subject.
func (c *imapConn) identities(folder string) []string {
	c.t.Helper()
	out := []string{fmt.Sprintf("UIDVALIDITY %d", number(`UIDVALIDITY (\d+)`, strings.Join(c.status(folder), " ")))}
	c.must("EXAMINE " + folder)
	untagged, _ := c.send("UID FETCH 1:* (INTERNALDATE RFC822.SIZE FLAGS ENVELOPE)")
	c.must("UNSELECT")
	for _, l := range untagged {
		subject := envelopeSubject.FindStringSubmatch(l)
		if subject == nil {
			continue
		}
		out = append(out, fmt.Sprintf("%d %q %d %s %s", number(`\bUID (\d+)`, l), subject[1], number(`RFC822.SIZE (\d+)`, l),
			arrivedAt.FindString(l), strings.Join(flagsOf(l), " ")))
	}
	return out
}

func (c *imapConn) status(folder string) []string {
	untagged, _ := c.send("STATUS " + folder + " (UIDVALIDITY)")
	return untagged
}
