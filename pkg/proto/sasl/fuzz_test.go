package sasl

import "testing"

// fuzz feeds three responses to a mechanism's server and three challenges to
// its client. Whatever they are, the backend is treated as its contract says
// (people checks that), nobody gets in who knows nothing, and a server that
// knows nothing satisfies no client.
func fuzz(f *testing.F, name string, seeds ...[3]string) {
	m, ok := Find(name)
	if !ok {
		f.Fatalf("no mechanism %s", name)
	}
	for _, s := range seeds {
		f.Add([]byte(s[0]), []byte(s[1]), []byte(s[2]))
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		if who := Claimed(name, a); who != "" && checkName(name, who) != nil {
			t.Fatalf("%q claims to be %q", a, who)
		}
		p := &people{t: t, iter: 1, salt: []byte("salt"), bindings: map[string]string{BindingExporter: "data"}}
		s := m.NewServer(p, Setting{PlusOffered: true, Stamp: Stamp{PID: 1, Conn: 2}, nonce: func() string { return "S" }})
		for _, in := range [][]byte{a, b, c, nil} {
			challenge, done, err := s.Next(in)
			if done || err != nil && (challenge != nil || p.open) {
				t.Fatalf("%q: done %v, challenge %q, error %v", in, done, challenge, err)
			}
		}
		client := m.NewClient(Credentials{Authcid: "u", Password: "p", Token: "t", Stamped: "<x>", Binder: p})
		switch c := client.(type) {
		case *scramClient:
			c.nonce, c.least = "C", 1
		case *digestClient:
			c.cnonce = func() string { return "C" }
		}
		if _, _, err := client.Start(); err != nil {
			t.Fatal(err)
		}
		for _, in := range [][]byte{a, b, c} {
			if len(in) > 64 && m.Secret >= SecretSCRAMSHA1 {
				in = in[:64] // keeps the number of iterations small
			}
			_, _ = client.Next(in)
		}
		if m.MutualAuth && Complete(client) == nil {
			t.Fatalf("an impostor satisfies the client with %q %q %q", a, b, c)
		}
	})
}

func FuzzPlain(f *testing.F) {
	fuzz(f, "PLAIN", [3]string{"\x00alice\x00pw"}, [3]string{"a\x00b\x00c", "\xff"})
}

func FuzzLogin(f *testing.F) {
	fuzz(f, "LOGIN", [3]string{"alice", "pw"}, [3]string{"", "\x00"})
}

func FuzzCRAMMD5(f *testing.F) {
	fuzz(f, "CRAM-MD5", [3]string{"", "tim b913a602c7eda7a495b4e6e7334d3890"})
}

func FuzzDigestMD5(f *testing.F) {
	fuzz(f, "DIGEST-MD5",
		[3]string{"", `username="a",realm="",nonce="S",cnonce="c",nc=00000001,qop=auth,digest-uri="a/b",response=d388dad90d4bbd760a152321f2143af7`},
		[3]string{`realm="",nonce="S",qop="auth",charset=utf-8,algorithm=md5-sess`, "rspauth=d388dad90d4bbd760a152321f2143af7"})
}

func FuzzSCRAMSHA1(f *testing.F) {
	fuzz(f, "SCRAM-SHA-1",
		[3]string{"n,,n=u,r=C", "c=biws,r=CS,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", ""},
		[3]string{"r=CS,s=c2FsdA==,i=1", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="})
}

func FuzzSCRAMSHA256(f *testing.F) {
	fuzz(f, "SCRAM-SHA-256",
		[3]string{"n,a=x=2C,n=u=3D,r=C,x=y", "c=biws,r=CS,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ""},
		[3]string{"r=CS,s=c2FsdA==,i=1", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="})
}

func FuzzSCRAMPlus(f *testing.F) {
	fuzz(f, "SCRAM-SHA-256-PLUS", [3]string{"p=tls-exporter,,n=u,r=C", "c=cD10bHMtZXhwb3J0ZXIsLGRhdGE=,r=CS,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="})
}

func FuzzSCRAMSHA1Plus(f *testing.F) {
	fuzz(f, "SCRAM-SHA-1-PLUS", [3]string{"p=tls-exporter,,n=u,r=C", "c=cD10bHMtZXhwb3J0ZXIsLGRhdGE=,r=CS,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="})
}

func FuzzXOAuth2(f *testing.F) {
	fuzz(f, "XOAUTH2", [3]string{"user=a\x01auth=Bearer bad\x01\x01"}, [3]string{`{"status":"401"}`})
}

func FuzzOAuthBearer(f *testing.F) {
	fuzz(f, "OAUTHBEARER", [3]string{"n,a=a=2C,\x01host=h\x01auth=Bearer bad\x01\x01", "\x01"})
}

func FuzzExternal(f *testing.F) {
	fuzz(f, "EXTERNAL", [3]string{"alice"}, [3]string{"", "\x00"})
}

func FuzzAnonymous(f *testing.F) {
	fuzz(f, "ANONYMOUS", [3]string{"trace"}, [3]string{"\x07"})
}

func FuzzAPOP(f *testing.F) {
	fuzz(f, "APOP", [3]string{"<1.2.5f000001.x@h>\x00u\x000123456789abcdef"})
}
