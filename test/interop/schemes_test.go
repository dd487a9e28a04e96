//go:build interop

package interop

import (
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/scheme"
)

const (
	schemeUser     = "user@example.org"
	schemePassword = "pässwör" // eight bytes of it are all that DES-CRYPT sees
)

// cheap are costs that keep the tests short.
func cheap(name string) scheme.Costs {
	switch name {
	case "ARGON2ID", "ARGON2I":
		return scheme.Costs{MemoryKiB: 1024, Rounds: 3}
	case "BLF-CRYPT", "CRYPT":
		return scheme.Costs{Cost: 4}
	case "SHA512-CRYPT", "SHA256-CRYPT", "PBKDF2":
		return scheme.Costs{Rounds: 1001}
	case "SCRAM-SHA-1", "SCRAM-SHA-256":
		return scheme.Costs{Rounds: 4097}
	}
	return scheme.Costs{}
}

// forms is a scheme's name with each way to say its encoding.
func forms(name string) []string {
	return []string{name, name + ".b64", name + ".base64", name + ".HEX"}
}

// dovecotSchemes are those of the installed Dovecot.
func dovecotSchemes(t *testing.T) []string {
	t.Helper()
	need(t, "doveadm")
	return strings.Fields(run(t, "", "doveadm", "pw", "-l"))
}

// Dovecot lets in whoever has the password of a hash that we made, and nobody
// else.
func TestDovecotVerifiesOurHashes(t *testing.T) {
	known := dovecotSchemes(t)
	var w scheme.Workspace
	for _, name := range scheme.Names() {
		if !slices.Contains(known, name) {
			t.Errorf("Dovecot knows no %s", name)
			continue
		}
		for _, form := range forms(name) {
			stored, err := scheme.GenerateWith(&w, form, schemePassword, scheme.Options{User: schemeUser, Costs: cheap(name)})
			if name == "DES-CRYPT" {
				stored, err = scheme.GenerateWith(&w, form, schemePassword[:8], scheme.Options{})
			}
			if err != nil {
				t.Errorf("%s: %v", form, err)
				continue
			}
			out, err := try("", "doveadm", "pw", "-t", stored, "-u", schemeUser, "-p", schemePassword)
			if err != nil || !strings.Contains(out, "(verified)") {
				t.Errorf("%s: %s", stored, out)
			}
			if out, err := try("", "doveadm", "pw", "-t", stored, "-u", schemeUser, "-p", "password"); err == nil {
				t.Errorf("%s: another password fits: %s", stored, out)
			}
		}
	}
}

// We let in whoever has the password of a hash that Dovecot made, and nobody
// else.
func TestWeVerifyDovecotsHashes(t *testing.T) {
	var w scheme.Workspace
	p := scheme.Policy{Allow: scheme.Weak()}
	for _, name := range dovecotSchemes(t) {
		// OTP would change at each login; Dovecot's PLAIN-TRUNC lacks the
		// length that its check wants.
		if name == "OTP" || name == "PLAIN-TRUNC" {
			continue
		}
		for _, form := range forms(name) {
			args := []string{"pw", "-s", form, "-u", schemeUser, "-p", schemePassword}
			switch name {
			case "ARGON2I", "ARGON2ID":
				args = append(args, "-r", "3")
			case "BLF-CRYPT", "CRYPT":
				args = append(args, "-r", "4")
			}
			stored := strings.TrimRight(run(t, "", "doveadm", args...), "\n")
			h, err := scheme.ParseFor(stored, schemeUser, p)
			if err != nil {
				t.Errorf("%s: %v", stored, err)
				continue
			}
			if !h.Verify(&w, schemePassword) || h.Verify(&w, "password") {
				t.Errorf("%s: wrong verdict", stored)
			}
		}
	}
}

// Hashes of crypt(3) that Dovecot only reads: perl hands settings and password
// to the same library.
func TestWeVerifyCryptHashes(t *testing.T) {
	need(t, "perl")
	var w scheme.Workspace
	p := scheme.Policy{Allow: scheme.Weak()}
	for _, setting := range []string{
		"$1$saltsalt", "$2a$04$abcdefghijklmnopqrstuu", "$2b$04$abcdefghijklmnopqrstuu", "$2x$04$abcdefghijklmnopqrstuu", "$2y$04$abcdefghijklmnopqrstuu",
		"$5$saltsaltsaltsalt", "$6$rounds=2000$salt", "$7$86..../....salt", "$y$j75$saltsalt", "$gy$j75$saltsalt", "$sha1$1000$saltsalt", "ab", "_J9..salt",
	} {
		for _, password := range []string{schemePassword, "p", strings.Repeat("long pässwörd ", 7), "\xff\xa3\x80 not UTF-8"} {
			hash := run(t, "", "perl", "-e", `print crypt($ARGV[0], $ARGV[1])`, password, setting)
			if hash == "" || hash[0] == '*' {
				t.Logf("this crypt(3) makes no %s", setting)
				continue
			}
			h, err := scheme.Parse("{CRYPT}"+hash, p)
			if err != nil {
				t.Errorf("%s: %v", hash, err)
				continue
			}
			if !h.Verify(&w, password) || h.Verify(&w, "q") {
				t.Errorf("%s of %q: wrong verdict", hash, password)
			}
		}
	}
}
