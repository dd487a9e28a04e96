//go:build interop

package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// openSMTPDRoot is where OpenSMTPD's package is unpacked; it cannot be
// installed beside Postfix.
const openSMTPDRoot = "/var/lib/postcote-ci/opensmtpd"

// openSMTPDScript puts OpenSMTPD's files where it looks for them, and empty
// folders where it would write, in a mount namespace of its own. (It reads
// none of its paths from the configuration.)
const openSMTPDScript = `set -e
mount -t tmpfs tmpfs /run -o mode=755
mkdir -p /run/opensmtpd /run/lib/opensmtpd/empty
mount --bind "$0" /run/opensmtpd
mount --bind /run/lib /var/lib
mount --bind /run/opensmtpd/usr/libexec /usr/libexec
mount -t tmpfs tmpfs /var/spool -o mode=755
mkdir -m 711 /var/spool/smtpd
exec /run/opensmtpd/usr/sbin/smtpd -d -v -f "$1"
`

func startOpenSMTPD(t *testing.T, mtad string) *peer {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a private OpenSMTPD needs root to start")
	}
	_, err := os.Stat(openSMTPDRoot + "/usr/sbin/smtpd")
	for _, name := range []string{"opensmtpd", "opensmtpq"} {
		if _, e := user.Lookup(name); err == nil {
			err = e
		}
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("OpenSMTPD is not there (%v): .ci/run unpacks it to %s", err, openSMTPDRoot)
		}
		t.Skipf("OpenSMTPD is not there: %v", err)
	}
	if out, err := try("", "unshare", "-m", "true"); err != nil {
		t.Skipf("no mount namespace can be made here, without which OpenSMTPD would use the system's folders: %v %s", err, out)
	}
	dir := tempDir(t, "opensmtpd")
	run(t, "", "install", "-d", "-o", "nobody", "-g", "nogroup", dir+"/mail")
	cert, key := keyPair(t, dir, "opensmtpd.test")
	run(t, "", "chmod", "600", key)
	p := &peer{addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), box: dir + "/mail/box", log: dir + "/log"}
	conf := write(t, dir+"/smtpd.conf", fmt.Sprintf(`pki opensmtpd.test cert %q
pki opensmtpd.test key %q
listen on 127.0.0.1 port %d tls pki opensmtpd.test hostname opensmtpd.test
table everybody { "@" = nobody }
action box maildir "%s" user nobody virtual <everybody>
action out relay host smtp+tls://%s tls no-verify helo opensmtpd.test
match from any for rcpt-to "refused@remote.test" reject
match from any for domain remote.test action box
match from any for any action out
`, cert, key, portOf(p.addr), p.box, mtad), 0o600)
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "/bin/sh", "-c", openSMTPDScript, openSMTPDRoot, conf)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("OpenSMTPD's log:\n%s", p.text())
		}
	})
	waitPort(t, portOf(p.addr))
	return p
}

func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}

// OpenSMTPD hands mail to mtad with STARTTLS and DSN. It knows neither
// PIPELINING, CHUNKING nor SMTPUTF8.
func TestOpenSMTPDSendsToMtad(t *testing.T) {
	s := start(t, nil)
	p := startOpenSMTPD(t, s.Addr(25))
	t.Run("STARTTLS", func(t *testing.T) {
		smtpSays(t, p.addr, "Subject: opensmtpd\r\n\r\n"+trying(), "MAIL FROM:<someone@opensmtpd.test>", "RCPT TO:<alice@demo.test>", "RCPT TO:<bob@demo.test>")
		for _, who := range []string{"alice", "bob"} {
			m := arrived(t, s, who, "Subject: opensmtpd")
			holds(t, m, "with ESMTPS", "from opensmtpd.test", "Return-Path: <someone@opensmtpd.test>")
			whole(t, m)
		}
	})
	t.Run("DSN", func(t *testing.T) {
		smtpSays(t, p.addr, "Subject: opensmtpd-dsn\r\n\r\nbody-of-opensmtpd-dsn\r\n", "MAIL FROM:<alice@demo.test> RET=HDRS ENVID=trip-three",
			"RCPT TO:<bob@demo.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;robert@orig.test")
		m := arrived(t, s, "alice", "Original-Envelope-Id: trip-three")
		holds(t, m, "Reporting-MTA: dns; mail.demo.test", "Original-Recipient: rfc822;robert@orig.test", "Action: delivered")
		if strings.Contains(m, "body-of-opensmtpd-dsn") {
			t.Errorf("RET=HDRS was lost:\n%s", m)
		}
	})
	t.Run("refusal", func(t *testing.T) {
		smtpSays(t, p.addr, "Subject: opensmtpd-refused\r\n\r\nx\r\n", "MAIL FROM:<alice@demo.test>", "RCPT TO:<nobody@demo.test>")
		holds(t, arrived(t, s, "alice", "opensmtpd-refused"), "550 5.1.1")
	})
}

// mtad hands mail to OpenSMTPD. Debian's OpenSMTPD offers STARTTLS and then
// fails in each handshake (it does not work with OpenSSL 3): with remote.tls
// at may, mail goes in the clear, at encrypt it waits.
func TestMtadSendsToOpenSMTPD(t *testing.T) {
	d := newDoor(t)
	p := startOpenSMTPD(t, d.Addr().String())
	overrides := relays(portOf(p.addr), "may")
	relay := overrides["mtad"]
	// Its TLS fails; what has waited this long is then sent in the clear.
	overrides["mtad"] = func(c string) string {
		return strings.Replace(relay(c), "\nqueue:\n", "\nqueue:\n  min_backoff: 1s\n", 1)
	}
	s := start(t, overrides)
	d.leadsTo(s.Addr(25))
	t.Run("in the clear where TLS fails", func(t *testing.T) {
		smtpSays(t, s.Addr(25), "Subject: to-opensmtpd\r\n\r\n"+trying(), "MAIL FROM:<alice@demo.test>", "RCPT TO:<one@remote.test>", "RCPT TO:<refused@remote.test>", "RCPT TO:<two@remote.test>")
		m := p.has(t, "Subject: to-opensmtpd")
		holds(t, m, "Return-Path: <alice@demo.test>", "from mail.demo.test")
		whole(t, m)
		holds(t, arrived(t, s, "alice", "Final-Recipient: rfc822; refused@remote.test"), "Action: failed", "550")
	})
	t.Run("DSN", func(t *testing.T) {
		smtpSays(t, s.Addr(25), "Subject: to-opensmtpd-dsn\r\n\r\nx\r\n", "MAIL FROM:<alice@demo.test> RET=HDRS ENVID=trip-four",
			"RCPT TO:<friend@remote.test> NOTIFY=SUCCESS ORCPT=rfc822;robert@orig.test")
		p.has(t, "Subject: to-opensmtpd-dsn")
		// It sends a report, but does not name the envelope in it.
		holds(t, arrived(t, s, "alice", "MAILER-DAEMON@opensmtpd.test"), "friend@remote.test", "Action: delivered")
	})
	t.Run("no SMTPUTF8", func(t *testing.T) {
		smtpSays(t, s.Addr(25), "Subject: not-sent\r\n\r\nx\r\n", "MAIL FROM:<alice@demo.test> SMTPUTF8", "RCPT TO:<übér@remote.test>")
		holds(t, arrived(t, s, "alice", "übér@remote.test"), "5.6.7", "Action: failed")
	})
}
