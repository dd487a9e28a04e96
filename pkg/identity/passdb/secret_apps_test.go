package passdb

import (
	"context"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// scramUsers have app passwords for SCRAM: a, b and c with one salt, d with
// another.
type scramUsers struct{ used *string }

func (scramUsers) Name() string { return "scram" }

func scramStored(password, salt string) string {
	s := sasl.SecretOf(sasl.SecretSCRAMSHA256, sasl.Identity{}, password, []byte(salt), 4096)
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("{SCRAM-SHA-256}%d,%s,%s,%s", s.Iter, b64(s.Salt), b64(s.StoredKey), b64(s.ServerKey))
}

func (u scramUsers) Lookup(_ context.Context, r *request.Request) (Account, error) {
	a := Account{User: r.User, Stored: "{SHA256.hex}0000000000000000000000000000000000000000000000000000000000000000", Disabled: r.User == "off"}
	switch r.User {
	case "own":
		a.Stored = scramStored("main", "other salt")
	case "shared":
		a.Stored = scramStored("main", "one salt")
	case "broken":
		a.Alternatives = append(a.Alternatives, Alternative{Label: "x", Stored: "{SCRAM-SHA-256}x"})
	}
	for _, p := range []struct{ name, salt string }{{"a", "one salt"}, {"b", "one salt"}, {"c", "one salt"}, {"d", "salt of d"}} {
		a.Alternatives = append(a.Alternatives, Alternative{Label: p.name, Stored: scramStored(p.name, p.salt), OnUse: func() { *u.used += p.name }})
	}
	a.Alternatives = append(a.Alternatives, Alternative{Label: "not for SCRAM"})
	return a, nil
}

// All app passwords that have the salt of the first do, and the verdict says
// which it was; the stored password comes first where it can serve.
func TestSecretOfAppPasswords(t *testing.T) {
	for _, tc := range []struct {
		user, proof string
		want, used  string
	}{
		{"u", "a", "a", "a"},
		{"u", "b", "b", "b"},
		{"u", "c", "c", "c"},
		{"u", "d", "Password mismatch", ""},
		{"u", "other", "Password mismatch", ""},
		{"shared", "main", "ok", ""},
		{"shared", "b", "b", "b"},
		{"own", "main", "ok", ""},
		{"own", "a", "Password mismatch", ""},
		{"off", "b", "account is disabled", ""},
		{"off", "other", "Password mismatch", ""},
	} {
		used := ""
		c, _ := newChain(t, Entry{Name: "scram", ID: "scram", Driver: scramUsers{&used}, Rules: rule.Defaults()})
		s, p, err := c.Secret(t.Context(), login(tc.user), sasl.SecretSCRAMSHA256, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if len(s.StoredKey) != 32 || len(s.ServerKey) != 32 {
			t.Errorf("%s: no server of SCRAM takes keys of %d and %d bytes", tc.user, len(s.StoredKey), len(s.ServerKey))
		}
		v, err := p.Proved(knows(s, tc.proof))
		got := outcome(err)
		if v.Label != "" {
			got = v.Label
		}
		if got != tc.want || used != tc.used {
			t.Errorf("%+v: %s, used %q", tc, got, used)
		}
	}
	used := ""
	c, _ := newChain(t, Entry{Name: "scram", ID: "scram", Driver: scramUsers{&used}, Rules: rule.Defaults()})
	if _, _, err := c.Secret(t.Context(), login("broken"), sasl.SecretSCRAMSHA256, "", ""); outcome(err) != "outage" {
		t.Errorf("an app password that cannot be read: %v", err)
	}
}

// knows is what a server of SCRAM finds out about a client's proof.
func knows(s sasl.Secret, password string) bool {
	mine := sasl.SecretOf(sasl.SecretSCRAMSHA256, sasl.Identity{}, password, s.Salt, s.Iter)
	if string(mine.StoredKey) == string(s.StoredKey) {
		return true
	}
	for _, k := range s.Others {
		if string(mine.StoredKey) == string(k.StoredKey) {
			k.Used()
			return true
		}
	}
	return false
}
