package passdb

import (
	"bytes"
	"context"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// A challenge mechanism gets a secret for everybody. Whether it was the real
// one shows in the proof alone.
func TestSecret(t *testing.T) {
	var w scheme.Workspace
	hash, err := scheme.Generate(&w, "SHA256-CRYPT", "pw")
	if err != nil {
		t.Fatal(err)
	}
	scram, err := scheme.Generate(&w, "SCRAM-SHA-256", "pw")
	if err != nil {
		t.Fatal(err)
	}
	one, _ := db("one",
		user("u", "pw"), user("scram", scram), user("hash", hash), user("locked", "!"), user("open", "", "nopassword", "y"),
		user("net", "pw", "allow_nets", "198.51.100.0/24"), user("off", "pw"), user("down", "down"), user("odd", "{NOSUCH}x"),
	)
	off := Entry{Name: "one", ID: "one", Driver: switchedOff{one.Driver}, Rules: rule.Defaults()}
	pam := Entry{Name: "pam", Driver: checks{&memory{users: map[string][]account.Field{}}}, Rules: rule.Defaults()}
	c, _ := newChain(t, pam, off)
	for _, tc := range []struct {
		user         string
		real         bool   // the secret is the account's
		right, wrong string // what a right and a wrong proof come to
	}{
		{"u", true, "ok", "Password mismatch"},
		{"scram", true, "ok", "Password mismatch"},
		{"hash", false, "stored password cannot serve the mechanism", "stored password cannot serve the mechanism"},
		{"locked", false, "Password mismatch (the account is locked)", "Password mismatch (the account is locked)"},
		{"open", false, "stored password cannot serve the mechanism", "stored password cannot serve the mechanism"},
		{"net", false, "allow_nets check failed", "allow_nets check failed"},
		{"nobody", false, "unknown user", "unknown user"},
		{"off", true, "account is disabled", "Password mismatch"},
		{"down", false, "outage", "outage"},
		{"odd", false, "outage", "outage"},
	} {
		s, p, err := c.Secret(t.Context(), login(tc.user), sasl.SecretSCRAMSHA256, "", "")
		if tc.right == "outage" {
			if outcome(err) != "outage" {
				t.Errorf("%s: %v", tc.user, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.user, err)
			continue
		}
		again, _, _ := c.Secret(t.Context(), login(tc.user), sasl.SecretSCRAMSHA256, "", "")
		if !bytes.Equal(s.Salt, again.Salt) || s.Iter != again.Iter || len(s.StoredKey) == 0 {
			t.Errorf("%s: the challenge differs from one time to the next", tc.user)
		}
		decoy := scheme.DecoySecret(c.DecoyKey, tc.user, sasl.SecretSCRAMSHA256)
		if bytes.Equal(s.StoredKey, decoy.StoredKey) == tc.real {
			t.Errorf("%s: real secret: %v", tc.user, !tc.real)
		}
		_, right := p.Proved(true)
		_, wrong := p.Proved(false)
		if outcome(right) != tc.right || outcome(wrong) != tc.wrong {
			t.Errorf("%s: %v, %v", tc.user, right, wrong)
		}
	}
}

// Whether there is such a user, and how his password is stored, does not show in
// what a challenge costs. Only where readable passwords are allowed is there
// anything to hide behind.
func TestSecretCosts(t *testing.T) {
	one, _ := db("one",
		user("readable", "pw"), user("scram", scramStored("pw", "salt")), user("hash", "{SHA256.hex}0000000000000000000000000000000000000000000000000000000000000000"),
		user("locked", "!"), user("open", "", "nopassword", "y"), user("net", "pw", "allow_nets", "198.51.100.0/24"),
	)
	for _, tc := range []struct {
		kind  sasl.SecretKind
		allow []string
		slow  int
	}{
		{sasl.SecretSCRAMSHA256, []string{"PLAIN"}, 1},
		{sasl.SecretSCRAMSHA1, []string{"CLEARTEXT", "plain"}, 1},
		{sasl.SecretSCRAMSHA256, []string{"CRAM-MD5", "PLAIN-TRUNC"}, 0},
		{sasl.SecretCRAMMD5, []string{"PLAIN"}, 0},
		{sasl.SecretDigestMD5, []string{"PLAIN"}, 0},
		{sasl.SecretPlain, []string{"PLAIN"}, 0},
	} {
		c, n := newChain(t, one)
		c.Policy.Allow = tc.allow
		for _, name := range []string{"readable", "scram", "hash", "locked", "open", "net", "nobody", "readable", "nobody"} {
			*n = counter{}
			if _, _, err := c.Secret(t.Context(), login(name), tc.kind, "", ""); outcome(err) != "ok" && (tc.slow > 0 || outcome(err) != "outage") {
				t.Fatal(name, err)
			}
			if n.slow != tc.slow {
				t.Errorf("%s, %v allowed: the secret of %s took %d derivations, want %d", tc.kind, tc.allow, name, n.slow, tc.slow)
			}
		}
		*n = counter{}
		if s, err := c.Invented(t.Context(), login("barred"), tc.kind, ""); err != nil || n.slow != tc.slow || s.Iter != scheme.DecoySecret(c.DecoyKey, "barred", tc.kind).Iter {
			t.Errorf("%s: somebody who is not asked about: %d derivations, %v", tc.kind, n.slow, err)
		}
	}
}

// With no slot to be had, nobody gets an answer, known or not.
func TestSecretsWaitForSlots(t *testing.T) {
	one, _ := db("one", user("readable", "pw"), user("scram", scramStored("pw", "salt")))
	c, n := newChain(t, one)
	n.full = true
	for _, name := range []string{"readable", "scram", "nobody"} {
		if _, _, err := c.Secret(t.Context(), login(name), sasl.SecretSCRAMSHA256, "", ""); outcome(err) != "outage" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Invented(t.Context(), login("barred"), sasl.SecretSCRAMSHA256, ""); outcome(err) != "outage" {
		t.Error(err)
	}
}

// switchedOff knows a user called off who is.
type switchedOff struct{ Driver }

func (d switchedOff) Lookup(ctx context.Context, r *request.Request) (Account, error) {
	l, _ := d.Driver.(Lookuper)
	a, err := l.Lookup(ctx, r)
	a.Disabled = r.User == "off"
	return a, err
}

// A later database may add fields to the secret of a former one.
func TestSecretThenFields(t *testing.T) {
	one, _ := db("one", user("u", "pw"))
	one.Rules.Success = rule.Continue
	var w scheme.Workspace
	hash, err := scheme.Generate(&w, "SHA256-CRYPT", "other")
	if err != nil {
		t.Fatal(err)
	}
	two, _ := db("two", user("u", hash, "host", "h"))
	c, _ := newChain(t, one, two)
	r := login("u")
	s, p, err := c.Secret(t.Context(), r, sasl.SecretPlain, "", "")
	if err != nil || s.Plain != "pw" {
		t.Fatal(s, err)
	}
	if v, err := p.Proved(true); err != nil || list(r.Passdb) != "host=h" {
		t.Error(v, err)
	}
}

// Without a database that hands secrets out there is nothing to compare with.
func TestSecretOfNobody(t *testing.T) {
	c, _ := newChain(t, Entry{Name: "pam", Driver: checks{&memory{users: map[string][]account.Field{}}}, Rules: rule.Defaults()})
	if _, _, err := c.Secret(t.Context(), login("u"), sasl.SecretPlain, "", ""); outcome(err) != "outage" {
		t.Error(err)
	}
}

// apps has app passwords of one salt.
type apps struct {
	main   string
	stored []string
	used   *int
}

func (apps) Name() string { return "apps" }

func (a apps) Lookup(_ context.Context, r *request.Request) (Account, error) {
	acct := Account{User: r.User, Stored: a.main}
	for i, s := range a.stored {
		acct.Alternatives = append(acct.Alternatives, Alternative{
			Label: string(rune('a' + i)), Stored: s, Matches: func(string) bool { return false }, OnUse: func() { *a.used = *a.used*10 + i + 1 },
		})
	}
	return acct, nil
}

// The proof shows which app password it was. One of another salt cannot be
// proved; the peer is told one salt only.
func TestSecretsOfAppPasswords(t *testing.T) {
	var w scheme.Workspace
	one, err := scheme.Generate(&w, "SCRAM-SHA-256", "one")
	if err != nil {
		t.Fatal(err)
	}
	strange, err := scheme.Generate(&w, "SCRAM-SHA-256", "strange")
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, tc := range []struct {
		name, main string
		others     int
	}{
		{"no main password that can serve", "", 2},
		{"one that can, of another salt", strange, 1},
		{"one that can, of the same", one, 2},
	} {
		db := apps{main: tc.main, stored: []string{one, strange, one}, used: &used}
		c, _ := newChain(t, Entry{Name: "apps", Driver: db, Rules: rule.Defaults()})
		s, p, err := c.Secret(t.Context(), login("u"), sasl.SecretSCRAMSHA256, "", "")
		if err != nil || len(s.Others) != tc.others {
			t.Errorf("%s: %d others, %v", tc.name, len(s.Others), err)
			continue
		}
		s.Others[tc.others-1].Used()
		label, mark := "c", 3
		if tc.others == 1 {
			label, mark = "b", 2
		}
		if v, err := p.Proved(true); err != nil || v.Label != label || used != mark {
			t.Errorf("%s: %+v %v, used %d", tc.name, v, err, used)
		}
		used = 0
	}
}
