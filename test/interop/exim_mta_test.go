//go:build interop

package interop

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// startEximMTA runs Exim with all its extensions.
func startEximMTA(t *testing.T, mtad string) *peer {
	t.Helper()
	exim := needExim(t)
	if os.Getuid() != 0 {
		t.Skip("a private Exim needs root to start")
	}
	dir := tempDir(t, "exim")
	run(t, "", "install", "-d", "-o", "nobody", "-g", "nogroup", dir+"/mail")
	cert, key := keyPair(t, dir, "exim.test")
	port := runExim(t, exim, dir, fmt.Sprintf(`tls_advertise_hosts = *
tls_certificate = %[2]s
tls_privatekey = %[3]s
dsn_advertise_hosts = *
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
pipelining_advertise_hosts = *
allow_utf8_domains = true
deliver_drop_privilege = true
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  deny condition = ${if eq{$local_part}{refused}}
       message = nobody of that name
  accept
data:
  accept
begin routers
here:
  driver = accept
  domains = remote.test
  transport = box
out:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1
  self = send
begin transports
box:
  driver = appendfile
  directory = %[1]s/mail/box
  maildir_format
  envelope_to_add
  return_path_add
out:
  driver = smtp
  port = %[4]d
  allow_localhost
  hosts_require_tls = *
`, dir, cert, key, portOf(mtad)))
	return &peer{addr: fmt.Sprintf("127.0.0.1:%d", port), box: dir + "/mail/box", log: dir + "/exim-main.log"}
}

// logged waits for a line of Exim's main log.
func (p *peer) logged(t *testing.T, pattern string) {
	t.Helper()
	eventually(t, "Exim logs "+pattern, func() bool { return regexp.MustCompile(pattern).MatchString(p.text()) })
}

// Exim hands mail to mtad with STARTTLS, PIPELINING, CHUNKING, SMTPUTF8 and
// DSN. In its log L is pipelining and K is BDAT.
func TestEximSendsToMtad(t *testing.T) {
	s := start(t, nil)
	p := startEximMTA(t, s.Addr(25))

	t.Run("BDAT, PIPELINING, STARTTLS", func(t *testing.T) {
		smtpSays(t, p.addr, "Subject: exim-bdat\r\n\r\n"+trying(), "MAIL FROM:<someone@exim.test> BODY=8BITMIME", "RCPT TO:<alice@demo.test>", "RCPT TO:<bob@demo.test>")
		for _, who := range []string{"alice", "bob"} {
			m := arrived(t, s, who, "Subject: exim-bdat")
			holds(t, m, "with ESMTPS", "from exim.test", "Return-Path: <someone@exim.test>")
			whole(t, m)
		}
		p.logged(t, `[-=]> bob@demo\.test .*F=<someone@exim\.test>.* X=TLS.* L K C=`)
	})
	t.Run("SMTPUTF8", func(t *testing.T) {
		smtpSays(t, p.addr, "Subject: exim-grüße\r\nFrom: Jörg <jörg@bücher.test>\r\n\r\nx\r\n", "MAIL FROM:<jörg@bücher.test> SMTPUTF8 BODY=8BITMIME", "RCPT TO:<bob@demo.test>")
		holds(t, arrived(t, s, "bob", "exim-grüße"), "with UTF8SMTPS", "Return-Path: <jörg@bücher.test>", "From: Jörg <jörg@bücher.test>")
	})
	t.Run("DSN", func(t *testing.T) {
		smtpSays(t, p.addr, "Subject: exim-dsn\r\n\r\nbody-of-exim-dsn\r\n", "MAIL FROM:<alice@demo.test> RET=HDRS ENVID=trip+2Bone",
			"RCPT TO:<bob@demo.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;robert+2Bx@orig.test")
		arrived(t, s, "bob", "Subject: exim-dsn")
		m := arrived(t, s, "alice", "trip+one")
		holds(t, m, "Reporting-MTA: dns; mail.demo.test", "Original-Envelope-Id: trip+one", "Original-Recipient: rfc822;robert+x@orig.test",
			"Final-Recipient: rfc822; bob@demo.test", "Action: delivered")
		if strings.Contains(m, "body-of-exim-dsn") {
			t.Errorf("RET=HDRS was lost:\n%s", m)
		}
		if n := len(reports(s, "alice", "exim-dsn")); n != 1 {
			t.Errorf("%d reports of one delivery", n)
		}
	})
	t.Run("NOTIFY=NEVER", func(t *testing.T) {
		smtpSays(t, p.addr, "Subject: exim-never\r\n\r\nx\r\n", "MAIL FROM:<alice@demo.test>", "RCPT TO:<nobody@demo.test> NOTIFY=NEVER")
		p.logged(t, `\*\* nobody@demo\.test .*550 5\.1\.1`)
		smtpSays(t, p.addr, "Subject: exim-later\r\n\r\nx\r\n", "MAIL FROM:<alice@demo.test>", "RCPT TO:<nobody@demo.test>")
		holds(t, arrived(t, s, "alice", "exim-later"), "550 5.1.1")
		if n := len(reports(s, "alice", "exim-never")); n != 0 {
			t.Error("a report that nobody wanted")
		}
	})
}

// mtad hands mail to Exim with STARTTLS, PIPELINING, CHUNKING, SMTPUTF8 and
// DSN.
func TestMtadSendsToExim(t *testing.T) {
	d := newDoor(t)
	p := startEximMTA(t, d.Addr().String())
	s := start(t, relays(portOf(p.addr), "encrypt"))
	d.leadsTo(s.Addr(25))

	t.Run("BDAT, PIPELINING, STARTTLS", func(t *testing.T) {
		smtpSays(t, s.Addr(25), "Subject: to-exim\r\n\r\n"+trying(), "MAIL FROM:<alice@demo.test> BODY=8BITMIME", "RCPT TO:<one@remote.test>", "RCPT TO:<refused@remote.test>", "RCPT TO:<two@remote.test>")
		m := p.has(t, "Subject: to-exim")
		holds(t, m, "with esmtps", "Return-path: <alice@demo.test>", "@remote.test")
		whole(t, m)
		p.logged(t, `<= alice@demo\.test .*P=esmtps L\.? X=TLS.* K S=.* for one@remote\.test two@remote\.test`)
		holds(t, arrived(t, s, "alice", "nobody of that name"), "Final-Recipient: rfc822; refused@remote.test", "Status: 5.")
	})
	t.Run("BDAT in chunks, and for nobody", func(t *testing.T) {
		text := strings.Repeat("..a line that begins with dots, of a message of several chunks\r\n", 5000)
		smtpSays(t, s.Addr(25), "Subject: to-exim-chunks\r\n\r\n"+text, "MAIL FROM:<alice@demo.test>", "RCPT TO:<one@remote.test>")
		if m := p.has(t, "Subject: to-exim-chunks"); !strings.HasSuffix(m, strings.ReplaceAll(text[1:], "\r\n", "\n")) && !strings.HasSuffix(m, text[1:]) {
			t.Errorf("%d octets came, and not as they were sent", len(m))
		}
		smtpSays(t, s.Addr(25), "Subject: to-exim-nobody\r\n\r\nx\r\n", "MAIL FROM:<alice@demo.test>", "RCPT TO:<refused@remote.test>")
		holds(t, arrived(t, s, "alice", "to-exim-nobody"), "Final-Recipient: rfc822; refused@remote.test", "Status: 5.")
	})
	t.Run("SMTPUTF8", func(t *testing.T) {
		smtpSays(t, s.Addr(25), "Subject: to-exim-grüße\r\nFrom: Jörg <jörg@bücher.test>\r\n\r\nx\r\n", "MAIL FROM:<jörg@bücher.test> SMTPUTF8 BODY=8BITMIME", "RCPT TO:<übér@remote.test>")
		holds(t, p.has(t, "to-exim-grüße"), "Return-path: <jörg@bücher.test>", "Envelope-to: übér@remote.test", "with utf8esmtps")
	})
	t.Run("DSN", func(t *testing.T) {
		smtpSays(t, s.Addr(25), "Subject: to-exim-dsn\r\n\r\nbody-of-to-exim-dsn\r\n", "MAIL FROM:<alice@demo.test> RET=HDRS ENVID=trip+2Btwo",
			"RCPT TO:<friend@remote.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;robert+2Bx@orig.test")
		p.has(t, "Subject: to-exim-dsn")
		m := arrived(t, s, "alice", "trip+2Btwo")
		holds(t, m, "Reporting-MTA: dns; exim.test", "Action: delivered", "Original-Recipient: rfc822;robert+2Bx@orig.test")
		if strings.Contains(m, "body-of-to-exim-dsn") {
			t.Errorf("RET=HDRS was lost:\n%s", m)
		}
		if n := len(reports(s, "alice", "to-exim-dsn")); n != 1 {
			t.Errorf("%d reports of one delivery", n)
		}
	})
}
