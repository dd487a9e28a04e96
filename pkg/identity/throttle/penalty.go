package throttle

import (
	"container/list"
	"context"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxAddresses = 10000 // remembered; beyond that the longest unseen is forgotten
	maxTries     = 10    // different wrong passwords remembered for an address
	maxPenalty   = 15 * time.Second
)

// Penalty remembers failures by address: /32 of IPv4, /64 of IPv6, which is
// what one customer has. It is safe for concurrent use.
type Penalty struct {
	now    func() time.Time
	expire time.Duration
	exempt []netip.Prefix
	seed   maphash.Seed

	mu    sync.Mutex
	peers map[netip.Prefix]*list.Element
	order *list.List // of *peer, longest unseen first
}

type peer struct {
	prefix   netip.Prefix
	failures int
	tries    []uint64
	last     time.Time
}

// NewPenalty forgets an address that did not fail for expire. Peers within
// exempt (webmail, proxies) are never delayed.
func NewPenalty(expire time.Duration, exempt []netip.Prefix, now func() time.Time) *Penalty {
	return &Penalty{
		now: now, expire: expire, exempt: exempt, seed: maphash.MakeSeed(),
		peers: make(map[netip.Prefix]*list.Element), order: list.New(),
	}
}

// Wait holds a try of ip back as its failures demand, or until ctx ends.
func (p *Penalty) Wait(ctx context.Context, ip netip.Addr) {
	if d := p.delay(ip); d > 0 {
		sleep(ctx, d)
	}
}

// delay doubles with every failure: 2, 4, 8, then 15 s.
func (p *Penalty) delay(ip netip.Addr) time.Duration {
	key, ok := p.key(ip)
	if !ok {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.find(key)
	if who == nil || who.failures == 0 {
		return 0
	}
	return min(2*time.Second<<min(who.failures-1, 10), maxPenalty)
}

// Failed counts a wrong password of ip. One that was tried already is a
// client with an old password, not a guesser, and counts once.
func (p *Penalty) Failed(ip netip.Addr, user, password string) {
	key, ok := p.key(ip)
	if !ok {
		return
	}
	var h maphash.Hash
	h.SetSeed(p.seed)
	_, _ = h.WriteString(user)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(password)
	try := h.Sum64()
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.find(key)
	if who == nil {
		who = p.add(key)
	}
	who.last = p.now()
	p.order.MoveToBack(p.peers[key])
	if slices.Contains(who.tries, try) {
		return
	}
	if len(who.tries) == maxTries {
		who.tries = who.tries[1:]
	}
	who.tries = append(who.tries, try)
	who.failures++
}

// Succeeded forgives ip.
func (p *Penalty) Succeeded(ip netip.Addr) {
	key, ok := p.key(ip)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.peers[key]; e != nil {
		p.remove(e)
	}
}

// Len is how many addresses are remembered.
func (p *Penalty) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.peers)
}

// key is false for peers that are exempt or have no address.
func (p *Penalty) key(ip netip.Addr) (netip.Prefix, bool) {
	if !ip.IsValid() {
		return netip.Prefix{}, false
	}
	ip = ip.Unmap().WithZone("")
	for _, e := range p.exempt {
		if e.Contains(ip) {
			return netip.Prefix{}, false
		}
	}
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	return prefix, err == nil
}

// find returns what is known of key, after forgetting what is too old.
func (p *Penalty) find(key netip.Prefix) *peer {
	old := p.now().Add(-p.expire)
	for e := p.order.Front(); e != nil && peerAt(e).last.Before(old); e = p.order.Front() {
		p.remove(e)
	}
	if e := p.peers[key]; e != nil {
		return peerAt(e)
	}
	return nil
}

func (p *Penalty) add(key netip.Prefix) *peer {
	if p.order.Len() >= maxAddresses {
		p.remove(p.order.Front())
	}
	who := &peer{prefix: key}
	p.peers[key] = p.order.PushBack(who)
	return who
}

func (p *Penalty) remove(e *list.Element) {
	delete(p.peers, peerAt(e).prefix)
	p.order.Remove(e)
}

func peerAt(e *list.Element) *peer {
	who, _ := e.Value.(*peer)
	return who
}
