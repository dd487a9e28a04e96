package passdb

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/identity/cache"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Whatever is remembered for however long, a wrong password costs as many
// hashes for a user that is there as for one that is not: each try for itself,
// not only all of them together.
func TestSamePath(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ttl := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(0, 3).Draw(rt, name)) * 10 * time.Second
		}
		ttls := TTL{Verified: ttl("verified"), Positive: ttl("positive"), Negative: ttl("negative")}
		kind := rapid.SampledFrom([]string{"lookups", "checks", "remote", "remoteChecks"}).Draw(rt, "kind")
		now := time.Unix(0, 0)
		known, unknown := newPath(t, kind, ttls, &now), newPath(t, kind, ttls, &now)
		for range rapid.IntRange(1, 8).Draw(rt, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "pause")) * time.Second)
			password := rapid.SampledFrom([]string{"wrong", "bad", ""}).Draw(rt, "password")
			a, why := known.try(t, "alice", password)
			b, whyNot := unknown.try(t, "nobody", password)
			if a != b {
				rt.Fatalf("%s, %+v: %d hashes for a user, %d for nobody", kind, ttls, a, b)
			}
			if why != Mismatch || whyNot != UnknownUser {
				rt.Fatal(why, whyNot)
			}
		}
	})
}

// path is a chain, and how it hashes.
type path struct {
	chain *Chain
	count *counter
}

func newPath(t *testing.T, kind string, ttl TTL, now *time.Time) path {
	e, m := db("db", user("alice", "secret"))
	m.vars = []string{"user", "service"}
	switch kind {
	case "checks":
		e.Driver = checks{m}
	case "remote":
		e.Driver = remote{lookups{m}}
	case "remoteChecks":
		e.Driver = remoteChecks{checks{m}}
	}
	p := path{}
	p.chain, p.count = newChain(t, e)
	p.chain.TTL = ttl
	p.chain.Cache = cache.New(1<<20, func() time.Time { return *now })
	return p
}

// try is how many hashes a refused try cost, and why it was refused.
func (p path) try(t *testing.T, name, password string) (hashes int, why Reason) {
	before := p.count.n
	_, err := p.chain.Password(t.Context(), &request.Request{User: name, Claimed: name, Service: "imap", Mech: "PLAIN"}, password)
	var refused *Refused
	if !fail.Is(err, fail.Denied) || !errors.As(err, &refused) {
		t.Fatal(err)
	}
	return p.count.n - before, refused.Reason
}
