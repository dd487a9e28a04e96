package authd

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
)

// BenchmarkLogin is a login whose password was checked before, redeemed by
// the session role: what authd adds to each IMAP connection of a phone.
func BenchmarkLogin(b *testing.B) {
	w := newWorld(b, nil)
	c, m := w.auth(authserver.Login), w.userdb(authserver.Master)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := try(b.Context(), c, "", "bob@example.org", "secret")
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := m.Redeem(b.Context(), r.PID, r.RequestID, r.Cookie, 0); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkExists is one recipient check.
func BenchmarkExists(b *testing.B) {
	w := newWorld(b, nil)
	c := w.userdb(authserver.Exists)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.User(b.Context(), "bob@example.org", "smtp"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkCheapLogins are logins whose password needs no hashing, many in
// flight on one connection: what authd itself costs.
func BenchmarkCheapLogins(b *testing.B) {
	benchLogins(b, newWorld(b, nil), "bob@example.org")
}

// BenchmarkRepeatedLogins are logins whose password would need hashing and was
// found right before.
func BenchmarkRepeatedLogins(b *testing.B) {
	w := newWorld(b, nil)
	stored, err := scheme.GenerateWith(&scheme.Workspace{}, "SHA512-CRYPT", "secret", scheme.Options{Costs: scheme.Costs{Rounds: 5000}})
	if err != nil {
		b.Fatal(err)
	}
	w.writeUsers("slow@example.org:" + stored + "\n")
	benchLogins(b, w, "slow@example.org")
}

func benchLogins(b *testing.B, w *world, user string) {
	nc := w.dial("client")
	_ = nc.SetDeadline(time.Time{})
	r := dovecotauth.NewReader(nc)
	_, _ = nc.Write([]byte("VERSION\t1\t2\nCPID\t1\n"))
	next := func() string {
		raw, err := r.Raw()
		if err != nil {
			b.Fatal(err)
		}
		verb, _, _ := dovecotauth.Cut(raw)
		return string(verb)
	}
	for next() != "DONE" {
		continue
	}
	const window = 16
	resp := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00secret"))
	line := "AUTH\t1\tPLAIN\tservice=imap\tsecured\tsession=abcdefgh\tlip=192.0.2.2\trip=192.0.2.1\tlport=143\trport=40000\tresp=" + resp + "\n"
	ask := func(lines string, n int) {
		_, _ = nc.Write([]byte(lines))
		for range n {
			if verb := next(); verb != "OK" {
				b.Fatal(verb)
			}
		}
	}
	ask(line, 1)
	lines := strings.Repeat(line, window)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += window {
		ask(lines, window)
	}
}
