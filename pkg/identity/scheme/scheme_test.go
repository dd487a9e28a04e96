package scheme

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Made with `doveadm pw` 2.3.19 and the password "sésame Ouvre-toi".
func TestVerifiesDovecotsHashes(t *testing.T) {
	var w Workspace
	for _, tc := range []struct{ stored, scheme string }{
		{"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$/9nS96prL6qzxg5o4vswqQ$/KAnJA9njD8646R6zunbyCRHBn+sPvBQeZCssj7BO9E", "ARGON2ID"},
		{"{ARGON2I}$argon2i$v=19$m=32768,t=5,p=1$eCsmnr72cIG0xTmSMIjxXg$3d82conahMVN1kfV1nYZJJe9UuOfhx3n8mjyWltqJeo", "ARGON2I"},
		{"{BLF-CRYPT}$2y$05$arICc5c6Fh5BROiScWO8/eSKtNMvC9wWMxVUS2Lt85vbT04YOdDdm", "BLF-CRYPT"},
		{"{SHA512-CRYPT}$6$rounds=1000$6ezJQyxTgx6JpFe7$MzYqrgmx1NFkA3TvtzOQBXReKEG0aF3AqhHQ5Xff41veqankUeO1X4b7Gvvm5mi0ifu.ALc/3umqDkTL5ueWZ.", "SHA512-CRYPT"},
		{"{SHA256-CRYPT}$5$rounds=1000$vMBBlK085SruaxrE$RaHhyRLsbmT.BHKibOzGyrbWRHRf4TEsAlXE2Ij6Z0/", "SHA256-CRYPT"},
		{"{CRYPT}$2y$05$W4P5Pvx5SaGdQ7F0SAxDsObRZGFRLOB3k091OSKQHhkHMcn9CJYcu", "BLF-CRYPT"},
		{"$2y$05$W4P5Pvx5SaGdQ7F0SAxDsObRZGFRLOB3k091OSKQHhkHMcn9CJYcu", "BLF-CRYPT"},
		{"{PLAIN.B64}c8Opc2FtZSBPdXZyZS10b2k=", "PLAIN"},
		{"{plain.hex}73c3a973616d65204f757672652d746f69", "PLAIN"},
		{"{SHA512-CRYPT.B64}JDYkcm91bmRzPTEwMDAkN05TTW8wMUVLUzhwQjRvTiQwNUIyazV4NS5PVlFqUFVYNEdnL0xwUjQzTVFmai4yQ0ZWVi5aejhGT01YTmJwLkRxWXNlUjR6VXpnZ0hLeFlRa0hkZE8vcGowbGJxU3I5Q1NkZk5BLg==", "SHA512-CRYPT"},
	} {
		h, err := Parse(tc.stored, Policy{Allow: []string{"plain"}})
		if err != nil {
			t.Errorf("%s: %v", tc.stored, err)
			continue
		}
		if h.Scheme() != tc.scheme {
			t.Errorf("%s is taken for %s", tc.stored, h.Scheme())
		}
		// Wrong passwords of the costly ones are TestGenerated's.
		if !h.Verify(&w, "sésame Ouvre-toi") || (!strings.HasPrefix(tc.scheme, "ARGON") && h.Verify(&w, "sésame Ouvre-toi ")) {
			t.Errorf("%s: wrong verdict", tc.stored)
		}
	}
}

func TestGenerated(t *testing.T) {
	var w Workspace
	for _, name := range Names() {
		a, err := Generate(&w, strings.ToLower(name), "pässword")
		if err != nil || !strings.HasPrefix(a, "{"+name+"}") {
			t.Fatal(a, err)
		}
		h, err := Parse(a, Policy{Allow: []string{"PLAIN"}})
		if err != nil || h.Scheme() != name {
			t.Fatalf("%s: %v", a, err)
		}
		if !h.Verify(&w, "pässword") || h.Verify(&w, "password") {
			t.Errorf("%s: wrong verdict", a)
		}
		w.Wipe()
	}
	for _, tc := range []struct{ scheme, password string }{
		{"PLAIN", ""},
		{"ARGON2ID", "a\x00b"},
		{"ARGON2I", "x"},
		{"NOSUCH", "x"},
		{"BLF-CRYPT", strings.Repeat("x", 73)},
	} {
		if got, err := Generate(&w, tc.scheme, tc.password); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s of %q: %s %v", tc.scheme, tc.password, got, err)
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

// Each of these would cost too much, is no password of ours, or is readable.
func TestRefuses(t *testing.T) {
	salt, tag := "c29tZXNhbHQ", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
	bcryptTail := "$arICc5c6Fh5BROiScWO8/eSKtNMvC9wWMxVUS2Lt85vbT04YOdDdm"
	shaTail := "$6ezJQyxTgx6JpFe7$" + strings.Repeat("a", 86)
	for name, stored := range map[string]string{
		"argon2 memory":        "$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + tag,
		"argon2 memory 4 TiB":  "$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + tag,
		"argon2 overflow":      "$argon2id$v=19$m=4294967296,t=1,p=1$" + salt + "$" + tag,
		"argon2 work":          "$argon2id$v=19$m=262144,t=33,p=1$" + salt + "$" + tag,
		"argon2 passes":        "$argon2id$v=19$m=8,t=4294967295,p=1$" + salt + "$" + tag,
		"argon2 lanes":         "$argon2id$v=19$m=65536,t=1,p=65$" + salt + "$" + tag,
		"argon2 tiny":          "$argon2id$v=19$m=8,t=1,p=2$" + salt + "$" + tag,
		"argon2 zero":          "$argon2id$v=19$m=0,t=1,p=1$" + salt + "$" + tag,
		"argon2 order":         "$argon2id$v=19$t=1,m=8,p=1$" + salt + "$" + tag,
		"argon2 version":       "$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + tag,
		"argon2 no tag":        "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$",
		"argon2 short tag":     "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$MTIz",
		"argon2 no salt":       "$argon2id$v=19$m=8,t=1,p=1$$" + tag,
		"argon2 salt":          "$argon2id$v=19$m=8,t=1,p=1$!!$" + tag,
		"argon2 parts":         "$argon2id$v=19$m=8,t=1,p=1$" + salt,
		"bcrypt cost":          "$2y$17" + bcryptTail,
		"bcrypt cost 31":       "$2y$31" + bcryptTail,
		"bcrypt short":         "$2y$05$arICc5c6",
		"bcrypt long":          "$2y$05" + bcryptTail + "x",
		"sha rounds":           "$6$rounds=2000001" + shaTail,
		"sha few rounds":       "$6$rounds=1" + shaTail,
		"sha negative":         "$6$rounds=-1" + shaTail,
		"sha salt":             "$6$12345678901234567$" + strings.Repeat("a", 86),
		"sha key":              "$6$abc$def",
		"sha other":            "$6$foo=1" + shaTail,
		"scheme and hash":      "{BLF-CRYPT}$6" + shaTail,
		"des crypt":            "xyQf7vKKSJGBE",
		"md5":                  "{MD5}$1$abc$def",
		"empty":                "",
		"locked":               "!$2y$05" + bcryptTail,
		"no brace":             "{PLAIN",
		"empty plain":          "{PLAIN}",
		"plain":                "{PLAIN}secret",
		"cleartext by other":   "{CLEARTEXT}secret",
		"encoding":             "{PLAIN.rot13}frperg",
		"bad base64":           "{SHA512-CRYPT.b64}***",
		"bad hex":              "{SHA512-CRYPT.hex}abc",
		"longer than any hash": "{PLAIN}" + strings.Repeat("x", maxStored),
	} {
		p := Policy{}
		if strings.HasPrefix(name, "empty") || strings.HasPrefix(name, "clear") || strings.HasPrefix(name, "enc") || strings.HasPrefix(name, "longer") {
			p.Allow = []string{"PLAIN"}
		}
		_, err := Parse(stored, p)
		if !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestPolicyRaisesMemory(t *testing.T) {
	stored := "{ARGON2ID}$argon2id$v=19$m=1048576,t=5,p=1$YReOqI2g1/StjXf6lB09ng$+fJ15E9OitpG/l1CCzIgqFYeAy8KlCV/dH+siLIccOs"
	if _, err := Parse(stored, Policy{}); err == nil {
		t.Error("1 GiB is over the default limit")
	}
	if _, err := Parse(stored, Policy{MaxMemoryKiB: 1 << 20}); err != nil {
		t.Errorf("1 GiB was allowed: %v", err)
	}
}

// FuzzParse: whatever a password file holds, parsing is quick and what it
// accepts stays within the caps.
func FuzzParse(f *testing.F) {
	f.Add("{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI")
	f.Add("{SHA512-CRYPT}$6$rounds=1000$abc$" + strings.Repeat("a", 86))
	f.Add("{PLAIN.b64}c8Opc2Ft")
	f.Add("{CRYPT.hex}" + hex.EncodeToString([]byte("$2y$05$W4P5Pvx5SaGdQ7F0SAxDsObRZGFRLOB3k091OSKQHhkHMcn9CJYcu")))
	f.Fuzz(func(t *testing.T, stored string) {
		h, err := Parse(stored, Policy{Allow: []string{"PLAIN"}, MaxMemoryKiB: 64})
		if err != nil {
			return
		}
		if a, ok := h.(argon2Hash); ok && (a.params.Memory > 64 || uint64(a.params.Memory)*uint64(a.params.Time) > maxArgonWork) {
			t.Fatalf("%q is over the limits", stored)
		}
		if _, ok := find(h.Scheme()); !ok {
			t.Fatalf("%q is of unlisted scheme %s", stored, h.Scheme())
		}
	})
}
