package sasl

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Malformed responses never reach the backend.
func TestMalformed(t *testing.T) {
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	long := many("a", MaxName+1)
	for _, tc := range []struct {
		mech     string
		response []string
	}{
		{"SCRAM-SHA-256", []string{
			"", ",", ",,", "n,,", "n,", "n,,r=x", "n,,n=,r=x", "n,,n=a", "n,,n=a,r=", "n,,n=a,n=b,r=x", "n,,r=x,n=a", "N,,n=a,r=x", "p,,n=a,r=x",
			"n,a=,n=a,r=x", "n,b=x,n=a,r=x", "n,a=x=,n=a,r=x", "n,,n=a=2c,r=x", "n,,n=a=,r=x", "n,,n=a=2,r=x", "n,,n==41,r=x", "n,,m=x,n=a,r=x",
			"n,,n=a,r=x,m=x", "n,,n=a,r=x,", "n,,n=a,r=x,y", "n,,n=a,r=x,1=x", "n,,n=a,r=x y", "n,,n=a,r=x\x7f", "n,,n=a,r=\xff", "n,,n=a\x00,r=x",
			"n,,n=a\n,r=x", "n,,n=a\xff,r=x", "n,,n=" + long + ",r=x", "n,a=" + long + ",n=a,r=x", "n,,n=a,r=" + many("x", maxNonce+1),
			"n,,n=a,r=x" + many(",e=x", maxAttributes), many("x", MaxResponse+1),
		}},
		{"SCRAM-SHA-256-PLUS", []string{"p=,,n=a,r=x", "p=tls-server-end-point ,,n=a,r=x", "p=TLS-EXPORTER,,n=a,r=x", "p,,n=a,r=x"}},
		{"CRAM-MD5", []string{
			"", "a", " ", "a ", " " + many("0", 32), "a " + many("0", 31), "a " + many("0", 33), "a " + many("g", 32), "a\x00b " + many("0", 32),
			"\xff " + many("0", 32), long + " " + many("0", 32), many("x", MaxResponse+1), "a " + many("0", 32) + "\n",
		}},
		{"DIGEST-MD5", []string{
			"", "x", "=", "=x", `username="a`, `username="a\`, "username=a b", "username=", `username=a"b`, `username="a"x`, "username=\"a\x00\"",
			`a b=c`, digestOf(`username`), digestOf(`nonce`), digestOf(`cnonce`), digestOf(`digest-uri`), digestOf(`response`), digestOf(`nc`),
			digestOf() + `,username="b"`, digestOf() + `,realm="x",realm="y"`, digestOf() + `,qop=auth-int`, digestOf() + `,charset=latin1`,
			digestOf() + `,authzid="` + long + `"`, digestOf() + `,authzid="` + "\n" + `"`, digestOf() + `,x="` + many("x", maxDirective+1) + `"`,
			digestOf() + many(",x=y", maxDirectives), many("x", MaxResponse+1), many(",", MaxResponse) + "x",
		}},
		{"XOAUTH2", []string{
			"", "\x01", "\x01\x01", "user=\x01auth=Bearer x\x01\x01", "auth=Bearer x\x01\x01", "user=a\x01auth=Basic x\x01\x01", "user=a\x01auth=Bearerx\x01\x01",
			"user=a\x01auth=Bearer x y\x01\x01", "user=a\x01auth=Bearer \x01\x01", "user=a\x01auth=Bearer =\x01\x01", "user=a\x01auth=Bearer x\x00\x01\x01",
			"user=a\x01user=b\x01auth=Bearer x\x01\x01", "user=a\x01auth=Bearer x\x01auth=Bearer y\x01\x01", "user=a\n\x01auth=Bearer x\x01\x01",
			"user=" + long + "\x01auth=Bearer x\x01\x01", "user=\xff\x01auth=Bearer x\x01\x01", "user=a\x01x\x01auth=Bearer x\x01\x01",
			"user=a\x01auth=Bearer x" + many("\x01x=y", maxPairs) + "\x01\x01", many("x", MaxResponse+1),
		}},
		{"OAUTHBEARER", []string{
			"", "\x01", "n\x01", "n,\x01auth=Bearer x\x01\x01", "n,a=a\x01auth=Bearer x\x01\x01", "n,a=a,x\x01auth=Bearer x\x01\x01", "p=tls-exporter,a=a,\x01auth=Bearer x\x01\x01",
			"F,n,a=a,\x01auth=Bearer x\x01\x01", "n,b=a,\x01auth=Bearer x\x01\x01", "n,a=,\x01auth=Bearer x\x01\x01", "n,a=a=2,\x01auth=Bearer x\x01\x01",
			"n,a=a\n,\x01auth=Bearer x\x01\x01", "n,a=" + long + ",\x01auth=Bearer x\x01\x01", many("x", MaxResponse+1),
		}},
		{"EXTERNAL", []string{long, "\x00", "a\n", "\xff", many("x", MaxResponse+1)}},
		{"ANONYMOUS", []string{many("x", maxTrace+1), "\xff", "a\x00", many("x", MaxResponse+1)}},
	} {
		m, _ := Find(tc.mech)
		for _, r := range tc.response {
			p := &people{t: t, bindings: map[string]string{BindingExporter: "x", BindingEndPoint: "x"}}
			s := m.NewServer(p, Setting{nonce: func() string { return "nonce" }})
			_, _, err := s.Next(nil)
			if err == nil {
				_, _, err = s.Next([]byte(r))
			}
			if !fail.Is(err, fail.Invalid) || p.questions != 0 {
				t.Errorf("%s %q: %v, backend asked %d times", tc.mech, r, err, p.questions)
			}
		}
	}
}

// digestOf is a response that is right but for the digest's value and the
// directives that are left out; with none left out it lacks a realm.
func digestOf(without ...string) string {
	var out []string
	for _, d := range []string{`username="a"`, `nonce="nonce"`, `cnonce="c"`, `nc=00000001`, `digest-uri="a/b"`, `response=` + strings.Repeat("0", 32)} {
		if key, _, _ := strings.Cut(d, "="); len(without) == 0 || key != without[0] {
			out = append(out, d)
		}
	}
	return strings.Join(out, ",")
}

// A secret that is not one of the mechanism is our fault, not the peer's.
func TestBadSecret(t *testing.T) {
	m, _ := Find("SCRAM-SHA-256")
	s := m.NewServer(badSecrets{}, Setting{})
	if _, _, err := s.Next([]byte("n,,n=a,r=x")); !fail.Is(err, fail.Temporary) {
		t.Error(err)
	}
}

type badSecrets struct{ OnlyPasswords }

func (badSecrets) VerifyPassword(Credentials) error { return errOnly }

func (badSecrets) Secret(Identity, SecretKind) (Secret, error) {
	return Secret{Salt: []byte("x"), Iter: 4096, StoredKey: make([]byte, 20), ServerKey: make([]byte, 20)}, nil
}
