package localdb

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/identity/apppassword"
	"github.com/postcote/postcote/pkg/identity/request"
)

// fill adds n users, of whom every tenth has an app password.
func (w *world) fill(n int) {
	w.t.Helper()
	stored := apppassword.NewDigest("x").String()
	w.must(w.AddDomain(w.ctx(), "example.org", Mailbox, true))
	w.must(w.write(w.ctx(), func(c *conn) error {
		if err := c.run(`WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i + 1 < ?1)
			INSERT INTO users(address, domain, password, password_changed, created)
			SELECT 'user' || i || '@example.org', 'example.org', '{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$' || hex(randomblob(12)) || '$' || hex(randomblob(22)), 0, 0 FROM s`, n); err != nil {
			return err
		}
		return c.run(`INSERT INTO app_passwords(user, name, stored, scopes, created) SELECT address, 'phone', ?1, 'imap,smtp', 0 FROM users WHERE substr(address, -13, 1) = '0'`, stored)
	}))
}

// cpu reports processor time, which other work on the machine disturbs less.
func cpu(b *testing.B) func() {
	used := func() int64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return r.Utime.Nano() + r.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkLookup: `large` must stay within twice `small`. The large one takes
// some seconds to make and is left out by -short.
func BenchmarkLookup(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"small", 1000}, {"large", 1_000_000}} {
		if size.n > 10_000 && testing.Short() {
			continue
		}
		w := newWorld(b, nil)
		w.fill(size.n)
		if info, err := os.Stat(w.Path()); err == nil {
			b.Logf("%d users: %d bytes", size.n, info.Size())
		}
		names := make([]string, 4096)
		for i := range names {
			names[i] = fmt.Sprintf("user%d@example.org", i*7919%size.n)
		}
		b.Run("passdb/"+size.name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			for i := 0; b.Loop(); i++ {
				if _, err := w.Passdb().Lookup(b.Context(), &request.Request{User: names[i%len(names)], Service: "imap"}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("userdb/"+size.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if _, err := w.Userdb().Lookup(b.Context(), &request.Request{User: names[i%len(names)]}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("nobody/"+size.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := w.Userdb().Lookup(b.Context(), &request.Request{User: "nobody@example.org"}); err == nil {
					b.Fatal("found")
				}
			}
		})
		b.Run("parallel/"+size.name, func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for i := 0; p.Next(); i++ {
					if _, err := w.Passdb().Lookup(b.Context(), &request.Request{User: names[i%len(names)], Service: "imap"}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkAddUser(b *testing.B) {
	w := newWorld(b, nil)
	for i := 0; b.Loop(); i++ {
		w.must(w.AddUser(w.ctx(), User{Address: fmt.Sprintf("user%d@example.org", i), Stored: "{PLAIN}x", Enabled: true}))
	}
}
