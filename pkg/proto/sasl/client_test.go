package sasl

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// What a client must not fall for. The steps are challenges; the last one is
// the bad one. C is the client's nonce.
func TestClientsRefuse(t *testing.T) {
	const salt = "s=QSXCR+Q6sek8bf92"
	for _, tc := range []struct {
		name, mech string
		challenges []string
	}{
		{"nonce of another", "SCRAM-SHA-256", []string{"r=XY," + salt + ",i=4096"}},
		{"nonce not extended", "SCRAM-SHA-256", []string{"r=C," + salt + ",i=4096"}},
		{"few iterations", "SCRAM-SHA-256", []string{"r=CX," + salt + ",i=4095"}},
		{"endless iterations", "SCRAM-SHA-256", []string{"r=CX," + salt + ",i=2000000000"}},
		{"iterations not a number", "SCRAM-SHA-256", []string{"r=CX," + salt + ",i=x"}},
		{"salt not base64", "SCRAM-SHA-256", []string{"r=CX,s=%,i=4096"}},
		{"huge salt", "SCRAM-SHA-256", []string{"r=CX,s=" + strings.Repeat("AAAA", 100) + ",i=4096"}},
		{"mandatory extension", "SCRAM-SHA-256", []string{"m=x,r=CX," + salt + ",i=4096"}},
		{"order", "SCRAM-SHA-256", []string{salt + ",r=CX,i=4096"}},
		{"empty twice", "SCRAM-SHA-256", []string{"", ""}},
		{"too long", "SCRAM-SHA-256", []string{strings.Repeat("r", MaxResponse+1)}},
		{"wrong signature", "SCRAM-SHA-256", []string{"r=CX," + salt + ",i=4096", "v=AAAA"}},
		{"signature not base64", "SCRAM-SHA-256", []string{"r=CX," + salt + ",i=4096", "v=%"}},
		{"server's error", "SCRAM-SHA-256", []string{"r=CX," + salt + ",i=4096", "e=invalid-proof"}},
		{"first message again", "SCRAM-SHA-256", []string{"r=CX," + salt + ",i=4096", "r=CX," + salt + ",i=4096"}},
		{"no nonce", "DIGEST-MD5", []string{`realm="",qop="auth",algorithm=md5-sess`}},
		{"two nonces", "DIGEST-MD5", []string{`nonce="a",nonce="b",algorithm=md5-sess`}},
		{"no algorithm", "DIGEST-MD5", []string{`nonce="a"`}},
		{"other algorithm", "DIGEST-MD5", []string{`nonce="a",algorithm=md5`}},
		{"security layer", "DIGEST-MD5", []string{`nonce="a",algorithm=md5-sess,qop="auth-int,auth-conf"`}},
		{"garbage", "DIGEST-MD5", []string{"garbage"}},
		{"wrong rspauth", "DIGEST-MD5", []string{`nonce="a",algorithm=md5-sess`, "rspauth=00000000000000000000000000000000"}},
		{"garbage before an empty proof", "DIGEST-MD5", []string{"garbage", ""}},
		{"no rspauth", "DIGEST-MD5", []string{`nonce="a",algorithm=md5-sess`, ""}},
		{"empty", "CRAM-MD5", []string{""}},
		{"twice", "CRAM-MD5", []string{"<1@h>", "<2@h>"}},
		{"thrice", "XOAUTH2", []string{"", "{}", "{}"}},
		{"any", "EXTERNAL", []string{"x"}},
		{"any", "ANONYMOUS", []string{"x"}},
	} {
		t.Run(tc.mech+" "+tc.name, func(t *testing.T) {
			client, err := NewClient(tc.mech, Credentials{Authcid: "a", Password: "b", Token: "t"})
			if err != nil {
				t.Fatal(err)
			}
			if c, ok := client.(*scramClient); ok {
				c.nonce = "C"
			}
			if _, _, err := client.Start(); err != nil {
				t.Fatal(err)
			}
			for i, ch := range tc.challenges {
				out, err := client.Next([]byte(ch))
				if last := i == len(tc.challenges)-1; last && (err == nil || out != nil) {
					t.Errorf("challenge %d: %q, %v", i, out, err)
				}
			}
			if m, _ := Find(tc.mech); m.MutualAuth && Complete(client) == nil {
				t.Error("the client is satisfied")
			}
		})
	}
}

// A server that says yes before it has proved itself is not believed.
func TestCompleteWantsTheProof(t *testing.T) {
	for _, m := range Mechanisms() {
		c := m.NewClient(Credentials{Authcid: "a", Password: "b", Token: "t", Stamped: "<x>", Binder: &people{bindings: map[string]string{BindingExporter: "x"}}})
		if _, _, err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := Complete(c); (err != nil) != m.MutualAuth {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

// Clients that cannot say what they were given, say nothing.
func TestClientsThatCannotStart(t *testing.T) {
	for mech, c := range map[string]Credentials{
		"PLAIN":              {Authcid: "a\x00b", Password: "x"},
		"XOAUTH2":            {Authcid: "a", Token: "two words"},
		"OAUTHBEARER":        {Authcid: "a\x01b", Token: "t"},
		"APOP":               {Authcid: "a", Password: "x"},
		"SCRAM-SHA-256-PLUS": {Authcid: "a", Password: "x"},
		"SCRAM-SHA-1-PLUS":   {Authcid: "a", Password: "x", Binder: &people{}},
	} {
		client, err := NewClient(mech, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, ir, err := client.Start(); err == nil {
			t.Errorf("%s starts with %q", mech, ir)
		}
	}
	if _, err := NewClient("GSSAPI", Credentials{}); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

// A connection that cannot be bound is like one without TLS.
func TestChooseWithoutBinding(t *testing.T) {
	cl, err := Choose([]string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}, true, Credentials{Authcid: "a", Password: "b", Binder: &people{}})
	if err != nil {
		t.Fatal(err)
	}
	if name, ir, err := cl.Start(); name != "SCRAM-SHA-256" || !strings.HasPrefix(string(ir), "n,,") || err != nil {
		t.Errorf("%s %q %v", name, ir, err)
	}
}

func TestChoose(t *testing.T) {
	all := "LOGIN PLAIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS XOAUTH2 OAUTHBEARER EXTERNAL ANONYMOUS APOP"
	for _, tc := range []struct {
		offered              string
		private, bound, toks bool
		want                 string // mechanism and, for SCRAM, the binding flag
	}{
		{all, true, true, false, "SCRAM-SHA-256-PLUS p=tls-exporter"},
		{all, true, false, false, "SCRAM-SHA-256 n"},
		{all, false, false, false, "SCRAM-SHA-256 n"},
		{all, true, false, true, "OAUTHBEARER"},
		{all, false, false, true, ""},
		{"SCRAM-SHA-256 SCRAM-SHA-1-PLUS", true, true, false, "SCRAM-SHA-1-PLUS p=tls-exporter"},
		{"SCRAM-SHA-1 SCRAM-SHA-256", true, true, false, "SCRAM-SHA-256 y"},
		{"SCRAM-SHA-1 CRAM-MD5", true, false, false, "SCRAM-SHA-1 n"},
		{"CRAM-MD5 LOGIN PLAIN", true, false, false, "CRAM-MD5"},
		{"CRAM-MD5 LOGIN PLAIN", false, false, false, "CRAM-MD5"},
		{"LOGIN plain", true, false, false, "PLAIN"},
		{"LOGIN", true, false, false, "LOGIN"},
		{"PLAIN LOGIN", false, false, false, ""},
		{"PLAIN XOAUTH2", true, false, true, "XOAUTH2"},
		{"PLAIN", true, false, true, ""},
		{"DIGEST-MD5 EXTERNAL ANONYMOUS APOP GSSAPI", true, true, false, ""},
	} {
		c := Credentials{Authcid: "a", Password: "b"}
		if tc.bound {
			c.Binder = &people{bindings: map[string]string{BindingExporter: "x"}}
		}
		if tc.toks {
			c.Token = "t"
		}
		got := ""
		cl, err := Choose(strings.Fields(tc.offered), tc.private, c)
		if err == nil {
			name, ir, err := cl.Start()
			if err != nil {
				t.Fatal(err)
			}
			got = name
			if strings.HasPrefix(name, "SCRAM") {
				flag, _, _ := strings.Cut(string(ir), ",")
				got += " " + flag
			}
		}
		if got != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("offered %s, private %v, bound %v, token %v: chose %q, %v", tc.offered, tc.private, tc.bound, tc.toks, got, err)
		}
	}
}
