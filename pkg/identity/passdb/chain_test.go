package passdb

import (
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
)

// Every rule for every answer, as Dovecot decides.
func TestRules(t *testing.T) {
	data, err := os.ReadFile("testdata/dovecot-rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string][]account.Field{
		"right": user("u", "pw"), "wrong": user("u", "other"), "unknown": user("v", "pw"), "down": user("u", "down"),
	}
	rows := 0
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		r, err := rule.Parse(words[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words[2:] {
			second, want, _ := strings.Cut(w, "=")
			one, _ := db("one", stored[words[0]])
			two, _ := db("two", stored[second])
			switch words[0] {
			case "right":
				one.Rules.Success = r
			case "down":
				one.Rules.InternalFail = r
			default:
				one.Rules.Failure = r
			}
			c, n := newChain(t, one, two)
			_, err := c.Password(t.Context(), login("u"), "pw")
			got := outcome(err)
			if got != "ok" && got != "outage" {
				got = "refused"
				if n.n == 0 {
					t.Errorf("%s %s %s: refused without a hash: the time tells", words[0], words[1], second)
				}
			}
			if got != want {
				t.Errorf("%s %s %s: %s (%v), want %s", words[0], words[1], second, got, err, want)
			}
			rows++
		}
	}
	if rows != 96 {
		t.Errorf("%d rows", rows)
	}
}

// Which databases are asked at all.
func TestSkip(t *testing.T) {
	for _, tc := range []struct {
		name  string
		edit  func(*Entry)
		first rule.Rule // of the right answer of the first database; 0: it does not know the user
		asked bool
	}{
		{"never", func(*Entry) {}, rule.ContinueOK, true},
		{"authenticated", func(e *Entry) { e.Skip = SkipAuthenticated }, rule.ContinueOK, false},
		{"authenticated by continue", func(e *Entry) { e.Skip = SkipAuthenticated }, rule.Continue, false},
		{"not authenticated", func(e *Entry) { e.Skip = SkipAuthenticated }, 0, true},
		{"unauthenticated", func(e *Entry) { e.Skip = SkipUnauthenticated }, 0, false},
		{"not unauthenticated", func(e *Entry) { e.Skip = SkipUnauthenticated }, rule.ContinueOK, true},
		{"mechanism", func(e *Entry) { e.Match.Mechanisms = []string{"login", "plain"} }, 0, true},
		{"another mechanism", func(e *Entry) { e.Match.Mechanisms = []string{"LOGIN"} }, 0, false},
		{"only lookups", func(e *Entry) { e.Match.Mechanisms = []string{"none"} }, 0, false},
		{"user", func(e *Entry) { e.Match.Users = []string{"*@example.org", "!bob@*"} }, 0, true},
		{"another user", func(e *Entry) { e.Match.Users = []string{"!u@*"} }, 0, false},
		{"another domain", func(e *Entry) { e.Match.Users = []string{"*@example.com"} }, 0, false},
		{"master", func(e *Entry) { e.Master = true }, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			one, _ := db("one")
			if tc.first != 0 {
				one, _ = db("one", user("u@example.org", "pw"))
				one.Rules.Success = tc.first
			}
			two, memory := db("two", user("u@example.org", "pw"))
			tc.edit(&two)
			c, _ := newChain(t, one, two)
			_, err := c.Password(t.Context(), login("u@example.org"), "pw")
			if (memory.asked > 0) != tc.asked {
				t.Errorf("asked: %v (%v)", memory.asked > 0, err)
			}
		})
	}
}

// When nobody is asked, nobody is known; it is no outage that a peer could
// cause by a name.
func TestAllSkipped(t *testing.T) {
	one, _ := db("one", user("u", "pw"))
	one.Match.Users = []string{"*@example.org"}
	c, n := newChain(t, one)
	if _, err := c.Password(t.Context(), login("u"), "pw"); outcome(err) != "unknown user" || n.n != 1 {
		t.Errorf("%v, %d hashes", err, n.n)
	}
	c, _ = newChain(t, Entry{Driver: tokens{}, Rules: rule.Defaults()})
	if _, err := c.Password(t.Context(), login("u"), "pw"); outcome(err) != "outage" {
		t.Errorf("no database can check passwords: %v", err)
	}
}

func TestDeny(t *testing.T) {
	for _, tc := range []struct{ listed, password, want string }{
		{"", "pw", "ok"},
		{"anything", "pw", "User found from deny passdb"},
		{"", "no", "Password mismatch"},
		{"down", "pw", "outage"},
	} {
		list, _ := db("deny")
		if tc.listed != "" {
			list, _ = db("deny", user("u", tc.listed))
		}
		list.Deny = true
		one, _ := db("one", user("u", "pw"))
		c, n := newChain(t, list, one)
		_, err := c.Password(t.Context(), login("u"), tc.password)
		if outcome(err) != tc.want || tc.want != "outage" && n.n != 1 {
			t.Errorf("%q: %v, %d hashes", tc.listed, err, n.n)
		}
		if r := RefusedOf(err); r != nil && r.Tell {
			t.Error("the peer, who proved nothing, may be told why")
		}
	}
}

// Fields of a database count only if it succeeded; later ones win.
func TestFields(t *testing.T) {
	one, _ := db("one", user("u", "other", "lost", "1", "userdb_lost", "1", "user", "somebody"))
	two, _ := db("two", user("u", "pw", "host", "a", "nologin", "", "userdb_home", "/h", "userdb_mail:protected", "m", "user", "u2"))
	two.Rules.Success = rule.ContinueOK
	three, _ := db("three", user("u2", "anything", "host", "b", "host2:protected", "c", "nologin:remove", "", "userdb_home:protected", "/x", "userdb_userdb_import", "quota=1\tuid=7"))
	c, _ := newChain(t, one, two, three)
	for _, m := range []map[string]string{{"d": "%{user}", "host": "from defaults"}, {"o": "%{passdb:host} of %u", "userdb_o": "%{userdb:home}"}} {
		fs, err := request.ParseFields(m)
		if err != nil {
			t.Fatal(err)
		}
		if m["d"] != "" {
			c.Entries[1].Default = fs
		} else {
			c.Entries[1].Override = fs
		}
	}
	r := login("u")
	v, err := c.Password(t.Context(), r, "pw")
	if err != nil || v.DB != "two" || r.User != "u2" || r.Claimed != "u" || r.Password != "" {
		t.Fatalf("%+v %+v %v", r, v, err)
	}
	if got, want := list(r.Passdb), "d=u host=b o=a of u2 host2=c"; got != want {
		t.Errorf("passdb: %s, want %s", got, want)
	}
	if got, want := list(r.Userdb), "home=/h mail=m o=/h quota=1 uid=7"; got != want {
		t.Errorf("userdb: %s, want %s", got, want)
	}
	if len(v.Refusals) != 1 || v.Refusals[0] != (Refusal{DB: "one", Reason: Mismatch}) {
		t.Errorf("%+v", v.Refusals)
	}
}

func list(fs []account.Field) string {
	var words []string
	for _, f := range fs {
		words = append(words, f.Key+"="+f.Value)
	}
	return strings.Join(words, " ")
}

// What fields decide comes after the password.
func TestDecidingFields(t *testing.T) {
	for _, tc := range []struct {
		name, password string
		fields         []string
		want           string
	}{
		{"network", "pw", []string{"allow_nets", "198.51.100.0/24, 192.0.2.0/24"}, "ok"},
		{"another network", "pw", []string{"allow_nets", "198.51.100.0/24"}, "allow_nets check failed"},
		{"another network, wrong password", "no", []string{"allow_nets", "198.51.100.0/24"}, "Password mismatch"},
		{"networks that cannot be read", "pw", []string{"allow_nets", "192.0.2.0/33"}, "outage"},
		{"real network", "pw", []string{"allow_real_nets", "192.0.2.7"}, "ok"},
		{"fail", "pw", []string{"fail", "y"}, "login is forbidden by a field"},
		{"nopassword", "anything", []string{"nopassword", "y"}, "ok"},
		{"nopassword with a password", "pw", []string{"nopassword", "y", "password", "pw"}, "outage"},
		{"delay", "pw", []string{"delay_until", "4000000000+5"}, "ok"},
		{"odd delay", "pw", []string{"delay_until", "tomorrow"}, "outage"},
		{"import", "pw", []string{"passdb_import", "a=1\tfail"}, "login is forbidden by a field"},
		{"only fields", "no", []string{"noauthenticate", "y"}, "outage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stored := "pw"
			if tc.fields[0] == "nopassword" && len(tc.fields) == 2 {
				stored = ""
			}
			one, _ := db("one", user("u", stored, tc.fields...))
			c, _ := newChain(t, one)
			v, err := c.Password(t.Context(), login("u"), tc.password)
			if outcome(err) != tc.want {
				t.Errorf("%v", err)
			}
			if (tc.name == "delay") == v.DelayUntil.IsZero() {
				t.Errorf("delay until %v", v.DelayUntil)
			}
		})
	}
	// A database that only sets fields leaves the verdict to the next one.
	one, _ := db("one", user("u", "", "noauthenticate", "y", "host", "h"))
	two, _ := db("two", user("u", "pw"))
	c, _ := newChain(t, one, two)
	r := login("u")
	if _, err := c.Password(t.Context(), r, "no"); outcome(err) != "Password mismatch" {
		t.Error(err)
	}
	r = login("u")
	if _, err := c.Password(t.Context(), r, "pw"); err != nil || list(r.Passdb) != "host=h" {
		t.Error(list(r.Passdb), err)
	}
}

// A refusal may be told at once only when the password was right.
func TestNoDelay(t *testing.T) {
	one, _ := db("one", user("u", "pw", "nodelay", "y"))
	c, _ := newChain(t, one)
	if v, err := c.Password(t.Context(), login("u"), "no"); v.NoDelay || err == nil {
		t.Error("the time tells that there is such a user")
	}
	one.Rules.Success = rule.ContinueFail
	two, _ := db("two")
	c, _ = newChain(t, one, two)
	if v, err := c.Password(t.Context(), login("u"), "pw"); !v.NoDelay || err == nil {
		t.Error(v, err)
	}
}

// Log in as somebody else: first the master's password, then, if the chain
// goes on, the databases of the other.
func TestMaster(t *testing.T) {
	for _, tc := range []struct {
		name, master, password, as string
		success                    rule.Rule
		want                       string // the request's user and auth_user, or a reason
	}{
		{"the first success counts", "admin", "mpw", "bob", rule.ReturnOK, "bob by admin"},
		{"and nobody asks for the other", "admin", "mpw", "nobody", rule.ReturnOK, "nobody by admin"},
		{"wrong", "admin", "no", "bob", rule.ReturnOK, "Password mismatch"},
		{"the other's password is not the master's", "admin", "pw", "bob", rule.ReturnOK, "Password mismatch"},
		{"no master", "bob", "pw", "alice", rule.ReturnOK, "unknown user"},
		{"the other must exist", "admin", "mpw", "nobody", rule.Continue, "unknown user"},
		{"and does", "admin", "mpw", "bob", rule.Continue, "bob by admin"},
		{"and is one of a list", "admin", "mpw", "listed", rule.Continue, "User found from deny passdb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			deny, _ := db("deny", user("listed", ""))
			deny.Deny = true
			users, _ := db("users", user("bob", "pw", "host", "h"), user("listed", "pw"))
			masters, _ := db("masters", user("admin", "mpw"))
			masters.Master = true
			masters.Rules.Success = tc.success
			c, n := newChain(t, deny, users, masters)
			r := login(tc.master)
			r.LoginUser = tc.as
			_, err := c.Password(t.Context(), r, tc.password)
			got := outcome(err)
			if err == nil {
				got = r.User + " by " + r.AuthUser
			}
			if got != tc.want || n.n != 1 || r.LoginUser != "" && err == nil {
				t.Errorf("%s (%v), %d hashes", got, err, n.n)
			}
		})
	}
}

// A database may name whom its user logs in as, once.
func TestLoginUserField(t *testing.T) {
	one, _ := db("one", user("team-alice", "pw", "login_user", "Team"), user("team", "pw", "login_user", "loop"))
	c, _ := newChain(t, one)
	r := login("team-alice")
	if _, err := c.Password(t.Context(), r, "pw"); err != nil || r.User != "team" || r.AuthUser != "team-alice" {
		t.Errorf("%+v %v", r, err)
	}
	c.Entries[0].Rules.Success = rule.Continue
	if _, err := c.Password(t.Context(), login("team-alice"), "pw"); outcome(err) != "outage" {
		t.Errorf("an endless chain: %v", err)
	}
}

// Two databases of one kind keep their own settings.
func TestSameDriverTwice(t *testing.T) {
	_, memory := db("x", user("u", "pw"))
	one := Entry{Name: "one", ID: "1", Driver: lookups{memory}, Master: true, Rules: rule.Set{Success: rule.ReturnFail, Failure: rule.ReturnFail, InternalFail: rule.ReturnFail}}
	two := Entry{Name: "two", ID: "2", Driver: lookups{memory}, Rules: rule.Defaults()}
	c, _ := newChain(t, one, two)
	if v, err := c.Password(t.Context(), login("u"), "pw"); err != nil || v.DB != "two" {
		t.Error(v, err)
	}
}

func TestTokens(t *testing.T) {
	entries := []Entry{{Name: "oauth2", Driver: tokens{}, Rules: rule.Defaults()}}
	one, _ := db("one", user("u", "pw", "host", "h"))
	c, _ := newChain(t, one, entries[0])
	for _, tc := range []struct{ user, token, want string }{
		{"u", "token of u", "ok"}, {"u", "token of v", "Password mismatch"}, {"", "token of v", "ok"}, {"u", "down", "outage"},
	} {
		r := login(tc.user)
		r.Mech = "OAUTHBEARER"
		if _, err := c.Token(t.Context(), r, tc.token); outcome(err) != tc.want || err == nil && r.User != tc.token[len("token of "):] {
			t.Errorf("%s, %s: %s %v", tc.user, tc.token, r.User, err)
		}
	}
	// What a driver says beside the reason is for the log.
	if v, err := c.Token(t.Context(), login("u"), "token of v"); len(v.Refusals) != 1 || v.Refusals[0].Detail != "of somebody else" || RefusedOf(err).Reason != Mismatch {
		t.Errorf("%+v %v", v.Refusals, err)
	}
	// Fields from a database that cannot check tokens, after one that can.
	c.Entries = []Entry{entries[0], one}
	c.Entries[0].Rules.Success = rule.Continue
	r := login("u")
	if _, err := c.Token(t.Context(), r, "token of u"); err != nil || list(r.Passdb) != "by=token host=h" {
		t.Error(list(r.Passdb), err)
	}
}

func TestTrustAndLookup(t *testing.T) {
	one, _ := db("one", user("u", "pw", "host", "h"), user("locked", "!"), user("open", "", "nopassword", "y"), user("down", "down"))
	pam := Entry{Name: "pam", Driver: checks{&memory{}}, Rules: rule.Defaults()}
	c, _ := newChain(t, pam, one)
	for _, tc := range []struct{ user, trust, lookup string }{
		{"u", "ok", "ok"}, {"open", "ok", "ok"}, {"locked", "Password mismatch (the account is locked)", "ok"}, {"nobody", "unknown user", "unknown user"}, {"down", "outage", "outage"},
	} {
		if _, err := c.Trust(t.Context(), login(tc.user)); outcome(err) != tc.trust {
			t.Errorf("trust %s: %v", tc.user, err)
		}
		r := login(tc.user)
		if _, err := c.Lookup(t.Context(), r); outcome(err) != tc.lookup || tc.user == "u" && list(r.Passdb) != "host=h" {
			t.Errorf("lookup %s: %v %v", tc.user, r.Passdb, err)
		}
	}
}

func TestFullQueueIsNoRefusal(t *testing.T) {
	one, _ := db("one", user("u", "pw"), user("locked", "!"))
	c, n := newChain(t, one)
	n.full = true
	for _, name := range []string{"u", "nobody", "locked"} {
		if _, err := c.Password(t.Context(), login(name), "pw"); outcome(err) != "outage" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
