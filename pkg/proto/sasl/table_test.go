package sasl

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	xscram "github.com/xdg-go/scram"
	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// The properties are what Dovecot 2.3.19 prints; 2.4 has the -PLUS ones.
func TestProperties(t *testing.T) {
	words := map[string]string{
		"PLAIN": "plaintext", "LOGIN": "plaintext", "CRAM-MD5": "dictionary active", "DIGEST-MD5": "dictionary active mutual-auth",
		"SCRAM-SHA-1": "mutual-auth", "SCRAM-SHA-256": "mutual-auth", "SCRAM-SHA-1-PLUS": "mutual-auth", "SCRAM-SHA-256-PLUS": "mutual-auth",
		"APOP": "private dictionary active", "EXTERNAL": "", "ANONYMOUS": "anonymous", "OAUTHBEARER": "plaintext", "XOAUTH2": "plaintext",
	}
	for _, m := range Mechanisms() {
		var got []string
		for _, p := range []struct {
			word string
			set  bool
		}{
			{"private", m.Private},
			{"anonymous", m.Anonymous},
			{"plaintext", m.Plaintext},
			{"dictionary", m.Dictionary},
			{"active", m.Active},
			{"forward-secrecy", m.ForwardSecrecy},
			{"mutual-auth", m.MutualAuth},
		} {
			if p.set {
				got = append(got, p.word)
			}
		}
		if want, ok := words[m.Name]; !ok || strings.Join(got, " ") != want {
			t.Errorf("%s: %s", m.Name, got)
		}
		delete(words, m.Name)
	}
	if len(words) != 0 {
		t.Errorf("missing: %v", words)
	}
}

func TestClaimed(t *testing.T) {
	for _, tc := range []struct{ mech, response, want string }{
		{"PLAIN", "x\x00alice\x00secret", "alice"},
		{"PLAIN", "alice\x00secret", ""},
		{"LOGIN", "alice", "alice"},
		{"login", "al\nice", ""},
		{"CRAM-MD5", "al ice " + strings.Repeat("0", 32), "al ice"},
		{"CRAM-MD5", "alice secret", ""},
		{"DIGEST-MD5", digestOf(), "a"},
		{"SCRAM-SHA-256", "n,,n=a=2Cb,r=x", "a,b"},
		{"SCRAM-SHA-256", "n,,n=a", ""},
		{"SCRAM-SHA-1-PLUS", "p=tls-exporter,a=x,n=a,r=x", "a"},
		{"XOAUTH2", "user=alice\x01auth=Bearer t\x01\x01", "alice"},
		{"OAUTHBEARER", "n,a=alice,\x01auth=Bearer t\x01\x01", "alice"},
		{"OAUTHBEARER", "n,,\x01auth=Bearer t\x01\x01", ""},
		{"EXTERNAL", "alice", "alice"},
		{"EXTERNAL", "", ""},
		{"ANONYMOUS", "trace", ""},
		{"APOP", "<x>\x00alice\x000123456789abcdef", "alice"},
		{"GSSAPI", "alice", ""},
	} {
		if got := Claimed(tc.mech, []byte(tc.response)); got != tc.want {
			t.Errorf("%s %q names %q, want %q", tc.mech, tc.response, got, tc.want)
		}
	}
}

// name draws user names that mechanisms must carry; SCRAM's client prepares
// them, so they are drawn prepared.
func name() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return prepared(rapid.StringMatching(`[a-z0-9=,."\\ @\x{e4}\x{3b1}\x{4e2d}]{1,20}`).Draw(t, "name"))
	})
}

func password() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[ -~]{1,80}`),
		rapid.StringMatching(`[ \x{a0}\x{ad}\x{aa}\x{2168}\x{e4}\x{3b1}=,]{1,20}`),
		rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 70), func(b []byte) string { return string(b) }),
	)
}

// exchange runs our client against our server. wire is what the server said.
func exchange(t *testing.T, m Mechanism, set Setting, c Credentials, p *people) (wire []string, err error) {
	p.t, p.iter = t, 2
	client := m.NewClient(c)
	if s, ok := client.(*scramClient); ok {
		s.least = 1 // a test need not be slow to guess
	}
	server := m.NewServer(p, set)
	_, response, err := client.Start()
	if err != nil {
		return nil, err
	}
	for {
		challenge, done, err := server.Next(response)
		if challenge != nil {
			wire = append(wire, string(challenge))
			if response, err = client.Next(challenge); err != nil {
				return wire, err
			}
		}
		if err != nil || done {
			if serr := p.settled(); serr != nil {
				t.Error(serr)
			}
			if err == nil {
				err = Complete(client)
			}
			return wire, err
		}
	}
}

// Whoever knows the password gets in as himself, whoever does not gets
// nothing, with every mechanism.
func TestClientsAgainstServers(t *testing.T) {
	set := Setting{PlusOffered: true, Stamp: Stamp{PID: 1, Conn: 2}}
	for _, m := range Mechanisms() {
		t.Run(m.Name, rapid.MakeCheck(func(r *rapid.T) {
			c := Credentials{
				Authcid: name().Draw(r, "user"), Password: password().Draw(r, "password"), Stamped: "<1.2.5f000001.x@h>",
				Token: rapid.StringMatching(`[A-Za-z0-9._~+/-]{1,40}={0,2}`).Draw(r, "token"),
			}
			p := &people{
				passwords: map[string]string{c.Authcid: c.Password}, token: c.Token, guests: true, cert: c.Authcid,
				bindings: map[string]string{BindingExporter: "data"},
			}
			c.Binder = p
			if _, err := exchange(t, m, set, c, p); err != nil {
				r.Fatalf("right: %v", err)
			}
			if p.id.Authcid != c.Authcid {
				r.Fatalf("logged in as %q", p.id.Authcid)
			}
			if m.Anonymous {
				return
			}
			q := &people{passwords: map[string]string{c.Authcid: c.Password + "x"}, token: c.Token + "x", bindings: p.bindings}
			if _, err := exchange(t, m, set, c, q); !fail.Is(err, fail.Denied) {
				r.Fatalf("wrong: %v", err)
			}
		}))
	}
}

// On the wire an unknown user is one with a wrong password: the same messages
// of the same form, and the same salt each time.
func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	set := Setting{PlusOffered: true, Stamp: Stamp{PID: 1, Conn: 2}, nonce: func() string { return "nonce" }}
	known := map[string]string{"alice": "secret"}
	for _, m := range Mechanisms() {
		if m.Secret == 0 && m.Name != "PLAIN" && m.Name != "LOGIN" {
			continue
		}
		ask := func(user string) []string {
			p := &people{passwords: known, bindings: map[string]string{BindingExporter: "data"}}
			c := Credentials{Authcid: user, Password: "guess", Stamped: "<1.2.5f000001.x@h>", Binder: p}
			wire, err := exchange(t, m, set, c, p)
			if !fail.Is(err, fail.Denied) || err.Error() != errWrong.Error() {
				t.Errorf("%s as %s: %v", m.Name, user, err)
			}
			return wire
		}
		shape := func(wire []string) (out []string) {
			for _, w := range wire {
				form := strings.Map(func(r rune) rune {
					if strings.ContainsRune(`,=":<>@`, r) {
						return r
					}
					return 'x'
				}, w)
				out = append(out, form)
			}
			return out
		}
		a, b := shape(ask("alice")), shape(ask("nobody"))
		if strings.Join(a, "|") != strings.Join(b, "|") {
			t.Errorf("%s: %q and %q", m.Name, a, b)
		}
		if m.Secret == SecretSCRAMSHA256 || m.Secret == SecretSCRAMSHA1 {
			salt := func(w []string) string { _, s, _ := strings.Cut(w[0], ",s="); return s }
			if one, two := salt(ask("nobody")), salt(ask("nobody")); one != two || one == salt(ask("somebody")) {
				t.Errorf("%s: salts %s and %s", m.Name, one, two)
			}
		}
	}
}

// Another implementation of SCRAM on either side.
func TestSCRAMAgainstAnother(t *testing.T) {
	binding := []byte("exported keys")
	for _, m := range Mechanisms() {
		if !strings.HasPrefix(m.Name, "SCRAM") {
			continue
		}
		gen := xscram.SHA256
		if m.Secret == SecretSCRAMSHA1 {
			gen = xscram.SHA1
		}
		cb := xscram.ChannelBinding{Type: xscram.ChannelBindingTLSExporter, Data: binding}
		const user, pass = "a=ü,c", "p\u00adä\u00a0ss"
		p := &people{t: t, passwords: map[string]string{user: pass}, bindings: map[string]string{BindingExporter: string(binding)}}

		theirs, err := gen.NewClient(user, pass, "")
		if err != nil {
			t.Fatal(err)
		}
		conv := theirs.NewConversation()
		if m.Binding {
			conv = theirs.NewConversationWithChannelBinding(cb)
		}
		server := m.NewServer(p, Setting{})
		message, err := conv.Step("")
		done := false
		for range 2 {
			if err != nil {
				t.Fatalf("%s: their client: %v", m.Name, err)
			}
			var challenge []byte
			var serr error
			if challenge, done, serr = server.Next([]byte(message)); serr != nil {
				t.Fatalf("%s: our server: %v", m.Name, serr)
			}
			message, err = conv.Step(string(challenge))
		}
		if !done || err != nil || !conv.Valid() {
			t.Errorf("%s: %v %v", m.Name, done, err)
		}

		stored, err := theirs.GetStoredCredentialsWithError(xscram.KeyFactors{Salt: "saltsalt", Iters: 4096})
		if err != nil {
			t.Fatal(err)
		}
		mine := SecretOf(m.Secret, Identity{}, pass, []byte("saltsalt"), 4096)
		if !bytes.Equal(mine.StoredKey, stored.StoredKey) || !bytes.Equal(mine.ServerKey, stored.ServerKey) {
			t.Errorf("%s: our secret differs", m.Name)
		}
		their, err := gen.NewServer(func(string) (xscram.StoredCredentials, error) { return stored, nil })
		if err != nil {
			t.Fatal(err)
		}
		sconv := their.NewConversation()
		if m.Binding {
			sconv = their.NewConversationWithChannelBinding(cb)
		}
		client := m.NewClient(Credentials{Authcid: user, Password: pass, Binder: p})
		_, response, err := client.Start()
		for range 2 {
			if err != nil {
				t.Fatalf("%s: our client: %v", m.Name, err)
			}
			challenge, serr := sconv.Step(string(response))
			if serr != nil {
				t.Fatalf("%s: their server: %v", m.Name, serr)
			}
			response, err = client.Next([]byte(challenge))
		}
		if err != nil || !sconv.Valid() || Complete(client) != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

// RFC 1939 section 7.
func TestAPOPDigest(t *testing.T) {
	c := NewAPOPClient(Credentials{Authcid: "mrose", Password: "tanstaaf", Stamped: "<1896.697170952@dbc.mtview.ca.us>"})
	_, ir, err := c.Start()
	if got := hex.EncodeToString(ir[len(ir)-md5.Size:]); err != nil || got != "c4c9334bac560ecc979e58001b3e22fb" {
		t.Errorf("%s %v", got, err)
	}
}
