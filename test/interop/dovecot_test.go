//go:build interop

package interop

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// startDovecot serves the suite's mail folders with a private Dovecot.
func startDovecot(t *testing.T, s *suite.Suite) (imapPort int) {
	t.Helper()
	// Dovecot serves no mail as root, so the mail gets another owner, as an
	// operator would do with both servers' units under one mail uid.
	run(t, "", "chown", "-R", "65534:65534", s.Path("mail"))
	d := serveMail(t, s.Accounts, s.Dir+"/mail/%d/%n", "maildir:~/Maildir")
	return d.port
}

// dovecot is a private Dovecot.
type dovecot struct {
	port int    // IMAP
	pop3 int    // POP3
	dir  string // of its configuration, and of its file log
}

// log is what it has logged so far.
func (d dovecot) log() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(text)
}

// setting replaces the settings that the test has added to the configuration.
// It starts Dovecot anew: after a reload old processes go on for a while, and
// sockets are away for a moment.
func (d dovecot) setting(t *testing.T, lines string) {
	t.Helper()
	write(t, filepath.Join(d.dir, "more.conf"), lines+"\n", 0o644)
	d.stop(t)
	d.start(t)
}

// stop returns when no process of its is left that could serve anybody.
func (d dovecot) stop(t *testing.T) {
	t.Helper()
	run(t, "", "doveadm", "-c", d.conf(), "stop")
	eventually(t, "Dovecot has stopped", func() bool {
		_, master := os.Stat(filepath.Join(d.dir, "run/master.pid"))
		return master != nil && !listens(d.port) && !listens(d.pop3)
	})
}

func (d dovecot) conf() string { return filepath.Join(d.dir, "dovecot.conf") }

// start returns when it serves IMAP and listens for POP3.
func (d dovecot) start(t *testing.T) {
	t.Helper()
	run(t, "", "dovecot", "-c", d.conf())
	waitPort(t, d.port)
	waitPort(t, d.pop3)
	d.waitGreeting(t)
}

// serveMail starts a private Dovecot that serves IMAP and POP3, as uid and gid
// 65534.
func serveMail(t *testing.T, accounts []suite.Account, home, location string) dovecot {
	t.Helper()
	need(t, "dovecot", "doveadm")
	if os.Getuid() != 0 {
		t.Skip("a private Dovecot needs root to start")
	}
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "", "chmod", "755", dir)
	d := dovecot{port: freePort(t), pop3: freePort(t), dir: dir}
	var users strings.Builder
	for _, a := range accounts {
		fmt.Fprintf(&users, "%s:{PLAIN}%s::::::\n", a.Name, a.Password)
	}
	write(t, filepath.Join(dir, "users"), users.String(), 0o644)
	write(t, d.conf(), fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-interop
log_path = %[1]s/log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
first_valid_gid = 1
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=%[2]s allow_all_users=yes
}
mail_location = %[4]s
!include_try %[1]s/more.conf
service pop3-login {
  inet_listener pop3 {
    port = %[5]d
  }
  inet_listener pop3s {
    port = 0
  }
}
service imap-login {
  inet_listener imap {
    port = %[3]d
  }
  inet_listener imaps {
    port = 0
  }
}
`, dir, home, d.port, location, d.pop3), 0o644)
	t.Cleanup(func() {
		_, _ = try("", "doveadm", "-c", d.conf(), "stop")
		if t.Failed() {
			t.Logf("Dovecot log:\n%s", d.log())
		}
		os.RemoveAll(dir)
	})
	d.start(t)
	return d
}

// waitGreeting returns when the login and auth processes have read their
// configuration: a stop before that leaves them without one, which Dovecot logs
// as an error.
func (d dovecot) waitGreeting(t *testing.T) {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "* OK") {
		t.Fatalf("Dovecot greets with %q, %v", line, err)
	}
}

var (
	fetchUID    = regexp.MustCompile(`(?m)^\* \d+ FETCH \((.*)\)\r?$`)
	uidValidity = regexp.MustCompile(`UIDVALIDITY (\d+)`)
)

// state asks a server for what must not change: UIDVALIDITY, and UID with
// flags of every message of a folder.
func state(t *testing.T, a suite.Account, url, folder string, tls ...string) (validity string, messages []string) {
	t.Helper()
	login := append([]string{"-sS", "-u", a.Name + ":" + a.Password}, tls...)
	v := uidValidity.FindStringSubmatch(run(t, "", "curl", append(login, url, "-X", "STATUS "+folder+" (UIDVALIDITY)")...))
	if v == nil {
		t.Fatal("no UIDVALIDITY from " + url)
	}
	// curl may print a line twice, as body and in its trace.
	out := run(t, "", "curl", append(login, "-v", url+"/"+folder, "-X", "UID FETCH 1:* (UID FLAGS RFC822.SIZE)")...)
	for _, line := range strings.Split(out, "\n") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "< ")
		m := fetchUID.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if c := canonical(m[1]); !slices.Contains(messages, c) {
			messages = append(messages, c)
		}
	}
	return v[1], messages
}

// canonical sorts the items of one FETCH answer and drops \Recent, which the
// first server to look takes away.
func canonical(items string) string {
	uid := regexp.MustCompile(`UID (\d+)`).FindStringSubmatch(items)
	size := regexp.MustCompile(`RFC822\.SIZE (\d+)`).FindStringSubmatch(items)
	flags := regexp.MustCompile(`FLAGS \(([^)]*)\)`).FindStringSubmatch(items)
	if uid == nil || size == nil || flags == nil {
		return items
	}
	words := strings.Fields(strings.ReplaceAll(flags[1], `\Recent`, ""))
	return fmt.Sprintf("uid=%s size=%s flags=%s", uid[1], size[1], strings.Join(words, ","))
}

// Dovecot serves the Maildir that imapd served, with the same UIDVALIDITY,
// UIDs, sizes and flags, while imapd is stopped; then imapd again.
func TestDovecotTakesOver(t *testing.T) {
	need(t, "dovecot", "doveadm", "curl")
	s := start(t, nil)
	fill(t, s, 4)
	a := s.Accounts[0]
	tls := []string{"--cacert", s.Path("etc/tls/cert.pem")}
	login := append([]string{"-sS", "-u", a.Name + ":" + a.Password}, tls...)
	ours := "imaps://" + s.Addr(993)
	run(t, "", "curl", append(login, ours+"/INBOX", "-X", `UID STORE 2 +FLAGS (\Seen \Flagged)`)...)
	run(t, "", "curl", append(login, ours+"/INBOX", "-X", `UID STORE 3 +FLAGS ($Forwarded)`)...)
	v1, m1 := state(t, a, ours, "INBOX", tls...)
	if len(m1) != 4 {
		t.Fatalf("imapd shows %q", m1)
	}
	s.Procs["imapd"].Stop()

	port := startDovecot(t, s)
	v2, m2 := state(t, a, fmt.Sprintf("imap://127.0.0.1:%d", port), "INBOX")
	if v1 != v2 || strings.Join(m1, "\n") != strings.Join(m2, "\n") {
		t.Fatalf("imapd:   %s %q\nDovecot: %s %q", v1, m1, v2, m2)
	}
	// Dovecot changes a flag and takes one more message; imapd sees both.
	run(t, "", "curl", "-sS", "-u", a.Name+":"+a.Password, fmt.Sprintf("imap://127.0.0.1:%d/INBOX", port), "-X", `UID STORE 1 +FLAGS (\Answered)`)
	file := write(t, filepath.Join(t.TempDir(), "letter"), letter("x@y.test", a.Name, "appended-by-dovecot"), 0o644)
	run(t, "", "curl", "-sS", "-u", a.Name+":"+a.Password, "-T", file, fmt.Sprintf("imap://127.0.0.1:%d/INBOX", port))
	v3, m3 := state(t, a, fmt.Sprintf("imap://127.0.0.1:%d", port), "INBOX")
	if err := s.Procs["imapd"].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	v4, m4 := state(t, a, ours, "INBOX", tls...)
	if len(m4) != 5 || v3 != v4 || strings.Join(m3, "\n") != strings.Join(m4, "\n") {
		t.Fatalf("Dovecot: %s %q\nimapd:   %s %q", v3, m3, v4, m4)
	}
}
