//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Programs that users submit mail with: over STARTTLS on 587 and TLS on 465.
func TestSubmission(t *testing.T) {
	need(t, "swaks", "msmtp", "curl")
	s := start(t, nil)
	alice, bob := s.Accounts[0], s.Accounts[1]
	ca := s.Path("etc/tls/cert.pem")

	t.Run("swaks STARTTLS PLAIN", func(t *testing.T) {
		out := run(t, "", "swaks", "--server", s.Addr(587), "--tls", "--auth", "PLAIN", "--auth-user", alice.Name,
			"--auth-password", alice.Password, "--from", alice.Name, "--to", bob.Name, "--header", "Subject: swaks-starttls")
		if !strings.Contains(out, "235 2.7.0") || !strings.Contains(out, "queued as") {
			t.Errorf("dialogue:\n%s", out)
		}
		arrived(t, s, "bob", "swaks-starttls")
	})
	t.Run("swaks TLS LOGIN", func(t *testing.T) {
		run(t, "", "swaks", "--server", s.Addr(465), "--tls-on-connect", "--auth", "LOGIN", "--auth-user", alice.Name,
			"--auth-password", alice.Password, "--from", alice.Name, "--to", bob.Name, "--header", "Subject: swaks-tls")
		arrived(t, s, "bob", "swaks-tls")
	})
	t.Run("swaks wrong password", func(t *testing.T) {
		out, err := try("", "swaks", "--server", s.Addr(587), "--tls", "--auth", "PLAIN", "--auth-user", alice.Name,
			"--auth-password", "wrong", "--from", alice.Name, "--to", bob.Name)
		if err == nil || !strings.Contains(out, "535 5.7.8") {
			t.Errorf("a wrong password must get 535 5.7.8 (%v):\n%s", err, out)
		}
	})
	t.Run("swaks no TLS no AUTH", func(t *testing.T) {
		out, err := try("", "swaks", "--server", s.Addr(587), "--auth", "PLAIN", "--auth-user", alice.Name,
			"--auth-password", alice.Password, "--from", alice.Name, "--to", bob.Name)
		if err == nil || strings.Contains(out, "250-AUTH") {
			t.Errorf("AUTH must not be offered before TLS (%v):\n%s", err, out)
		}
	})
	for mode, port := range map[string]int{"starttls": 587, "tls": 465} {
		t.Run("msmtp "+mode, func(t *testing.T) {
			mark := "msmtp-" + mode
			rc := write(t, filepath.Join(t.TempDir(), "msmtprc"), fmt.Sprintf(`account default
host 127.0.0.1
port %d
tls on
tls_starttls %s
tls_trust_file %s
auth plain
user %s
password %s
from %s
`, s.Base+port, map[string]string{"starttls": "on", "tls": "off"}[mode], ca, alice.Name, alice.Password, alice.Name), 0o600)
			run(t, letter(alice.Name, bob.Name, mark), "msmtp", "-C", rc, bob.Name)
			got := arrived(t, s, "bob", mark)
			if !strings.Contains(got, "\n.dot first\nlast line\n") {
				t.Errorf("body changed on the way:\n%s", got)
			}
		})
	}
	t.Run("curl", func(t *testing.T) {
		run(t, letter(alice.Name, bob.Name, "curl-submission"), "curl", "-sS", "--cacert", ca, "--ssl-reqd", "-u", alice.Name+":"+alice.Password,
			"--mail-from", alice.Name, "--mail-rcpt", bob.Name, "-T", "-", "smtp://"+s.Addr(587))
		arrived(t, s, "bob", "curl-submission")
	})
}

// The open port 25: mail for us is taken, an unknown user is refused at RCPT.
// (Relay denial needs a client outside the trusted networks; the transcript
// tests of mtad cover it.)
func TestPort25(t *testing.T) {
	need(t, "swaks")
	s := start(t, nil)
	run(t, "", "swaks", "--server", s.Addr(25), "--from", "stranger@elsewhere.test", "--to", s.Accounts[0].Name, "--header", "Subject: port25")
	arrived(t, s, "alice", "port25")
	out, err := try("", "swaks", "--server", s.Addr(25), "--from", "stranger@elsewhere.test", "--to", "nobody@demo.test")
	if err == nil || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("unknown user must get 550 5.1.1 (%v):\n%s", err, out)
	}
	out = run(t, "", "swaks", "--server", s.Addr(25), "--tls", "--from", "stranger@elsewhere.test", "--to", s.Accounts[0].Name, "--header", "Subject: over-tls")
	if got := arrived(t, s, "alice", "over-tls"); !strings.Contains(got, "ESMTPS") {
		t.Errorf("Received does not say ESMTPS:\n%s\n%s", got, out)
	}
}
