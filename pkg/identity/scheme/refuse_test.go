package scheme

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Each of these would cost too much, is no password of ours, or is weak.
func TestRefuses(t *testing.T) {
	salt, tag := "c29tZXNhbHQ", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
	bcryptTail := "$arICc5c6Fh5BROiScWO8/eSKtNMvC9wWMxVUS2Lt85vbT04YOdDdm"
	shaTail := "$6ezJQyxTgx6JpFe7$" + strings.Repeat("a", 86)
	scrypt43 := "$" + strings.Repeat("a", 43)
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
		"argon2 variant":       "$argon2d$v=19$m=8,t=1,p=1$" + salt + "$" + tag,
		"argon2 no tag":        "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$",
		"argon2 short tag":     "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$MTIz",
		"argon2 no salt":       "$argon2id$v=19$m=8,t=1,p=1$$" + tag,
		"argon2 salt":          "$argon2id$v=19$m=8,t=1,p=1$!!$" + tag,
		"argon2 parts":         "$argon2id$v=19$m=8,t=1,p=1$" + salt,
		"bcrypt cost":          "$2y$17" + bcryptTail,
		"bcrypt cost 31":       "$2y$31" + bcryptTail,
		"bcrypt cost 3":        "$2y$03" + bcryptTail,
		"bcrypt cost sign":     "$2y$+5" + bcryptTail,
		"bcrypt variant":       "$2c$05" + bcryptTail,
		"bcrypt short":         "$2y$05$arICc5c6",
		"bcrypt long":          "$2y$05" + bcryptTail + "x",
		"bcrypt characters":    "$2y$05" + bcryptTail[:40] + "!" + bcryptTail[41:],
		"sha rounds":           "$6$rounds=2000001" + shaTail,
		"sha few rounds":       "$6$rounds=1" + shaTail,
		"sha negative":         "$6$rounds=-1" + shaTail,
		"sha salt":             "$6$12345678901234567$" + strings.Repeat("a", 86),
		"sha key":              "$6$abc$def",
		"sha other":            "$6$foo=1" + shaTail,
		"sha1crypt rounds":     "$sha1$4000001$salt$" + strings.Repeat("a", 28),
		"sha1crypt none":       "$sha1$0$salt$" + strings.Repeat("a", 28),
		"sha1crypt key":        "$sha1$1$salt$" + strings.Repeat("a", 27),
		"pbkdf2 iterations":    "{PBKDF2}$1$salt$4000001$" + strings.Repeat("a", 40),
		"pbkdf2 none":          "{PBKDF2}$1$salt$0$" + strings.Repeat("a", 40),
		"pbkdf2 hash":          "{PBKDF2}$1$salt$1$" + strings.Repeat("a", 39),
		"pbkdf2 parts":         "{PBKDF2}$1$salt$" + strings.Repeat("a", 40),
		"scram iterations":     "{SCRAM-SHA-1}1000001,c2FsdA==," + scramTail,
		"scram few":            "{SCRAM-SHA-1}4095,c2FsdA==," + scramTail,
		"scram hash":           "{SCRAM-SHA-256}4096,c2FsdA==," + scramTail,
		"scram salt":           "{SCRAM-SHA-1}4096,," + scramTail,
		"scram parts":          "{SCRAM-SHA-1}4096," + scramTail,
		"yescrypt memory":      "$y$jFT$abcdefgh" + scrypt43, // N=2^18, r=32: 1 GiB
		"yescrypt parameters":  "$y$j9T.$abcdefgh" + scrypt43,
		"yescrypt flavour":     "$y$/9T$abcdefgh" + scrypt43,
		"yescrypt r":           "$y$j9!$abcdefgh" + scrypt43,
		"yescrypt salt":        "$y$j9T$abc!efgh" + scrypt43,
		"yescrypt key":         "$y$j9T$abcdefgh$abc",
		"gost yescrypt":        "$gy$jFT$abcdefgh" + scrypt43,
		"yescrypt N":           "$y$j.T$abcdefgh" + scrypt43,
		"scrypt memory":        "$7$FT..../....salt" + scrypt43, // N=2^17, r=31: 508 MiB
		"scrypt N":             "$7$z/..../....salt" + scrypt43,
		"scrypt r":             "$7$6....../....salt" + scrypt43,
		"scrypt p":             "$7$CU....zzzzzsalt" + scrypt43,
		"scrypt overflow":      "$7$TzzzzzzzzzzSalt" + scrypt43,
		"scrypt characters":    "$7$C!..../....salt" + scrypt43,
		"scrypt short":         "$7$CU$" + scrypt43,
		"extended des count":   "_zzzzK0AyMVxWU.C3O1E",
		"extended des none":    "_....K0AyMVxWU.C3O1E",
		"extended des":         "_J9..K0AyMVxWU.C3O1",
		"blowfish only":        "{BLF-CRYPT}$6" + shaTail,
		"argon2 only":          "{ARGON2ID}$2y$05" + bcryptTail,
		"md5 crypt only":       "{MD5-CRYPT}5ebe2294ecd0e0f08eab7690d2a6ee69",
		"md5":                  "{MD5}$1$abc$def",
		"md5 short":            "{MD5}5ebe2294",
		"sun md5":              "$md5$rounds=904$iPPKEBnEkp3JV8uX$0L6m7rOFTVFn.SGqo2M9W1",
		"otp":                  "{OTP}sha1 1024 9e0fb33bd507c2cd ec11d33476a0b5af",
		"sha1 length":          "{SHA}5en6G6MezRroT3XKqkdPOmY=",
		"sha1 hex":             "{SHA}" + strings.Repeat("g", 40),
		"no salt":              "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
		"ssha hex":             "{SSHA}a64e5027fe40157dacf53137cdf28a6bc634959b11f61dd!",
		"cram length":          "{CRAM-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
		"empty":                "",
		"locked":               "!$2y$05" + bcryptTail,
		"no brace":             "{PLAIN",
		"empty plain":          "{PLAIN}",
		"empty trunc":          "{PLAIN-TRUNC}0-", // Dovecot takes any password for it
		"trunc":                "{PLAIN-TRUNC}secret",
		"encoding":             "{PLAIN.rot13}frperg",
		"empty encoding":       "{PLAIN.}secret",
		"bad base64":           "{SHA512-CRYPT.b64}***",
		"bad hex":              "{SHA512-CRYPT.hex}abc",
		"longer than any hash": "{PLAIN}" + strings.Repeat("x", maxStored),
	} {
		_, err := Parse(stored, everything())
		if !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestPolicyRaisesMemory(t *testing.T) {
	for _, stored := range []string{
		"{ARGON2ID}$argon2id$v=19$m=1048576,t=5,p=1$YReOqI2g1/StjXf6lB09ng$+fJ15E9OitpG/l1CCzIgqFYeAy8KlCV/dH+siLIccOs",
		"$y$jFT$abcdefgh$" + strings.Repeat("a", 43),
	} {
		if _, err := Parse(stored, Policy{}); err == nil {
			t.Error("1 GiB is over the default limit")
		}
		if _, err := Parse(stored, Policy{MaxMemoryKiB: 1 << 20}); err != nil {
			t.Errorf("1 GiB was allowed: %v", err)
		}
	}
}

// A weak hash works only under a name that is allowed, and the error says what
// to write where.
func TestWeakSchemes(t *testing.T) {
	des, md5crypt, bcrypt := "qA.WZ29csH/Wo", "$1$8Ont8d9Y$UVb.coL86UlMDmI6pLifc1", "$2y$05$qnAGVJkycoflAq4xWzMtZ..qnSD7DaIpEh6DyKK3bakrhzMCh/bDK"
	for _, tc := range []struct{ stored, needs string }{
		{"{PLAIN}secret", "PLAIN"},
		{"{plain.hex}736563726574", "PLAIN"},
		{"{CLEARTEXT}secret", "CLEARTEXT"},
		{"{CLEAR}secret", "CLEAR"},
		{"{PLAIN-TRUNC}6-secret", "PLAIN-TRUNC"},
		{"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SHA"},
		{"{SHA1}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SHA1"},
		{"{MD5}" + md5crypt, "MD5"},
		{"{MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "MD5"},
		{"{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "PLAIN-MD5"},
		{"{LDAP-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "LDAP-MD5"},
		{"{HMAC-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56", "HMAC-MD5"},
		{"{SMD5}rheXZcQ7eJ+HZu20Sfv/p+6UAAE=", "SMD5"},
		{md5crypt, "MD5-CRYPT"},
		{"{CRYPT}" + md5crypt, "MD5-CRYPT"},
		{"{SHA512-CRYPT}" + md5crypt, "MD5-CRYPT"},
		{des, "DES-CRYPT"},
		{"{CRYPT}" + des, "DES-CRYPT"},
		{"_J9..K0AyMVxWU.C3O1E", "DES-CRYPT"},
		{"{DES-CRYPT}" + des, "DES-CRYPT"},
		// Not weak, whatever they are called.
		{"{DES-CRYPT}" + bcrypt, ""},
		{"{SSHA}dQlI0hgIj9uY5h6p59+cSMOlSxaBlv9O", ""},
		{"{PBKDF2}$1$vJnpfraY.mQCZq9s$5000$9222fb2a89b7fe3328112d492c9b3d9a26c8e7c3", ""},
	} {
		_, err := Parse(tc.stored, Policy{})
		if tc.needs == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.stored, err)
			}
			continue
		}
		advice := fmt.Sprintf("passwords.allow_schemes can allow %s", tc.needs)
		if !fail.Is(err, fail.Invalid) || !strings.HasSuffix(err.Error(), advice) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want advice on %s", tc.stored, err, tc.needs)
		}
		if _, err := Parse(tc.stored, Policy{Allow: []string{"OTHER", strings.ToLower(tc.needs)}}); err != nil {
			t.Errorf("%s: %v", tc.stored, err)
		}
		for _, other := range Weak() {
			if _, err := Parse(tc.stored, Policy{Allow: []string{other}}); err == nil && other != tc.needs {
				t.Errorf("%s: allowed by %s", tc.stored, other)
			}
		}
	}
}
