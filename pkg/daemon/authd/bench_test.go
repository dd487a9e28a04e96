package authd

import (
	"testing"

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
