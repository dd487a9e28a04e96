//go:build interop

package interop

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/sasl"
	"github.com/postcote/postcote/test/suite"
)

// authDovecot is a Dovecot that serves nothing but its auth sockets: login,
// auth-client, auth-master and auth-userdb. One user may not log in.
type authDovecot struct {
	t    *testing.T
	dir  string
	conf string
}

func newAuthDovecot(t *testing.T) *authDovecot {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a private Dovecot needs root to start")
	}
	dir := tempDir(t, "dovecot")
	return &authDovecot{t: t, dir: dir, conf: filepath.Join(dir, "dovecot.conf")}
}

func (d *authDovecot) socket(name string) string { return filepath.Join(d.dir, "run", name) }

// configure takes the accounts and the folder above their mail.
func (d *authDovecot) configure(accounts []suite.Account, folder string) {
	var users strings.Builder
	for _, a := range accounts {
		fmt.Fprintf(&users, "%s:{PLAIN}%s::::::\n", a.Name, a.Password)
	}
	fmt.Fprintf(&users, "gone@%s:{PLAIN}secret::::::nologin reason=Moved_away\n", suite.Domain)
	write(d.t, filepath.Join(d.dir, "users"), users.String(), 0o644)
	write(d.t, d.conf, fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-mirror
log_path = %[1]s/log
auth_verbose = yes
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256 digest-md5
auth_failure_delay = 0
first_valid_uid = 1
first_valid_gid = 1
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=%[2]s/mail/%%d/%%n
}
mail_location = maildir:~/Maildir
service auth {
  unix_listener auth-client {
    mode = 0666
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`, d.dir, folder), 0o644)
}

func (d *authDovecot) start() {
	d.t.Helper()
	run(d.t, "", "dovecot", "-c", d.conf)
	waitAuth(d.t, d.socket("auth-client"))
	d.t.Cleanup(func() {
		d.stop()
		if d.t.Failed() {
			log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			d.t.Logf("Dovecot log:\n%s", log)
		}
	})
}

// stop also ends the auth process, which serves the connections that it has
// beyond the end of its master.
func (d *authDovecot) stop() {
	pid := authPID(d.socket("auth-client"))
	if out, err := try("", "doveadm", "-c", d.conf, "stop"); err != nil {
		d.t.Logf("stopping Dovecot: %v %s", err, out)
	}
	if pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// authPID is what Dovecot's auth process says of itself at its client socket;
// 0 when there is none.
func authPID(socket string) (pid int) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 0
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "SPID\t%d", &pid); err == nil {
			return pid
		}
	}
	return 0
}

// waitAuth returns when Dovecot's auth process answers. Its master starts it for
// the first client, who may have less patience than that takes.
func waitAuth(t *testing.T, socket string) {
	t.Helper()
	eventually(t, "Dovecot's auth process answers", func() bool { return authPID(socket) > 0 })
}

// with sets keys of a configuration, which are at the beginning of their lines.
func with(values ...string) func(string) string {
	return func(c string) string {
		for i := 0; i < len(values); i += 2 {
			key, rest, found := strings.Cut("\n"+c, "\n"+values[i]+":")
			if !found {
				c += "\n" + values[i] + ": " + values[i+1] + "\n"
				continue
			}
			_, tail, _ := strings.Cut(rest, "\n")
			c = strings.TrimPrefix(key+"\n"+values[i]+": "+values[i+1]+"\n"+tail, "\n")
		}
		return c
	}
}

// Dovecot's auth service in authd's place: mtad checks passwords and recipients
// with it, deliverd looks users up, imapd's login role logs in and its session
// role redeems the login, by IMAP and POP3.
func TestSuiteUsesDovecotAuth(t *testing.T) {
	need(t, "dovecot", "doveadm", "swaks", "curl")
	d := newAuthDovecot(t)
	s := start(t, map[string]func(string) string{
		"mtad":        with("auth_socket", d.socket("auth-client"), "exists_socket", d.socket("auth-userdb")),
		"deliverd":    with("userdb_socket", d.socket("auth-userdb")),
		"imapd-login": with("auth_socket", d.socket("login/login")),
		"imapd":       with("auth_socket", d.socket("auth-master")),
	})
	s.Procs["authd"].Stop()
	d.configure(s.Accounts, s.Dir)
	d.start()
	m := mirror{t, s}

	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5"} {
		eventually(t, "SMTP AUTH "+mech, func() bool { return m.send(mech, "mirror-"+mech) == nil })
		arrived(t, s, "bob", "mirror-"+mech)
	}
	m.refused(s.Addr(25), "nobody@"+suite.Domain, "550 5.1.1")
	for _, scheme := range []string{"imaps", "pop3s"} {
		for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5"} {
			if out, err := m.read(scheme, s.Accounts[1], mech); err != nil || !strings.Contains(out, "mirror-PLAIN") {
				t.Errorf("%s with %s: %v\n%s", scheme, mech, err, out)
			}
		}
		m.own(scheme, s.Accounts[1])
		if out, err := m.read(scheme, suite.Account{Name: s.Accounts[1].Name, Password: "wrong"}, "PLAIN"); err == nil || !strings.Contains(out, "denied") {
			t.Errorf("%s with a wrong password: %v\n%s", scheme, err, out)
		}
		if out, err := m.read(scheme, suite.Account{Name: "gone@" + suite.Domain, Password: "secret"}, "PLAIN"); err == nil || !strings.Contains(out, "Moved_away") {
			t.Errorf("%s of a user who may not: %v\n%s", scheme, err, out)
		}
	}
	m.outage(d)
}

// mirror asks the suite.
type mirror struct {
	t *testing.T
	s *suite.Suite
}

// send submits a message of alice to bob.
func (m mirror) send(mech, mark string) error {
	a, b := m.s.Accounts[0], m.s.Accounts[1]
	out, err := try("", "swaks", "--server", m.s.Addr(587), "--tls", "--auth", mech, "--auth-user", a.Name, "--auth-password", a.Password,
		"--from", a.Name, "--to", b.Name, "--header", "Subject: "+mark)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func (m mirror) refused(server, to, want string) {
	m.t.Helper()
	out, err := try("", "swaks", "--server", server, "--from", "x@y.test", "--to", to)
	if err == nil || !strings.Contains(out, want) {
		m.t.Errorf("mail to %s (%v), want %s:\n%s", to, err, want, out)
	}
}

// own logs in with the protocol's own commands.
func (m mirror) own(scheme string, a suite.Account) {
	m.t.Helper()
	at, say, want := m.s.Addr(995), fmt.Sprintf("USER %s\r\nPASS %s\r\nQUIT\r\n", a.Name, a.Password), "+OK Logged in."
	if scheme == "imaps" {
		at, say, want = m.s.Addr(993), fmt.Sprintf("a LOGIN %s %s\r\nb LOGOUT\r\n", a.Name, a.Password), "] Logged in"
	}
	c, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		m.t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, say)
	if got, _ := io.ReadAll(c); !strings.Contains(string(got), want) {
		m.t.Errorf("%s: %s", scheme, got)
	}
}

// read fetches the first message.
func (m mirror) read(scheme string, a suite.Account, mech string) (string, error) {
	url := fmt.Sprintf("%s://%s/1", scheme, m.s.Addr(995))
	if scheme == "imaps" {
		url = fmt.Sprintf("%s://%s/INBOX;UID=1", scheme, m.s.Addr(993))
	}
	return try("", "curl", "-sSv", "-u", a.Name+":"+a.Password, "--cacert", m.s.Path("etc/tls/cert.pem"), "--login-options", "AUTH="+mech, url)
}

// outage: everything is temporary, and over when Dovecot is back.
func (m mirror) outage(d *authDovecot) {
	m.t.Helper()
	d.stop()
	if err := m.send("PLAIN", "down"); err == nil || !strings.Contains(err.Error(), "454 4.7.0") {
		m.t.Errorf("SMTP AUTH during an outage: %v", err)
	}
	if out, err := m.read("imaps", m.s.Accounts[1], "PLAIN"); err == nil || !strings.Contains(out, "[UNAVAILABLE]") {
		m.t.Errorf("IMAP login during an outage: %v\n%s", err, out)
	}
	d.start()
	eventually(m.t, "SMTP AUTH works again", func() bool { return m.send("PLAIN", "up-again") == nil })
	arrived(m.t, m.s, "bob", "up-again")
	eventually(m.t, "IMAP works again", func() bool {
		_, err := m.read("imaps", m.s.Accounts[1], "PLAIN")
		return err == nil
	})
}

// Our protocol clients against Dovecot's auth service: every mechanism that both
// have, whatever way the last message takes, and all questions about users.
func TestClientsUseDovecotAuth(t *testing.T) {
	need(t, "dovecot", "doveadm")
	d := newAuthDovecot(t)
	d.configure([]suite.Account{{Name: "alice@demo.test", Password: "s3cret"}}, d.dir)
	d.start()
	auth := authclient.New(authclient.Config{Address: d.socket("login/login"), Patience: patience, ChannelBinding: true})
	defer auth.Close()
	master := userdbclient.New(userdbclient.Config{Address: d.socket("auth-master"), Patience: patience})
	defer master.Close()
	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-256"} {
		for _, finalOK := range []bool{false, true} {
			r, err := exchange(t.Context(), auth, mech, finalOK, sasl.Credentials{Authcid: "alice@demo.test", Password: "s3cret"})
			if err != nil || r.User != "alice@demo.test" {
				t.Errorf("%s, last message with OK %v: %+v %v", mech, finalOK, r, err)
				continue
			}
			u, err := master.Redeem(t.Context(), r.PID, r.RequestID, r.Cookie, 0)
			if err != nil || u.User != r.User || u.Home != d.dir+"/mail/demo.test/alice" || u.Fields.Get("auth_mech") != mech {
				t.Errorf("redeeming %s: %+v %v", mech, u, err)
			}
			if _, err := master.Redeem(t.Context(), r.PID, r.RequestID, r.Cookie, 0); !fail.Is(err, fail.Denied) {
				t.Errorf("redeemed twice: %v", err)
			}
		}
		if r, err := exchange(t.Context(), auth, mech, false, sasl.Credentials{Authcid: "alice@demo.test", Password: "no"}); !fail.Is(err, fail.Denied) {
			t.Errorf("%s with a wrong password: %+v %v", mech, r, err)
		}
	}
	q := userdbclient.Query{User: "alice@demo.test", Service: "lmtp", Session: "s1", RemoteAddr: netip.MustParseAddrPort("192.0.2.1:25")}
	if u, err := master.Lookup(t.Context(), q); err != nil || u.UID != 65534 {
		t.Errorf("%+v %v", u, err)
	}
	if u, err := master.Pass(t.Context(), userdbclient.Query{User: "gone@demo.test", Service: "imap"}); err != nil || !u.Fields.Has("nologin") {
		t.Errorf("%+v %v", u, err)
	}
	q.User = "zoe@demo.test"
	if _, err := master.Lookup(t.Context(), q); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	if _, err := master.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}

// exchange runs one login as a client of ours and its login process would.
func exchange(ctx context.Context, auth *authclient.Client, mech string, finalOK bool, c sasl.Credentials) (authclient.Result, error) {
	m, _ := sasl.Find(mech)
	client := m.NewClient(c)
	_, initial, err := client.Start()
	if err != nil {
		return authclient.Result{}, err
	}
	x, step, err := auth.Start(ctx, authclient.Request{Mech: mech, Service: "imap", Secured: true, Initial: initial, FinalOK: finalOK})
	for err == nil && !step.Done {
		var response []byte
		if response, err = client.Next(step.Challenge); err != nil {
			x.Cancel()
			break
		}
		step, err = x.Next(ctx, response)
	}
	if err == nil && step.Result.Final != nil {
		_, err = client.Next(step.Result.Final)
	}
	return step.Result, err
}
