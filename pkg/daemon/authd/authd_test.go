package authd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/socketmap"
)

// try logs in by PLAIN as imapd's login role does.
func try(ctx context.Context, c *authclient.Client, identity, user, password string) (authclient.Result, error) {
	_, step, err := c.Start(ctx, authclient.Request{
		Mech: "PLAIN", Service: "imap", Session: "sess1", RemoteAddr: netip.MustParseAddrPort("192.0.2.1:4000"),
		Initial: []byte(identity + "\x00" + user + "\x00" + password),
	})
	return step.Result, err
}

func TestLogins(t *testing.T) {
	w := newWorld(t, func(c *authconf.Config) { c.Users.DefaultDomain = "example.org" })
	c := w.auth(authserver.Client)
	for _, tc := range []struct {
		name, identity, user, password, want string
	}{
		{"right", "", "bob@example.org", "secret", "ok bob@example.org"},
		{"other case", "", "Bob@EXAMPLE.org", "secret", "ok bob@example.org"},
		{"default domain", "", "bob", "secret", "ok bob@example.org"},
		{"as oneself", "bob", "bob@example.org", "secret", "ok bob@example.org"},
		{"as another", "alice@example.org", "bob@example.org", "secret", "denied bob@example.org authz_fail"},
		{"wrong", "", "bob@example.org", "no", "denied bob@example.org"},
		{"unknown", "", "zoe@example.org", "secret", "denied zoe@example.org"},
		{"locked", "", "locked@example.org", "secret", "denied locked@example.org"},
		{"stored in a way we cannot check", "", "odd@example.org", "x", "unavailable"},
		{"broken line", "", "broken@example.org", "secret", "unavailable"},
		{"empty name", "", "", "secret", "denied"},
		{"path as a name", "", "../../etc/passwd", "secret", "denied ../../etc/passwd@example.org"},
		{"percent", "", "%d%n", "secret", "denied %d%n@example.org"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := try(t.Context(), c, tc.identity, tc.user, tc.password)
			got := "ok " + r.User
			if f := authclient.AsFailure(err); fail.Is(err, fail.Denied) {
				got = strings.TrimSpace("denied " + f.User + " " + f.Code)
			} else if err != nil {
				got = fail.KindOf(err).String()
			}
			if got != tc.want {
				t.Errorf("got %s (%v), want %s", got, err, tc.want)
			}
		})
	}
	r, err := try(t.Context(), c, "", "alice@example.org", "secret")
	if err != nil || !r.Fields.Has("nologin") || r.Fields.Has("password") {
		t.Errorf("%+v %v", r.Fields, err)
	}
}

// The login role's success is worth a redemption by the session role, which
// learns from authd who it is.
func TestHandover(t *testing.T) {
	w := newWorld(t, nil)
	r, err := try(t.Context(), w.auth(authserver.Login), "", "bob@example.org", "secret")
	if err != nil {
		t.Fatal(err)
	}
	m := w.userdb(authserver.Master)
	u, err := m.Redeem(t.Context(), r.PID, r.RequestID, r.Cookie, 0)
	if err != nil || u.User != "bob@example.org" || u.Home != "/home/bob" || u.UID != 1000 || u.GID != 1001 || u.Fields.Get("auth_mech") != "PLAIN" {
		t.Fatalf("%+v %v", u, err)
	}
	if _, err := m.Redeem(t.Context(), r.PID, r.RequestID, r.Cookie, 0); !fail.Is(err, fail.Denied) {
		t.Fatalf("redeemed twice: %v", err)
	}
	if _, err := w.userdb(authserver.Userdb).Redeem(t.Context(), r.PID, r.RequestID, r.Cookie, 0); !fail.Is(err, fail.Denied) {
		t.Fatalf("redeemed at the userdb socket: %v", err)
	}
}

func TestLookups(t *testing.T) {
	w := newWorld(t, nil)
	u := w.userdb(authserver.Userdb)
	alice, err := u.User(t.Context(), "ALICE@example.org", "lmtp")
	if err != nil || alice.User != "alice@example.org" || alice.Home != "/var/mail/postcote/example.org/alice" || alice.Mail != "maildir:~/Maildir" || alice.UID != -1 {
		t.Errorf("%+v %v", alice, err)
	}
	if _, err := u.User(t.Context(), "nobody@example.org", "lmtp"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	if _, err := u.User(t.Context(), "broken@example.org", "lmtp"); !fail.Is(err, fail.Unavailable) {
		t.Errorf("a user with a broken line is no unknown user: %v", err)
	}
	if _, err := u.User(t.Context(), "../x", "lmtp"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	var names []string
	for name, err := range u.List(t.Context(), "*o*@EXAMPLE.org") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "bob@example.org locked@example.org odd@example.org" {
		t.Error(got)
	}
	e := w.userdb(authserver.Exists)
	bob, err := e.User(t.Context(), "bob@example.org", "smtp")
	want := userdbclient.UserRecord{User: "bob@example.org", UID: -1, GID: -1, Class: "mailbox", Fields: dovecotauth.Fields{{Key: "class", Value: "mailbox"}}}
	if err != nil || !reflect.DeepEqual(bob, want) {
		t.Errorf("%+v %v", bob, err)
	}
	for range e.List(t.Context(), "*") {
		names = append(names, "listed")
	}
	if names[len(names)-1] != "listed" { // the refusal
		t.Error("the exists socket answered a list with silence")
	}
}

// An unreadable users file is an outage everywhere and a refusal nowhere; when
// it is back, so is everything, on the same connections.
func TestOutage(t *testing.T) {
	w := newWorld(t, nil)
	c, u, e := w.auth(authserver.Client), w.userdb(authserver.Userdb), w.userdb(authserver.Exists)
	check := func(up bool) {
		t.Helper()
		for _, password := range []string{"secret", "wrong"} {
			_, err := try(t.Context(), c, "", "bob@example.org", password)
			switch {
			case !up && !fail.Is(err, fail.Unavailable), up && (password == "secret") != (err == nil), up && err != nil && !fail.Is(err, fail.Denied):
				t.Errorf("login with %s, up %v: %v", password, up, err)
			}
		}
		for name, ask := range map[string]*userdbclient.Client{"userdb": u, "exists": e} {
			if _, err := ask.User(t.Context(), "bob@example.org", "lmtp"); (err == nil) != up || (err != nil && !fail.Is(err, fail.Unavailable)) {
				t.Errorf("%s, known user, up %v: %v", name, up, err)
			}
			if _, err := ask.User(t.Context(), "nobody@example.org", "lmtp"); fail.Is(err, fail.NotFound) != up {
				t.Errorf("%s, unknown user, up %v: %v", name, up, err)
			}
		}
		for request, want := range map[string]string{
			"domains example.org": "OK mailbox", "domains example.com": "NOTFOUND ",
			"users bob@example.org": "OK bob@example.org", "users zoe@example.org": "NOTFOUND ",
		} {
			if !up {
				want = "TEMP user database is not available"
			}
			if got := w.socketmap(request); got != want {
				t.Errorf("%s: %q, up %v", request, got, up)
			}
		}
	}
	check(true)
	if err := os.Rename(w.path("users"), w.path("away")); err != nil {
		t.Fatal(err)
	}
	check(false)
	w.minor0("EOF")
	if err := os.Rename(w.path("away"), w.path("users")); err != nil {
		t.Fatal(err)
	}
	check(true)
	w.minor0("OK")
}

// minor0 logs in as Postfix does, and expects an OK line or a closed
// connection.
func (w *world) minor0(want string) {
	w.t.Helper()
	nc := w.dial("client")
	// base64 of \0bob@example.org\0secret
	_, _ = nc.Write([]byte("VERSION\t1\t0\nCPID\t99\nAUTH\t1\tPLAIN\tservice=smtp\tnologin\tresp=AGJvYkBleGFtcGxlLm9yZwBzZWNyZXQ=\n"))
	r := dovecotauth.NewReader(nc)
	for {
		l, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && want == "EOF":
			return
		case err != nil:
			w.t.Errorf("want %s, got %v", want, err)
			return
		case l.Verb == "FAIL":
			w.t.Errorf("an outage was told Postfix as a refusal: %+v", l)
			return
		case l.Verb == "OK":
			if want != "OK" {
				w.t.Errorf("want %s, got %+v", want, l)
			}
			return
		}
	}
}

func (w *world) socketmap(requests ...string) string {
	w.t.Helper()
	nc := w.dial("socketmap")
	r := bufio.NewReader(nc)
	var reply string
	for _, request := range requests {
		if _, err := nc.Write(socketmap.Append(nil, request)); err != nil {
			w.t.Fatal(err)
		}
		var err error
		if reply, err = socketmap.Read(r, socketmap.MaxRequest); err != nil {
			return err.Error()
		}
	}
	return reply
}

// The lines that fail2ban's and logwatch's dovecot filters look for.
func TestClassicLines(t *testing.T) {
	w := newWorld(t, nil)
	c := w.auth(authserver.Login)
	for _, login := range [][3]string{
		{"", "bob@example.org", "no"},
		{"", "zoe@example.org", "no"},
		{"", "odd@example.org", "no"},
		{"alice@example.org", "bob@example.org", "secret"},
		{"", "", "no"},
	} {
		if _, err := try(t.Context(), c, login[0], login[1], login[2]); err == nil {
			t.Errorf("%s logged in", login[1])
		}
	}
	want := []string{
		"auth: Error: passwd-file " + w.path("users") + `: line 6: uid "uid" is not a number above 0`,
		"auth: passwd-file " + w.path("users") + ": Read 4 users",
		"auth: passwd-file(bob@example.org,192.0.2.1,<sess1>): Password mismatch",
		"auth: passwd-file(zoe@example.org,192.0.2.1,<sess1>): unknown user",
		`auth: Error: plain(odd@example.org,192.0.2.1,<sess1>): passwd-file: user odd@example.org: password scheme "NTLM" is not supported`,
		"auth: plain(bob@example.org,192.0.2.1,<sess1>): user bob@example.org: may not act as another user",
		"auth: plain(?,192.0.2.1,<sess1>): invalid input: PLAIN response: user name is empty",
	}
	got := w.log.Classic()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, e := range w.log.Events() {
		for _, a := range e.Attrs() {
			if strings.Contains(a.String(), "secret") {
				t.Errorf("%s shows a password: %s", e.Event(), a)
			}
		}
	}
}

// While every slot hashes and the queue is full, the rest goes on.
func TestHashFloodStarvesNobody(t *testing.T) {
	w := newWorld(t, func(c *authconf.Config) { c.Passwords.Slots, c.Passwords.Queue = 1, 1 })
	w.writeUsers("slow@example.org:{ARGON2ID}$argon2id$v=19$m=32768,t=2,p=1$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI\nbob@example.org:{PLAIN}secret\n")
	c, u := w.auth(authserver.Client), w.userdb(authserver.Userdb)
	flood, stop := context.WithCancel(t.Context())
	verdicts := make(chan error, 8)
	for range cap(verdicts) {
		go func() {
			_, err := try(flood, c, "", "slow@example.org", "x")
			verdicts <- err
		}()
	}
	// A request that finds the queue full is told so at once, as an outage.
	if err := <-verdicts; !fail.Is(err, fail.Unavailable) {
		t.Errorf("the queue is not bounded: %v", err)
	}
	for range 100 {
		if _, err := u.User(t.Context(), "bob@example.org", "lmtp"); err != nil {
			t.Fatal(err)
		}
		// On the same connection too, where the next line is read while a
		// login waits for its hash.
		if _, err := try(t.Context(), c, "", "bob@example.org", "secret"); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	for range cap(verdicts) - 1 {
		if err := <-verdicts; err == nil {
			t.Error("logged in without the password")
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	c := authconf.Default()
	err := conf.Parse("f", []byte(`listeners:
  - {type: master, listen: "127.0.0.1:1"}
  - {type: userdb, listen: {address: "unix:/s", mode: "0777"}}
  - {type: client, listen: "192.0.2.1:1"}
  - {type: client, listen: "127.0.0.1:1"}
  - {type: root, listen: "unix:/s"}
  - {type: login, listen: {address: "127.0.0.1:1", allow_networks: ["127.0.0.1"]}}
  - {type: userdb, listen: "127.0.0.1:1"}
  - {type: exists, listen: {address: "192.0.2.1:1", allow_networks: ["192.0.2.0/24"]}}
  - {type: userdb, listen: {address: "unix:/s", mode: "0666"}}
  - {type: master, listen: {address: "unix:/s", mode: "0666"}}
passdb: [{driver: passwd-file}]
users: {file: users, home: "mail/%x", fields: {uid: "0"}}
login: {mechanisms: [PLAIN, NTLM], trusted_networks: ["10.1.2.3/8"]}
passwords: {allow_schemes: [SSHA], scheme: PLAIN}
`), &c)
	want := []string{
		"f:2: listeners[0].listen: a socket of type master must be local",
		"f:3: listeners[1].listen.mode: everybody on this host could connect",
		"f:4: listeners[2].listen: everybody who reaches 192.0.2.1:1 could ask",
		"f:6: listeners[4].type",
		"f:7: listeners[5].listen: a socket of type login must be local",
		"f:8: listeners[6].listen: everybody who reaches 127.0.0.1:1 could list the users",
		"f:11: listeners[9].listen.mode: everybody on this host could connect",
		"f:13: users.file", "f:13: users.home", "f:13: users.fields",
		"f:14: login.mechanisms[1]", "f:14: login.trusted_networks[0]",
		"f:15: passwords.allow_schemes[0]", "f:15: passwords.scheme",
	}
	var problems conf.Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	text := problems.Error()
	for _, line := range want {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing", line)
		}
	}
	if len(problems) != len(want) {
		t.Errorf("%d problems, want %d:\n%s", len(problems), len(want), text)
	}
}

func TestConfigIsDocumented(t *testing.T) {
	c := authconf.Default()
	if err := conf.CheckDocs(&c); err != nil {
		t.Error(err)
	}
}

func TestDrain(t *testing.T) {
	w := newWorld(t, nil)
	nc := w.dial("userdb")
	if _, err := dovecotauth.NewReader(nc).Next(); err != nil { // it is being served
		t.Fatal(err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadAll(nc); err != nil {
		t.Fatalf("the connection outlived the daemon: %v", err)
	}
}
