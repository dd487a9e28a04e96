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

// postfix is a private instance with its own queue, configuration and port.
type postfix struct {
	dir  string
	port int
}

// services of a minimal master.cf; the smtpd line is added by the caller.
const postfixServices = `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

func startPostfix(t *testing.T, main string) *postfix {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a private Postfix needs root to start")
	}
	dir, err := os.MkdirTemp("", "postfix")
	if err != nil {
		t.Fatal(err)
	}
	p := &postfix{dir: dir, port: freePort(t)}
	for _, d := range []string{"etc", "queue", "data", "mail"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "", "chmod", "755", dir)
	run(t, "", "chown", "postfix", filepath.Join(dir, "data"))
	run(t, "", "chown", "nobody", filepath.Join(dir, "mail"))
	write(t, filepath.Join(dir, "etc/main.cf"), fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[1]s/maillog
maillog_file_prefixes = %[1]s
myhostname = postfix.test
mydestination =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
smtp_tls_security_level = may
%[2]s
`, dir, main), 0o644)
	write(t, filepath.Join(dir, "etc/master.cf"), fmt.Sprintf("127.0.0.1:%d inet n - n - - smtpd\n%s", p.port, postfixServices), 0o644)
	run(t, "", "postfix", "-c", filepath.Join(dir, "etc"), "start")
	t.Cleanup(func() {
		_, _ = try("", "postfix", "-c", filepath.Join(dir, "etc"), "stop")
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "maillog"))
			t.Logf("Postfix log:\n%s", log)
		}
		os.RemoveAll(dir)
	})
	waitPort(t, p.port)
	return p
}

// Postfix relays a message into mtad, opportunistic TLS included.
func TestPostfixRelaysIn(t *testing.T) {
	need(t, "postfix", "curl")
	s := start(t, nil)
	p := startPostfix(t, fmt.Sprintf("relayhost = [127.0.0.1]:%d", s.Base+25))
	run(t, letter("someone@postfix.test", s.Accounts[0].Name, "through-postfix"), "curl", "-sS", "--mail-from", "someone@postfix.test",
		"--mail-rcpt", s.Accounts[0].Name, "-T", "-", fmt.Sprintf("smtp://127.0.0.1:%d", p.port))
	got := arrived(t, s, "alice", "through-postfix")
	for _, want := range []string{"Return-Path: <someone@postfix.test>", "from postfix.test", "with ESMTPS", "\n.dot first\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
}

// An unknown user refused by mtad comes back from Postfix as a bounce, and
// mtad itself sends none.
func TestPostfixSeesRefusal(t *testing.T) {
	need(t, "postfix", "curl")
	s := start(t, nil)
	p := startPostfix(t, fmt.Sprintf("relayhost = [127.0.0.1]:%d", s.Base+25))
	run(t, letter(s.Accounts[1].Name, "nobody@demo.test", "refused"), "curl", "-sS", "--mail-from", s.Accounts[1].Name,
		"--mail-rcpt", "nobody@demo.test", "-T", "-", fmt.Sprintf("smtp://127.0.0.1:%d", p.port))
	got := arrived(t, s, "bob", "Undelivered Mail Returned to Sender")
	if !strings.Contains(got, "550 5.1.1") || !strings.Contains(got, "MAILER-DAEMON@postfix.test") {
		t.Errorf("bounce:\n%s", got)
	}
}

// mtad relays out to Postfix, which stores the message.
func TestRelayOutToPostfix(t *testing.T) {
	need(t, "postfix", "curl")
	p := startPostfix(t, `virtual_mailbox_domains = remote.test
virtual_mailbox_maps = static:box/
virtual_mailbox_base = `+"$queue_directory/../mail"+`
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
smtpd_relay_restrictions = reject_unauth_destination`)
	s := start(t, map[string]func(string) string{"mtad": func(c string) string {
		return c + fmt.Sprintf("\nrelayhost: \"[127.0.0.1]:%d\"\n", p.port)
	}})
	submit(t, s, "friend@remote.test", "to-postfix")
	eventually(t, "the message is in Postfix's mailbox", func() bool {
		for _, m := range messages(filepath.Join(p.dir, "mail/box")) {
			if strings.Contains(m, "to-postfix") && strings.Contains(m, "\n.dot first\nlast line\n") {
				return true
			}
		}
		return false
	})
	// A recipient that Postfix refuses comes back as a report to the sender.
	submit(t, s, "friend@refused.test", "to-refused")
	got := arrived(t, s, "alice", "multipart/report")
	for _, want := range []string{"Final-Recipient: rfc822; friend@refused.test", "Action: failed", "Relay access denied", "Return-Path: <>"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
}

// submit sends a message from alice over submission with TLS.
func submit(t *testing.T, s *suite.Suite, to, mark string) {
	t.Helper()
	alice := s.Accounts[0]
	run(t, letter(alice.Name, to, mark), "curl", "-sS", "--cacert", s.Path("etc/tls/cert.pem"), "--ssl-reqd",
		"-u", alice.Name+":"+alice.Password, "--mail-from", alice.Name, "--mail-rcpt", to, "-T", "-", "smtp://"+s.Addr(587))
}
