package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/postcote/postcote/pkg/identity/waits"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// Store remembers failures and friends. It is safe for concurrent use and
// bounded. Memory is one; package throttle/redis shares the knowledge of
// several nodes.
type Store interface {
	// Count is how many different tries failed under key lately.
	Count(ctx context.Context, key string) (int, error)
	// Add notes a try that failed; one that is known already counts once.
	Add(ctx context.Context, key string, try uint64) error
	// Clear forgets the tries under key.
	Clear(ctx context.Context, key string) error
	// Befriend notes that a member succeeded under key.
	Befriend(ctx context.Context, key, member string) error
	// Friend reports whether it did, within the last weeks.
	Friend(ctx context.Context, key, member string) (bool, error)
}

// Peer is who tries: an address, and whom it claims to be.
type Peer struct {
	Addr netip.Addr // zero: not known
	User string     // canonical name; empty: not known yet
}

// Guard makes peers wait before their password is even checked: an address
// that fails, and an account that is guessed at from many addresses. An
// address from which an account's owner has logged in before never waits for
// the account's sake, and nobody is ever locked out: the longest wait is
// maxPenalty. It is safe for concurrent use.
type Guard struct {
	Store  Store
	Exempt []netip.Prefix // never made to wait: webmail, monitoring
	// Key makes the fingerprints of wrong passwords useless to whoever reads
	// the store; nodes that share one must share it. See NewKey.
	Key [32]byte
	// Report takes faults of the store, for the log; failing to remember is no
	// reason to refuse. May be nil.
	Report func(error)
}

const (
	maxPenalty = 15 * time.Second
	// accountFree is how many different wrong passwords an account stands, from
	// wherever, before strange addresses have to wait for it: more than one
	// person's typing errors.
	accountFree = 20
)

// NewKey is a key for one node.
func NewKey() (key [32]byte) {
	_, _ = rand.Read(key[:]) // never fails, see crypto/rand
	return key
}

// Wait holds a try back as earlier failures demand, or until ctx ends.
func (g *Guard) Wait(ctx context.Context, p Peer) {
	waits.For(ctx, g.Delay(ctx, p))
}

// Delay is how long Wait would wait: 2, 4, 8, then 15 s.
func (g *Guard) Delay(ctx context.Context, p Peer) time.Duration {
	prefix, ok := g.prefix(p.Addr)
	if !ok {
		return 0
	}
	byAddr := step(g.count(ctx, addrKey(prefix)))
	if p.User == "" || byAddr == maxPenalty {
		return byAddr
	}
	byUser := step(g.count(ctx, userKey(p.User)) - accountFree)
	if byUser <= byAddr {
		return byAddr
	}
	friend, err := g.Store.Friend(ctx, userKey(p.User), prefix.String())
	if g.report(err) || friend {
		return byAddr
	}
	return byUser
}

func step(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	return min(2*time.Second<<min(failures-1, 10), maxPenalty)
}

// Failed counts a wrong password. One that was tried already is a client with
// an old password, not a guesser, and counts once.
func (g *Guard) Failed(ctx context.Context, p Peer, password string) {
	prefix, ok := g.prefix(p.Addr)
	if !ok {
		return
	}
	try := g.fingerprint(p.User, password)
	g.report(g.Store.Add(ctx, addrKey(prefix), try))
	if p.User != "" {
		g.report(g.Store.Add(ctx, userKey(p.User), try))
	}
}

// Succeeded forgives the address and makes it one of the account's own. What
// others guess at the account stays counted against them.
func (g *Guard) Succeeded(ctx context.Context, p Peer) {
	prefix, ok := g.prefix(p.Addr)
	if !ok {
		return
	}
	if g.count(ctx, addrKey(prefix)) > 0 {
		g.report(g.Store.Clear(ctx, addrKey(prefix)))
	}
	if p.User != "" {
		g.report(g.Store.Befriend(ctx, userKey(p.User), prefix.String()))
	}
}

func (g *Guard) count(ctx context.Context, key string) int {
	n, err := g.Store.Count(ctx, key)
	g.report(err)
	return n
}

func (g *Guard) report(err error) bool {
	if err != nil && g.Report != nil {
		g.Report(err)
	}
	return err != nil
}

// fingerprint tells one wrong password of an account from another.
func (g *Guard) fingerprint(user, password string) uint64 {
	h := hmac.New(sha256.New, g.Key[:])
	_, _ = h.Write([]byte(user + "\x00" + password))
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// prefix is what one customer has: /32 of IPv4, /64 of IPv6. It is false for
// peers that are exempt or have no address.
func (g *Guard) prefix(ip netip.Addr) (netip.Prefix, bool) {
	if netx.Among(g.Exempt, ip) {
		return netip.Prefix{}, false
	}
	site := netx.Site(ip)
	return site, site.IsValid()
}

func addrKey(p netip.Prefix) string { return "addr:" + p.String() }

func userKey(user string) string { return "user:" + user }
