package scheme

import (
	"encoding/hex"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// everything allows the weak schemes.
func everything() Policy { return Policy{Allow: Weak()} }

// lines are those of a table in testdata, without comments.
func lines(t testing.TB, name string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	return slices.DeleteFunc(all, func(l string) bool { return strings.HasPrefix(l, "#") })
}

// Each of Dovecot's hashes, in each of its encodings, fits its password and no
// other.
func TestVerifiesDovecotsHashes(t *testing.T) {
	var w Workspace
	seen := map[string]bool{}
	for _, stored := range lines(t, "dovecot.txt") {
		h, err := ParseFor(stored, "user@example.org", everything())
		if err != nil {
			t.Errorf("%s: %v", stored, err)
			continue
		}
		name, _, _ := strings.Cut(stored[1:strings.IndexByte(stored, '}')], ".")
		seen[name] = true
		r, _ := find(name)
		if want := r.scheme(); h.Scheme() != want && name != "MD5" {
			t.Errorf("%s is taken for %s, not %s", stored, h.Scheme(), want)
		}
		wrong := "sésame Ouvre-moi"
		if h.Scheme() == "DES-CRYPT" {
			wrong = "sesame Ouvre-toi" // it sees eight bytes
		}
		// Wrong passwords of the costly ones are TestGenerated's.
		costly := strings.HasPrefix(name, "ARGON")
		if !h.Verify(&w, "sésame Ouvre-toi") || (!costly && (h.Verify(&w, wrong) || h.Verify(&w, ""))) {
			t.Errorf("%s: wrong verdict", stored)
		}
	}
	for _, name := range Names() {
		if !seen[name] {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// crypt(3)'s hashes fit their passwords under any name that stands for
// crypt(3), and without one.
func TestVerifiesCryptHashes(t *testing.T) {
	var w Workspace
	for i, line := range lines(t, "crypt.txt") {
		stored, quoted, _ := strings.Cut(line, "\t")
		password, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatal(line, err)
		}
		name := []string{"", "{CRYPT}", "{DES-CRYPT}", "{SHA256-CRYPT}", "{SHA512-CRYPT}"}[i%5]
		p := Policy{Allow: []string{"DES-CRYPT", "MD5-CRYPT"}}
		h, err := Parse(name+stored, p)
		if err != nil {
			t.Errorf("%s%s: %v", name, stored, err)
			continue
		}
		// A wrong password costs as much; some of the lines will do.
		if !h.Verify(&w, password) || (i%4 == 0 && h.Verify(&w, "b"+password)) {
			t.Errorf("%s%s: wrong verdict", name, stored)
		}
	}
}

// Forms that Dovecot 2.3.19 reads beside those it writes; the password is
// "secret", or begins so.
func TestReadsLikeDovecot(t *testing.T) {
	var w Workspace
	for _, tc := range []struct{ stored, scheme string }{
		{"$1$8Ont8d9Y$UVb.coL86UlMDmI6pLifc1$ignored", "MD5-CRYPT"},
		{"{CRYPT}$1$8Ont8d9Y$UVb.coL86UlMDmI6pLifc1", "MD5-CRYPT"},
		{"{SHA512-CRYPT}$1$8Ont8d9Y$UVb.coL86UlMDmI6pLifc1", "MD5-CRYPT"},
		{"{DES-CRYPT}$2y$05$qnAGVJkycoflAq4xWzMtZ..qnSD7DaIpEh6DyKK3bakrhzMCh/bDK", "BLF-CRYPT"},
		{"{ARGON2I}$argon2id$v=19$m=65536,t=3,p=1$T7XxrHPpXOqHN8SibzNSYg$Ot/sVPBs33omnBQz6K9oO3SHh5aN/KFBI9t/Df3sS8U", "ARGON2ID"},
		{"{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "SHA1"},
		{"{SHA} 5en6G6MezRroT3XKqkdPOmY/BfQ=", "SHA1"},
		{"{sha.Base64}5en6G6MezRroT3XKqkdPOmY/BfQ", "SHA1"}, // Dovecot wants the padding
		{"{SHA.hex}E5E9FA1BA31ECD1AE84F75CAAA474F3A663F05F4", "SHA1"},
		{"{MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "PLAIN-MD5"},
		{"{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", "PLAIN-MD5"},
		{"{PLAIN-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", "PLAIN-MD5"},
		{"{LDAP-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "PLAIN-MD5"},
		{"{CRAM-MD5}zTun3qrW5cojRIukLjeXR6ng9/H7wAyKgbuqw5VzG1Y=", "CRAM-MD5"},
		{"{PLAIN-MD4}Z9Pa/vY/8AYDru83ac+/DQ==", "PLAIN-MD4"},
		{"{PLAIN-TRUNC}3-sec", "PLAIN-TRUNC"},
		{"{PLAIN-TRUNC}6-secret", "PLAIN-TRUNC"},
		{"{PLAIN-TRUNC}9-secret", "PLAIN-TRUNC"},
		{"{PLAIN-TRUNC.b64}My1zZWM=", "PLAIN-TRUNC"},
		{"{PBKDF2}$1$vJnpfraY.mQCZq9s$5000$9222FB2A89B7FE3328112D492C9B3D9A26C8E7C3", "PBKDF2"},
		{"{plain.hex}736563726574", "PLAIN"},
	} {
		h, err := Parse(tc.stored, everything())
		if err != nil {
			t.Errorf("%s: %v", tc.stored, err)
			continue
		}
		if h.Scheme() != tc.scheme || !h.Verify(&w, "secret") || h.Verify(&w, "decret") || h.Verify(&w, "se") {
			t.Errorf("%s: wrong verdict of %s", tc.stored, h.Scheme())
		}
	}
}

// A password that was cut when it was stored is right with any end; one that
// was not is not.
func TestTruncated(t *testing.T) {
	var w Workspace
	for stored, want := range map[string]bool{"{PLAIN-TRUNC}3-sec": true, "{PLAIN-TRUNC}6-secret": true, "{PLAIN-TRUNC}9-secret": false} {
		h, err := Parse(stored, everything())
		if err != nil || h.Verify(&w, "secret and more") != want {
			t.Errorf("%s: %v, want %v", stored, err, want)
		}
	}
}

// cheapest costs make tests quick.
func cheapest(r row) Costs {
	rounds, cost, memory := r.cost.limits()
	return Costs{rounds.min, cost.min, uint32(memory.min)}
}

func TestGenerated(t *testing.T) {
	var w Workspace
	for _, name := range Names() {
		r, _ := find(name)
		for _, suffix := range []string{"", ".b64", ".base64", ".hex"} {
			o := Options{User: "user@example.org", Costs: cheapest(r)}
			a, err := GenerateWith(&w, strings.ToLower(name)+suffix, "pässwor", o)
			if err != nil || !strings.HasPrefix(a, "{"+name+strings.ToUpper(suffix)+"}") {
				t.Fatal(a, err)
			}
			h, err := ParseFor(a, o.User, everything())
			if err != nil || h.Scheme() != r.scheme() {
				t.Fatalf("%s: %v", a, err)
			}
			if !h.Verify(&w, "pässwor") || h.Verify(&w, "passwor") {
				t.Errorf("%s: wrong verdict", a)
			}
			w.Wipe()
		}
	}
	if Names()[0] != Default {
		t.Error("the default is not the first")
	}
}

func TestCannotGenerate(t *testing.T) {
	var w Workspace
	for _, tc := range []struct {
		scheme, password string
		o                Options
	}{
		{scheme: "PLAIN"},
		{scheme: "ARGON2ID", password: "a\x00b"},
		{scheme: "PLAIN-TRUNC", password: "x"},
		{scheme: "OTP", password: "x"},
		{scheme: "NOSUCH", password: "x"},
		{scheme: "SSHA.rot13", password: "x"},
		{scheme: "SSHA.", password: "x"},
		{scheme: "BLF-CRYPT", password: strings.Repeat("x", 73)},
		{scheme: "DES-CRYPT", password: "ninechars"},
		{scheme: "SHA512-CRYPT", password: strings.Repeat("x", 512)},
		{scheme: "DIGEST-MD5", password: "x"}, // of whom?
		{scheme: "SSHA", password: "x", o: Options{Costs: Costs{Rounds: 5}}},
		{scheme: "BLF-CRYPT", password: "x", o: Options{Costs: Costs{Rounds: 5}}},
		{scheme: "BLF-CRYPT", password: "x", o: Options{Costs: Costs{Cost: 17}}},
		{scheme: "BLF-CRYPT", password: "x", o: Options{Costs: Costs{Cost: 3}}},
		{scheme: "SHA512-CRYPT", password: "x", o: Options{Costs: Costs{Cost: 5}}},
		{scheme: "SHA512-CRYPT", password: "x", o: Options{Costs: Costs{Rounds: -1}}},
		{scheme: "SHA512-CRYPT", password: "x", o: Options{Costs: Costs{MemoryKiB: 1000}}},
		{scheme: "SCRAM-SHA-256", password: "x", o: Options{Costs: Costs{Rounds: 4095}}},
		{scheme: "ARGON2ID", password: "x", o: Options{Costs: Costs{MemoryKiB: 7}}},
		{scheme: "ARGON2ID", password: "x", o: Options{Costs: Costs{MemoryKiB: 256<<10 + 1}}},
		{scheme: "ARGON2ID", password: "x", o: Options{Costs: Costs{MemoryKiB: 256 << 10, Rounds: 33}}},
	} {
		if got, err := GenerateWith(&w, tc.scheme, tc.password, tc.o); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s of %q with %+v: %s %v", tc.scheme, tc.password, tc.o, got, err)
		}
	}
}

// Two hashes of one password differ, and the decoy is like them but fits none.
func TestSaltAndDecoy(t *testing.T) {
	var w Workspace
	a, _ := Generate(&w, Default, "same")
	b, _ := Generate(&w, Default, "same")
	if a == b {
		t.Errorf("%s twice", a)
	}
	h, err := Parse(a, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	d := Decoy()
	if d.Scheme() != Default || d.Verify(&w, "") || d.(argon2Hash).params != h.(argon2Hash).params {
		t.Errorf("%+v is no decoy for %+v", d, h)
	}
}

// SCRAM clients send what SASLprep makes of a password; who stored the password
// as it was typed must be let in too.
func TestSCRAMPreparesPasswords(t *testing.T) {
	var w Workspace
	typed, prepared := "a\u00adb\u2168", "abIX" // RFC 4013 section 3
	stored, err := Generate(&w, "SCRAM-SHA-256", typed)
	if err != nil {
		t.Fatal(err)
	}
	h, err := Parse(stored, Policy{})
	if err != nil || !h.Verify(&w, typed) || !h.Verify(&w, prepared) || h.Verify(&w, "abIx") {
		t.Errorf("prepared: wrong verdict, %v", err)
	}
	// doveadm pw of Dovecot 2.3.19
	h, err = Parse("{SCRAM-SHA-1}4096,EorDpAWoJhK6nVXCzylCqA==,woZUtmxqqef25MgPYG8V7Hi1ZrI=,YmxMCLIpT8X5frlI5lLpQeeYljI=", Policy{})
	if err != nil || !h.Verify(&w, typed) || h.Verify(&w, prepared) {
		t.Errorf("unprepared: wrong verdict, %v", err)
	}
}

// The name of a user belongs to the hash of DIGEST-MD5 only.
func TestDigestMD5NeedsTheUser(t *testing.T) {
	var w Workspace
	const stored = "{DIGEST-MD5}a9832fed4a7567b40e43443f9f30c272"
	if _, err := Parse(stored, everything()); !fail.Is(err, fail.Invalid) {
		t.Errorf("without a name: %v", err)
	}
	for user, want := range map[string]bool{"user@example.org": true, "user@example.com": false, "user": false} {
		h, err := ParseFor(stored, user, everything())
		if err != nil || h.Verify(&w, "secret") != want {
			t.Errorf("%s: %v, want %v", user, err, want)
		}
	}
}

// FuzzParse: whatever a password file holds, parsing is quick, what it accepts
// stays within the caps, and no hash ends the program.
func FuzzParse(f *testing.F) {
	for _, stored := range lines(f, "dovecot.txt") {
		f.Add(stored)
	}
	for i, line := range lines(f, "crypt.txt") {
		if i%7 == 0 {
			stored, _, _ := strings.Cut(line, "\t")
			f.Add(stored)
		}
	}
	f.Add("{CRYPT.hex}" + hex.EncodeToString([]byte("$2y$05$W4P5Pvx5SaGdQ7F0SAxDsObRZGFRLOB3k091OSKQHhkHMcn9CJYcu")))
	var w Workspace
	f.Fuzz(func(t *testing.T, stored string) {
		p := everything()
		p.MaxMemoryKiB = 64
		h, err := ParseFor(stored, "a@b", p)
		if err != nil {
			if !fail.Is(err, fail.Invalid) || h != nil {
				t.Fatalf("%q: %v and %v", stored, h, err)
			}
			return
		}
		if a, ok := h.(argon2Hash); ok && (a.params.Memory > 64 || uint64(a.params.Memory)*uint64(a.params.Time) > maxArgonWork) {
			t.Fatalf("%q is over the limits", stored)
		}
		r, ok := find(h.Scheme())
		if !ok {
			t.Fatalf("%q is of unlisted scheme %s", stored, h.Scheme())
		}
		if c, ok := h.(tuned); ok && h.Scheme() != "CRYPT" {
			rounds, cost, _ := r.cost.limits()
			if c.costs().Rounds > rounds.max || c.costs().Cost > cost.max {
				t.Fatalf("%q is over the limits", stored)
			}
		}
		NeedsRehash(stored, Default, Costs{})
		if quick(h) {
			h.Verify(&w, "password")
		}
	})
}

// quick tells hashes that a fuzzer can afford to compute.
func quick(h Hash) bool {
	switch h := h.(type) {
	case argon2Hash:
		return h.costs().work() < 1000
	case bcryptHash:
		return h.cost == 4
	case cryptHash:
		return h.rounds < 1<<13 && h.scheme != "CRYPT" && h.scheme != "DES-CRYPT"
	case yescryptHash:
		return h.n*h.r < 1<<10
	case pbkdf2Hash:
		return h.iter < 1<<13
	case scramHash:
		return h.iter < 1<<13
	}
	return true
}
