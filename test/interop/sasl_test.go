//go:build interop

package interop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/sasl"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// dovecotAuth starts the auth service of a private Dovecot that offers every
// mechanism it has in common with us, and returns a client of it. It knows
// alice, whose password is "secret", takes the same for her token, and lets in
// carol with a certificate and no password. The result is the socket's path.
func dovecotAuth(t *testing.T) string {
	need(t, "dovecot", "doveadm")
	if os.Getuid() != 0 {
		t.Skip("a private Dovecot needs root to start")
	}
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "", "chmod", "755", dir)
	write(t, dir+"/users", "alice:{PLAIN}secret::::::\ncarol:::::::nopassword=y\n", 0o644)
	conf := write(t, dir+"/dovecot.conf", fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-sasl
log_path = %[1]s/log
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop external anonymous oauthbearer xoauth2
auth_anonymous_username = guest
auth_failure_delay = 0
auth_verbose = yes
auth_ssl_username_from_cert = yes
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  unix_listener %[1]s/auth-client {
    mode = 0666
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`, dir), 0o644)
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
	return dir + "/auth-client"
}

// authenticate runs one exchange of our client.
func authenticate(t *testing.T, c *authclient.Client, mech string, cred sasl.Credentials, req authclient.Request) (authclient.Result, error) {
	t.Helper()
	client, err := sasl.NewClient(mech, cred)
	if err != nil {
		t.Fatal(err)
	}
	req.Mech, req.Initial, err = client.Start()
	if err != nil {
		t.Fatal(err)
	}
	req.Service, req.NoLogin, req.Secured = "imap", true, true
	x, step, err := c.Start(t.Context(), req)
	for err == nil && !step.Done {
		var response []byte
		if response, err = client.Next(step.Challenge); err != nil {
			x.Cancel()
			t.Fatalf("%s: our client does not take %q: %v", mech, step.Challenge, err)
		}
		step, err = x.Next(t.Context(), response)
	}
	if err == nil {
		err = sasl.Complete(client)
	}
	return step.Result, err
}

// Our clients against Dovecot's servers.
func TestSASLClientsAgainstDovecot(t *testing.T) {
	c := authclient.New(authclient.Config{Address: dovecotAuth(t), Patience: patience})
	defer c.Close()
	offered, err := c.Mechanisms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid, conn, err := c.Stamp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stamped := sasl.Stamp{PID: pid, Conn: conn}.Challenge(time.Now(), "AAECAwQFBgc=", "mail.test")
	for _, o := range offered {
		t.Run(o.Name, func(t *testing.T) {
			m, ok := sasl.Find(o.Name)
			if !ok {
				t.Fatal("Dovecot offers it, we do not know it")
			}
			if m.Plaintext != o.Plaintext || m.Dictionary != o.Dictionary || m.Active != o.Active || m.Anonymous != o.Anonymous ||
				m.ForwardSecrecy != o.ForwardSecrecy || m.MutualAuth != o.MutualAuth || m.Private != o.Private {
				t.Errorf("Dovecot's properties %+v", o)
			}
			right := sasl.Credentials{Authcid: "alice", Password: "secret", Token: "secret", Stamped: stamped}
			wrong := sasl.Credentials{Authcid: "alice", Password: "wrong", Token: "wrong", Stamped: stamped}
			want, good, bad := "alice", authclient.Request{}, authclient.Request{}
			switch o.Name {
			case "EXTERNAL":
				want, good.ClientCert, good.CertUser = "carol", true, "carol"
			case "ANONYMOUS":
				want = "guest"
			}
			res, err := authenticate(t, c, o.Name, right, good)
			if err != nil || res.User != want {
				t.Errorf("right: %+v, %v", res, err)
			}
			if o.Anonymous {
				return
			}
			if _, err := authenticate(t, c, o.Name, wrong, bad); !fail.Is(err, fail.Denied) {
				t.Errorf("wrong: %v", err)
			}
		})
	}
	if len(offered) != 11 {
		t.Errorf("Dovecot offers %d mechanisms: %+v", len(offered), offered)
	}
}

// Our SMTP client logs in to a Postfix that asks a Dovecot, as mtad does at a
// relay host: by the best mechanism, or by the one that is left.
func TestRelayLoginAtPostfix(t *testing.T) {
	need(t, "postfix", "dovecot")
	socket := dovecotAuth(t)
	for _, tc := range []struct{ filter, want string }{
		{"!EXTERNAL, static:rest", "SCRAM-SHA-256"},
		{"!SCRAM-SHA-256, static:rest", "SCRAM-SHA-1"},
		{"CRAM-MD5, DIGEST-MD5, PLAIN, LOGIN", "CRAM-MD5"},
		{"DIGEST-MD5, PLAIN, LOGIN", "PLAIN"},
		{"LOGIN", "LOGIN"},
		{"XOAUTH2, OAUTHBEARER", "OAUTHBEARER"},
		{"XOAUTH2", "XOAUTH2"},
	} {
		t.Run(tc.want, func(t *testing.T) {
			p := startPostfix(t, fmt.Sprintf("smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = %s\n"+
				"smtpd_sasl_mechanism_filter = %s\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject\n", socket, tc.filter))
			waitPort(t, p.port)
			login := func(password string) (used string, err error) {
				conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				c, err := client.New(t.Context(), conn, client.Config{Name: "mtad.test", Auth: func(offered []string, _ *tls.ConnectionState) (gosasl.Client, error) {
					cred := sasl.Credentials{Authcid: "alice", Password: password}
					if tc.want == "XOAUTH2" || tc.want == "OAUTHBEARER" {
						cred.Token = password
					}
					m, err := sasl.Choose(offered, true, cred)
					if err == nil {
						used, _, _ = m.Start()
					}
					return m, err
				}})
				if err == nil {
					err = c.Close()
				}
				return used, err
			}
			if used, err := login("secret"); err != nil || used != tc.want {
				t.Errorf("right: by %s, %v", used, err)
			}
			var site *client.SiteError
			if _, err := login("wrong"); !errors.As(err, &site) || site.Reply.Code != 535 {
				t.Errorf("wrong: %v", err)
			}
		})
	}
}
