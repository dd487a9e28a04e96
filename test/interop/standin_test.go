//go:build interop

package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// A real Postfix in mtad's place: it delivers to our deliverd by LMTP and
// authenticates its clients against our authd.
func TestPostfixUsesDeliverdAndAuthd(t *testing.T) {
	need(t, "postfix", "swaks")
	s := start(t, nil)
	s.Procs["mtad"].Stop()
	// On an installed system a drop-in sets SocketGroup=postfix.
	for _, k := range []string{"run/deliverd/lmtp", "run/authd/auth-client", "run/authd/socketmap"} {
		if err := os.Chmod(s.Path(k), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	p := startPostfix(t, fmt.Sprintf(`virtual_mailbox_domains = socketmap:unix:%[1]s/run/authd/socketmap:domains
virtual_mailbox_maps = socketmap:unix:%[1]s/run/authd/socketmap:users
virtual_transport = lmtp:unix:%[1]s/run/deliverd/lmtp
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = %[1]s/run/authd/auth-client
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
`, s.Dir))
	alice, bob := s.Accounts[0], s.Accounts[1]
	server := fmt.Sprintf("127.0.0.1:%d", p.port)
	for _, mech := range []string{"PLAIN", "LOGIN"} {
		run(t, "", "swaks", "--server", server, "--auth", mech, "--auth-user", alice.Name, "--auth-password", alice.Password,
			"--from", alice.Name, "--to", bob.Name, "--header", "Subject: via-postfix-"+mech)
		if got := arrived(t, s, "bob", "via-postfix-"+mech); !strings.Contains(got, "with LMTP") {
			t.Errorf("no trace of deliverd in:\n%s", got)
		}
	}
	out, err := try("", "swaks", "--server", server, "--auth", "PLAIN", "--auth-user", alice.Name, "--auth-password", "wrong",
		"--from", alice.Name, "--to", bob.Name)
	if err == nil || !strings.Contains(out, "535") {
		t.Errorf("wrong password (%v):\n%s", err, out)
	}
	out, err = try("", "swaks", "--server", server, "--auth", "PLAIN", "--auth-user", alice.Name, "--auth-password", alice.Password,
		"--from", alice.Name, "--to", "nobody@"+suite.Domain)
	if err == nil || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("unknown recipient (%v):\n%s", err, out)
	}
	// An outage is a temporary answer of Postfix, never 535.
	s.Procs["authd"].Stop()
	out, err = try("", "swaks", "--server", server, "--auth", "PLAIN", "--auth-user", alice.Name, "--auth-password", alice.Password,
		"--from", alice.Name, "--to", bob.Name)
	if err == nil || strings.Contains(out, "535") {
		t.Errorf("outage (%v):\n%s", err, out)
	}
}

// A real Dovecot in the place of deliverd and authd: mtad authenticates
// against its auth service, asks its userdb who exists and delivers to its LMTP.
func TestMtadUsesDovecot(t *testing.T) {
	need(t, "dovecot", "doveadm", "swaks")
	if os.Getuid() != 0 {
		t.Skip("a private Dovecot needs root to start")
	}
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "", "chmod", "755", dir)
	write(t, dir+"/users", "alice@demo.test:{PLAIN}secret::::::\nbob@demo.test:{PLAIN}secret::::::\n", 0o644)
	conf := write(t, dir+"/dovecot.conf", fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-standin
log_path = %[1]s/log
protocols = lmtp
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
first_valid_uid = 1
first_valid_gid = 1
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
  default_fields = uid=65534 gid=65534 home=%[1]s/mail/%%n
}
mail_location = maildir:~/Maildir
service lmtp {
  unix_listener %[1]s/lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener %[1]s/auth-client {
    mode = 0666
  }
  unix_listener %[1]s/auth-userdb {
    mode = 0600
    user = root
  }
}
`, dir), 0o644)
	run(t, "", "install", "-d", "-o", "65534", "-g", "65534", dir+"/mail")
	run(t, "", "dovecot", "-c", conf)
	t.Cleanup(func() {
		_, _ = try("", "doveadm", "-c", conf, "stop")
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log")
			t.Logf("Dovecot log:\n%s", log)
		}
		os.RemoveAll(dir)
	})
	waitAuth(t, dir+"/auth-client")
	s := start(t, map[string]func(string) string{"mtad": func(c string) string {
		for key, value := range map[string]string{"auth_socket:": dir + "/auth-client", "exists_socket:": dir + "/auth-userdb", "lmtp:": "unix:" + dir + "/lmtp"} {
			c = setting(c, key, value)
		}
		return c
	}})
	run(t, "", "swaks", "--server", s.Addr(587), "--tls", "--auth", "PLAIN", "--auth-user", "alice@demo.test", "--auth-password", "secret",
		"--from", "alice@demo.test", "--to", "bob@demo.test", "--header", "Subject: into-dovecot")
	eventually(t, "Dovecot has the message", func() bool {
		for _, m := range messages(dir + "/mail/bob/Maildir") {
			if strings.Contains(m, "into-dovecot") {
				return true
			}
		}
		return false
	})
	out, err := try("", "swaks", "--server", s.Addr(25), "--from", "x@y.test", "--to", "nobody@demo.test")
	if err == nil || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("unknown user (%v):\n%s", err, out)
	}
}
