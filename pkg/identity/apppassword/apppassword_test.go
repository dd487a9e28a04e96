package apppassword

import (
	"regexp"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

func TestGenerate(t *testing.T) {
	form := regexp.MustCompile(`^([abcdefghjkmnpqrstuvwxyz1-9]{4}-){4}[abcdefghjkmnpqrstuvwxyz1-9]{4}$`)
	seen := map[string]bool{}
	letters := map[rune]bool{}
	for range 1000 {
		p := Generate()
		if !form.MatchString(p) || seen[p] {
			t.Fatal(p)
		}
		seen[p] = true
		for _, r := range p {
			letters[r] = true
		}
	}
	if len(letters) != 33 { // 32 and the dash: 20 of them are 100 bits
		t.Errorf("%d characters", len(letters))
	}
}

func TestCanonical(t *testing.T) {
	const password = "abcd-efgh-jkmn-pqrs-tuvw"
	for _, typed := range []string{password, "ABCD-EFGH-JKMN-PQRS-TUVW", "abcdefghjkmnpqrstuvw", " abcd efgh jkmn pqrs tuvw ", "a-b-c-d efghjkmnpqrs tuvw--"} {
		if got, ok := Canonical(typed); got != password || !ok {
			t.Errorf("%q: %q %v", typed, got, ok)
		}
	}
	for _, typed := range []string{"", "abcd", password + "x", "abcd-efgh-jkmn-pqrs-tuv0", "abcd-efgh-jkmn-pqrs-tuvo", "abcd-efgh-jkmn-pqrs-tuvä", "abcd_efgh_jkmn_pqrs_tuvw", password + strings.Repeat(" ", 100)} {
		if got, ok := Canonical(typed); ok {
			t.Errorf("%q: %q", typed, got)
		}
	}
}

func TestDigest(t *testing.T) {
	p := Generate()
	d := NewDigest(p)
	again, err := ParseDigest(d.String())
	if err != nil || !again.Matches(p) || again.Matches(Generate()) || again.Matches("") {
		t.Errorf("%s: %v", d, err)
	}
	if d.String() == NewDigest(p).String() {
		t.Error("no salt")
	}
	if h, err := scheme.Parse(d.String(), scheme.Policy{}); err != nil || !h.Verify(&scheme.Workspace{}, p) {
		t.Errorf("other programs cannot read %s: %v", d, err)
	}
	for _, stored := range []string{"", "{SSHA256}", "{SSHA256}x", "{PLAIN}" + p, strings.Replace(d.String(), "256", "512", 1), d.String()[:60], d.String() + "AAAA"} {
		if _, err := ParseDigest(stored); !fail.Is(err, fail.Unavailable) || (stored != "" && strings.Contains(err.Error(), stored)) {
			t.Errorf("%q: %v", stored, err)
		}
	}
}

func TestSCRAM(t *testing.T) {
	derive := func(stored string) sasl.Secret {
		t.Helper()
		d, err := scheme.Derive(stored, sasl.SecretSCRAMSHA256, "", "", scheme.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.Secret()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p := Generate()
	first := SCRAM(p, "")
	second := SCRAM(Generate(), first)
	if h, err := scheme.Parse(first, scheme.Policy{}); err != nil || !h.Verify(&scheme.Workspace{}, p) {
		t.Errorf("%s: %v", first, err)
	}
	a, b := derive(first), derive(second)
	if string(a.Salt) != string(b.Salt) || a.Iter != b.Iter || string(a.StoredKey) == string(b.StoredKey) {
		t.Errorf("the app passwords of a user differ in more than their keys: %s, %s", first, second)
	}
	if decoy := scheme.DecoySecret([]byte("k"), "zoe", sasl.SecretSCRAMSHA256); decoy.Iter != a.Iter || len(decoy.Salt) != len(a.Salt) {
		t.Errorf("the challenge tells who has app passwords: %d iterations, %d bytes of salt", a.Iter, len(a.Salt))
	}
}

func TestScopes(t *testing.T) {
	for text, want := range map[string]string{"imap": "imap", "SMTP,imap": "imap,smtp", "sieve, pop3,sieve": "pop3,sieve"} {
		if s, err := ParseScopes(text); err != nil || s.String() != want {
			t.Errorf("%s: %s %v", text, s, err)
		}
	}
	for _, text := range []string{"", "imap,", "http", "imap smtp"} {
		if s, err := ParseScopes(text); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %s %v", text, s, err)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("ABCD efgh-jkmn pqrs tuvw")
	f.Add("abcd-efgh-jkmn-pqrs-tuv0")
	f.Fuzz(func(t *testing.T, typed string) {
		p, ok := Canonical(typed)
		if again, same := Canonical(p); ok && (again != p || !same) {
			t.Fatalf("%q: %q, then %q", typed, p, again)
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	f.Add(NewDigest("abcd-efgh-jkmn-pqrs-tuvw").String())
	f.Add("{SSHA256}AAAA")
	f.Fuzz(func(t *testing.T, stored string) {
		d, err := ParseDigest(stored)
		if err != nil {
			return
		}
		if again, err := ParseDigest(d.String()); err != nil || again != d {
			t.Fatalf("%q: %v, then %v (%v)", stored, d, again, err)
		}
	})
}
