package authd

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/apppassword"
	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// useLocal makes the users store the only database.
func useLocal(c *authconf.Config, file string) {
	c.Passdb, c.Userdb = make([]authconf.Passdb, 1), make([]authconf.Userdb, 1)
	c.Passdb[0].Preset()
	c.Userdb[0].Preset()
	c.Passdb[0].Local, c.Userdb[0].Local = &localdb.Config{File: file}, &localdb.Config{File: file}
}

// What Postfix and mtad ask about addresses.
func TestAddressMaps(t *testing.T) {
	var file string
	w := newWorld(t, func(c *authconf.Config) {
		file = filepath.Join(filepath.Dir(c.Users.File), "users.sqlite")
		useLocal(c, file)
		c.Users.DefaultDomain = "example.org"
	})
	if got := w.socketmap("aliases a@example.org"); got != "TEMP user database is not available" {
		t.Errorf("an empty store: %q", got)
	}
	s, err := localdb.Open(localdb.Config{File: file}, localdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	for _, name := range []string{"alice@example.org", "bob@example.org", "carol@bücher.example"} {
		must(s.AddUser(ctx, localdb.User{Address: name, Enabled: true}))
	}
	must(s.AddDomain(ctx, "alias.example", localdb.AliasOnly, true))
	must(s.AddDomain(ctx, "relay.example", localdb.Relay, true))
	must(s.AddDomain(ctx, "off.example", localdb.Mailbox, false))
	must(s.AddAlias(ctx, "info@example.org", []string{"alice@example.org", "Mixed.Case@elsewhere.example", `"odd name"@elsewhere.example`}, true, false))
	must(s.AddAlias(ctx, "info@example.org", []string{"alice@example.org", "bob@example.org"}, false, true))
	must(s.AddAlias(ctx, "all@alias.example", []string{"carol@bücher.example"}, true, false))
	must(s.AddAlias(ctx, "@alias.example", []string{"bob@example.org"}, true, true))
	var many []string
	for i := range 500 {
		many = append(many, fmt.Sprintf("%s%d@%sexample", strings.Repeat("a", 60), i, strings.Repeat("long.", 38)))
	}
	must(s.AddAlias(ctx, "many@example.org", many, true, false))
	for _, tc := range []struct{ request, want string }{
		{"domains example.org", "OK mailbox"},
		{"domains alias.example", "OK mailbox"},
		{"domains xn--bcher-kva.example", "OK mailbox"},
		{"domains relay.example", "NOTFOUND "},
		{"domains off.example", "NOTFOUND "},
		{"relays relay.example", "OK relay"},
		{"relays example.org", "NOTFOUND "},
		{"relays two words", "NOTFOUND "},
		{"aliases info@example.org", `OK "odd name"@elsewhere.example,Mixed.Case@elsewhere.example,alice@example.org`},
		{"aliases INFO@EXAMPLE.ORG", `OK "odd name"@elsewhere.example,Mixed.Case@elsewhere.example,alice@example.org`},
		{"aliases all@alias.example", "OK carol@xn--bcher-kva.example"},
		{"aliases @alias.example", "OK bob@example.org"},
		{"aliases alice@example.org", "NOTFOUND "},
		{"aliases zoe@example.org", "NOTFOUND "},
		{"aliases info", "NOTFOUND "},
		{"aliases ../x", "NOTFOUND "},
		{"aliases two words", "NOTFOUND "},
		{"aliases many@example.org", "TEMP user database is not available"}, // too long for Postfix
		{"senders info@example.org", "OK alice@example.org,bob@example.org"},
		{"senders alice@example.org", "OK alice@example.org"},
		{"senders x@alias.example", "OK bob@example.org"},
		{"senders zoe@example.org", "NOTFOUND "},
		{"senders @example.org", "NOTFOUND "},
		{"senders a/b", "NOTFOUND "},
		{"users alice@example.org", "OK alice@example.org"},
		{"users info@example.org", "NOTFOUND "},
	} {
		if got := w.socketmap(tc.request); got != tc.want {
			t.Errorf("%q: %.200q", tc.request, got)
		}
	}
}

// Users of a database that knows nothing of senders may send as themselves.
func TestSendersOfAFile(t *testing.T) {
	w := newWorld(t, nil)
	for request, want := range map[string]string{
		"senders bob@example.org": "OK bob@example.org", "senders zoe@example.org": "NOTFOUND ", "senders @example.org": "NOTFOUND ",
		"senders broken@example.org": "TEMP user database is not available", "aliases bob@example.org": "NOTFOUND ", "relays example.org": "NOTFOUND ",
	} {
		if got := w.socketmap(request); got != want {
			t.Errorf("%s: %q", request, got)
		}
	}
}

// The life of a user of the store, while the daemon runs: every change counts
// at the next request.
func TestLocalStore(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "state", "users.sqlite")
	more := fmt.Sprintf(`passdb: [{driver: local, local: {file: %[1]s, app_passwords_only: [pop3]}}]
userdb: [{driver: local, local: {file: %[1]s, app_passwords_only: [pop3]}}]
`, store)
	file := configFile(t, dir, more)
	server := start(t, file)
	run := func(stdin string, wantCode int, args ...string) string {
		t.Helper()
		out, errs, code := authdCommand(t, stdin, append(args, "-c", file)...)
		if code != wantCode {
			t.Fatalf("%v: exit code %d: %s%s", args, code, out, errs)
		}
		return strings.TrimSuffix(out, "\n")
	}
	c := authclient.New(authclient.Config{Address: filepath.Join(dir, "client")})
	defer c.Close()
	login := func(service, user, password string) string {
		t.Helper()
		_, step, err := c.Start(t.Context(), authclient.Request{
			Mech: "PLAIN", Service: service, Session: "s", Initial: []byte("\x00" + user + "\x00" + password),
		})
		if err != nil {
			return fail.KindOf(err).String()
		}
		return step.Result.User
	}
	expect := func(want, service, user, password string) {
		t.Helper()
		if got := login(service, user, password); got != want {
			t.Errorf("%s %s %s: %s, want %s", service, user, password, got, want)
		}
	}
	const alice = "alice@example.org"
	expect("unavailable", "imap", "alice", "one")
	run("one\n", 0, "user", "add", "alice", "--storage", "1GiB")
	expect(alice, "imap", "alice", "one")
	expect(alice, "pop3", "alice", "one")
	phone := run("", 0, "app-password", "add", "alice", "phone", "--for", "imap,pop3")
	expect(alice, "imap", "alice", phone)
	expect(alice, "imap", "alice", "one")
	expect(alice, "pop3", "alice", strings.ToUpper(phone))
	expect("denied", "pop3", "alice", "one")
	expect("denied", "smtp", "alice", phone)
	run("", 0, "store", "backup", filepath.Join(dir, "backup"))
	run("", 0, "app-password", "revoke", "alice", "phone")
	expect("denied", "imap", "alice", phone)
	run("two\n", 0, "user", "password", "alice")
	expect("denied", "imap", "alice", "one")
	run("", 0, "user", "disable", "alice")
	expect("denied", "imap", "alice", "two")
	run("", 0, "user", "delete", "alice")
	expect("denied", "imap", "alice", "two")
	run("", 0, "store", "restore", filepath.Join(dir, "backup"))
	expect(alice, "imap", "alice", "one")
	expect(alice, "imap", "alice", phone)
	run("", 0, "store", "check")
	server.stop(0)
	var used struct {
		LastUsed time.Time `json:"last_used"`
		Service  string    `json:"last_service"`
	}
	if err := json.Unmarshal([]byte(run("", 0, "app-password", "list", "--json", "alice")), &used); err != nil || time.Since(used.LastUsed) > time.Hour || used.Service != "imap" {
		t.Errorf("%+v %v", used, err)
	}
	run("", 75, "user", "list", "--store", filepath.Join(dir, "none"))
}

// A challenge mechanism takes any of a user's app passwords.
func TestSCRAMWithAppPasswords(t *testing.T) {
	var file string
	w := newWorld(t, func(c *authconf.Config) {
		file = filepath.Join(filepath.Dir(c.Users.File), "users.sqlite")
		useLocal(c, file)
		c.Login.Mechanisms = []string{"SCRAM-SHA-256"}
	})
	s, err := localdb.Open(localdb.Config{File: file}, localdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stored, err := scheme.GenerateWith(&scheme.Workspace{}, "SHA512-CRYPT", "main", scheme.Options{Costs: scheme.Costs{Rounds: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddUser(t.Context(), localdb.User{Address: "alice@example.org", Stored: stored, Enabled: true}); err != nil {
		t.Fatal(err)
	}
	app := func(name string, scopes ...apppassword.Scope) string {
		p, err := s.AddAppPassword(t.Context(), "alice@example.org", name, scopes, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first, second, other := app("first", apppassword.IMAP), app("second", apppassword.IMAP), app("other", apppassword.SMTP)
	for _, tc := range []struct{ password, want string }{
		{first, "alice@example.org"}, {second, "alice@example.org"}, {other, "denied"}, {"wrong", "denied"},
	} {
		client, err := sasl.NewClient("SCRAM-SHA-256", sasl.Credentials{Authcid: "alice@example.org", Password: tc.password})
		if err != nil {
			t.Fatal(err)
		}
		_, initial, err := client.Start()
		if err != nil {
			t.Fatal(err)
		}
		x, step, err := w.auth(authserver.Client).Start(t.Context(), authclient.Request{Mech: "SCRAM-SHA-256", Service: "imap", Initial: initial})
		for err == nil && !step.Done {
			var response []byte
			if response, err = client.Next(step.Challenge); err == nil {
				step, err = x.Next(t.Context(), response)
			}
		}
		got := step.Result.User
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != tc.want {
			t.Errorf("%s: %s %v", tc.password, got, err)
		}
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	list, err := s.AppPasswords(t.Context(), "alice@example.org")
	if err != nil || list[0].LastUsed.IsZero() || list[1].LastUsed.IsZero() || !list[2].LastUsed.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
}
