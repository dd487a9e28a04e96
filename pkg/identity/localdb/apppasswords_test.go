package localdb

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/identity/apppassword"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

var noTime time.Time

// verify decides a login the way the daemon does.
func (w *world) verify(user, service, password string) (string, error) {
	a, err := w.account(user, service)
	if err != nil {
		return "", err
	}
	for _, alt := range a.Alternatives {
		if alt.Matches(password) {
			return alt.Label, nil
		}
	}
	if a.Stored != "" && password == strings.TrimPrefix(a.Stored, "{PLAIN}") {
		return "main", nil
	}
	return "no", nil
}

func mustScopes(text string) apppassword.Scopes {
	s, err := apppassword.ParseScopes(text)
	if err != nil {
		panic(err)
	}
	return s
}

func (w *world) app(user, name, scopes string, expires time.Time) string {
	w.t.Helper()
	password, err := w.AddAppPassword(w.ctx(), user, name, mustScopes(scopes), expires)
	w.must(err)
	return password
}

func TestAppPasswords(t *testing.T) {
	w := newWorld(t, nil)
	w.add(User{Address: "alice@example.org", Stored: "{PLAIN}main", Enabled: true}, User{Address: "bob@example.org", Stored: "{PLAIN}main", Enabled: true})
	phone := w.app("alice@example.org", "phone", "imap,smtp", time.Time{})
	tablet := w.app("Alice@example.org", "tablet", "pop3", w.clock.now().Add(time.Hour))
	script := w.app("alice@example.org", "script", "sieve", time.Time{})
	for _, tc := range []struct{ user, service, password, want string }{
		{"alice@example.org", "imap", "main", "main"},
		{"alice@example.org", "imap", phone, "phone"},
		{"alice@example.org", "imaps", phone, "phone"},
		{"alice@example.org", "smtp", phone, "phone"},
		{"alice@example.org", "submission", phone, "phone"},
		{"alice@example.org", "imap", strings.ToUpper(phone), "phone"},
		{"alice@example.org", "imap", strings.ReplaceAll(phone, "-", ""), "phone"},
		{"alice@example.org", "imap", strings.ReplaceAll(phone, "-", " "), "phone"},
		{"alice@example.org", "pop3", phone, "no"},
		{"alice@example.org", "sieve", phone, "no"},
		{"alice@example.org", "http", phone, "no"},
		{"alice@example.org", "", phone, "no"},
		{"alice@example.org", "pop3", tablet, "tablet"},
		{"alice@example.org", "imap", tablet, "no"},
		{"alice@example.org", "managesieve", script, "script"},
		{"alice@example.org", "imap", phone[:len(phone)-1], "no"},
		{"alice@example.org", "imap", "", "no"},
		{"bob@example.org", "imap", phone, "no"},
	} {
		if got, err := w.verify(tc.user, tc.service, tc.password); got != tc.want || err != nil {
			t.Errorf("%s %s %q: %s %v", tc.user, tc.service, tc.password, got, err)
		}
	}
	w.clock.pass(time.Hour)
	if got, _ := w.verify("alice@example.org", "pop3", tablet); got != "no" {
		t.Errorf("expired: %s", got)
	}
	w.must(w.RevokeAppPassword(w.ctx(), "alice@example.org", "phone"))
	if got, _ := w.verify("alice@example.org", "imap", phone); got != "no" {
		t.Errorf("revoked: %s", got)
	}
	w.app("alice@example.org", "phone", "imap", time.Time{})
	w.app("alice@example.org", "tablet", "imap", time.Time{})
	list, err := w.AppPasswords(w.ctx(), "alice@example.org")
	w.must(err)
	var got []string
	for _, a := range list {
		got = append(got, fmt.Sprint(a.Name, " ", a.Scopes, " ", a.Active(w.clock.now())))
	}
	if want := "[phone imap,smtp false tablet pop3 false script sieve true phone imap true tablet imap true]"; fmt.Sprint(got) != want {
		t.Errorf("%v", got)
	}
	if u, err := w.User(w.ctx(), "alice@example.org"); err != nil || u.AppPasswords != 3 {
		t.Errorf("%+v %v", u, err)
	}
	if _, err := w.DeleteUser(w.ctx(), "alice@example.org"); err != nil {
		t.Fatal(err)
	}
	if list, err := w.AppPasswords(w.ctx(), ""); len(list) != 0 || err != nil {
		t.Errorf("after the user was deleted: %v %v", list, err)
	}
}

// All that a user has for SCRAM has one salt.
func TestOneSaltForSCRAM(t *testing.T) {
	w := newWorld(t, nil)
	main := apppassword.SCRAM("main", "")
	w.add(User{Address: "alice@example.org", Enabled: true}, User{Address: "bob@example.org", Stored: main, Enabled: true})
	salt := func(stored string) string { return strings.Split(stored, ",")[1] }
	for user, want := range map[string]string{"alice@example.org": "", "bob@example.org": salt(main)} {
		w.app(user, "one", "imap", noTime)
		w.app(user, "two", "imap", noTime)
		a, err := w.account(user, "imap")
		if err != nil || len(a.Alternatives) != 2 {
			t.Fatalf("%+v %v", a, err)
		}
		one, two := salt(a.Alternatives[0].Stored), salt(a.Alternatives[1].Stored)
		if one != two || (want != "" && one != want) {
			t.Errorf("%s: %s %s", user, one, two)
		}
	}
}

func TestAppPasswordsRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.add(User{Address: "alice@example.org", Enabled: true})
	w.app("alice@example.org", "phone", "imap", time.Time{})
	for _, tc := range []struct {
		user, name, scopes string
		expires            time.Duration
		want               fail.Kind
	}{
		{"alice@example.org", "phone", "pop3", 0, fail.Exists},
		{"alice@example.org", "", "pop3", 0, fail.Invalid},
		{"alice@example.org", "a\nb", "pop3", 0, fail.Invalid},
		{"alice@example.org", strings.Repeat("x", 65), "pop3", 0, fail.Invalid},
		{"alice@example.org", "x", "", 0, fail.Invalid},
		{"alice@example.org", "x", "imap", -time.Second, fail.Invalid},
		{"zoe@example.org", "x", "imap", 0, fail.NotFound},
	} {
		var scopes apppassword.Scopes
		if tc.scopes != "" {
			scopes = mustScopes(tc.scopes)
		}
		var until time.Time
		if tc.expires != 0 {
			until = w.clock.now().Add(tc.expires)
		}
		if p, err := w.AddAppPassword(w.ctx(), tc.user, tc.name, scopes, until); !fail.Is(err, tc.want) || p != "" {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	for i := 1; i < maxAppPasswords; i++ {
		w.app("alice@example.org", fmt.Sprint(i), "imap", time.Time{})
	}
	if _, err := w.AddAppPassword(w.ctx(), "alice@example.org", "one more", mustScopes("imap"), time.Time{}); !fail.Is(err, fail.Full) {
		t.Error(err)
	}
	for _, name := range []string{"nothing", ""} {
		if err := w.RevokeAppPassword(w.ctx(), "alice@example.org", name); !fail.Is(err, fail.NotFound) {
			t.Error(err)
		}
	}
	if _, err := w.AppPasswords(w.ctx(), "zoe@example.org"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

// Where app passwords alone count, they do so for users who have one.
func TestAppPasswordsOnly(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Options) { c.AppPasswordsOnly = []string{"imap", "smtp"} })
	w.add(User{Address: "alice@example.org", Stored: "{PLAIN}main", Enabled: true}, User{Address: "bob@example.org", Stored: "{PLAIN}main", Enabled: true})
	w.app("alice@example.org", "phone", "pop3", w.clock.now().Add(time.Hour))
	for _, tc := range []struct{ user, service, want string }{
		{"alice@example.org", "imap", "no"}, // though the app password is for another service
		{"alice@example.org", "submission", "no"},
		{"alice@example.org", "pop3", "main"},
		{"alice@example.org", "http", "main"},
		{"bob@example.org", "imap", "main"},
	} {
		if got, err := w.verify(tc.user, tc.service, "main"); got != tc.want || err != nil {
			t.Errorf("%s %s: %s %v", tc.user, tc.service, got, err)
		}
	}
	w.clock.pass(time.Hour)
	if got, _ := w.verify("alice@example.org", "imap", "main"); got != "main" {
		t.Errorf("no app password is left: %s", got)
	}
}

// hashes counts what a login costs.
type hashes struct{ n int }

func (h *hashes) Verify(_ context.Context, hash scheme.Hash, password string) (bool, error) {
	h.n++
	return hash.Verify(&scheme.Workspace{}, password), nil
}

// Whoever guesses cannot tell by the time who exists, who has app passwords and
// for what: each wrong guess costs exactly one slow hash.
func TestWrongGuessesCostTheSame(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Options) { c.AppPasswordsOnly = []string{"pop3"} })
	stored := func(password string) string { return "{PLAIN}" + password }
	w.add(
		User{Address: "plain@example.org", Stored: stored("main"), Enabled: true}, User{Address: "apps@example.org", Stored: stored("main"), Enabled: true},
		User{Address: "locked@example.org", Enabled: true}, User{Address: "off@example.org", Stored: stored("main")},
	)
	app := w.app("apps@example.org", "phone", "imap,pop3", time.Time{})
	policy := scheme.Policy{Allow: []string{"PLAIN"}}
	decoy, err := scheme.Parse("{PLAIN}decoy", policy)
	w.must(err)
	chain := func(h *hashes) *passdb.Chain {
		e := passdb.Entry{Name: "local", ID: "local", Driver: w.Passdb(), Rules: rule.Defaults()}
		return &passdb.Chain{Entries: []passdb.Entry{e}, Hasher: h, Decoy: decoy, Policy: policy}
	}
	login := func(user, service string) *request.Request {
		user += "@example.org"
		return &request.Request{User: user, Claimed: user, Service: service, Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:1000")}
	}
	for _, service := range []string{"imap", "pop3", "smtp"} {
		for _, user := range []string{"plain", "apps", "locked", "off", "nobody"} {
			for _, password := range []string{"wrong", "aaaa-aaaa-aaaa-aaaa-aaaa", ""} {
				h := &hashes{}
				_, err := chain(h).Password(w.ctx(), login(user, service), password)
				if !fail.Is(err, fail.Denied) || h.n != 1 {
					t.Errorf("%s %s %q: %d hashes, %v", service, user, password, h.n, err)
				}
			}
		}
	}
	h := &hashes{}
	if v, err := chain(h).Password(w.ctx(), login("apps", "imap"), app); err != nil || v.Label != "phone" || h.n != 0 {
		t.Errorf("%+v %v, %d hashes", v, err, h.n)
	}
}

func TestLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ *Config, o *Options) { o.Now = time.Now })
		w.add(User{Address: "alice@example.org", Enabled: true})
		w.app("alice@example.org", "phone", "imap,smtp", time.Time{})
		w.app("alice@example.org", "tablet", "imap", time.Time{})
		use := func(label, service, from string) {
			r := &request.Request{User: "alice@example.org", Service: service}
			if from != "" {
				r.Remote = netip.AddrPortFrom(netip.MustParseAddr(from), 1)
			}
			a, err := w.Passdb().Lookup(w.ctx(), r)
			w.must(err)
			for _, alt := range a.Alternatives {
				if alt.Label == label {
					alt.OnUse()
				}
			}
		}
		noted := func() string {
			var out []string
			list, err := w.AppPasswords(w.ctx(), "alice@example.org")
			w.must(err)
			for _, a := range list {
				if !a.LastUsed.IsZero() {
					out = append(out, fmt.Sprint(a.Name, " ", time.Since(a.LastUsed), " ", a.LastService, " ", a.LastAddress))
				}
			}
			return strings.Join(out, ", ")
		}
		use("phone", "imap", "::ffff:192.0.2.1")
		synctest.Wait()
		if got := noted(); got != "phone 0s imap 192.0.2.1" {
			t.Errorf("the first use is noted at once: %s", got)
		}
		time.Sleep(10 * time.Second)
		use("phone", "imap", "192.0.2.2")
		use("phone", "submission", "2001:db8::1")
		use("tablet", "imap", "")
		synctest.Wait()
		if got := noted(); got != "phone 10s imap 192.0.2.1" {
			t.Errorf("the next ones are not: %s", got)
		}
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if got := noted(); got != "phone 50s submission 2001:db8::1, tablet 50s imap " {
			t.Errorf("but a minute later, the last of each: %s", got)
		}
		use("tablet", "imap", "192.0.2.3")
		w.Close()
		var err error
		if w.Store, err = Open(Config{File: w.Path()}, Options{Now: time.Now}); err != nil {
			t.Fatal(err)
		}
		if got := noted(); got != "phone 50s submission 2001:db8::1, tablet 0s imap 192.0.2.3" {
			t.Errorf("nothing is lost at the end: %s", got)
		}
		w.Close()
	})
}

// A store that cannot be written keeps nobody out.
func TestLastUseCannotBeNoted(t *testing.T) {
	var told []error
	w := newWorld(t, func(_ *Config, o *Options) { o.Report = func(err error) { told = append(told, err) } })
	w.add(User{Address: "alice@example.org", Enabled: true})
	w.app("alice@example.org", "phone", "imap", time.Time{})
	a, err := w.account("alice@example.org", "imap")
	w.must(err)
	w.must(breakFile(w.Path()))
	a.Alternatives[0].OnUse()
	w.Close()
	if len(told) != 1 || !fail.Is(told[0], fail.Unavailable) {
		t.Errorf("%v", told)
	}
	a.Alternatives[0].OnUse() // too late, and harmless
}
