package rate

import (
	"net/netip"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
)

// Kind is what is counted.
type Kind uint8

// The kinds.
const (
	Connections Kind = iota
	Messages         // MAIL commands
	Recipients       // RCPT commands
	Handshakes       // new TLS sessions
	Logins           // AUTH commands
	numKinds
)

// names are those of Postfix's log lines.
var names = [numKinds]string{"Connection", "Message delivery request", "Recipient address", "New TLS session", "AUTH command"}

// String is what Postfix calls the kind in its log.
func (k Kind) String() string {
	if k < numKinds {
		return names[k]
	}
	return "unknown"
}

// Limits are how much of each kind a client may do in Unit. 0 is no limit.
type Limits struct {
	Most   [numKinds]int
	Unit   time.Duration
	V4, V6 int // bits of an address that are one client
	Exempt []netip.Prefix
}

// Limited reports whether there is a limit for a kind.
func (l *Limits) Limited(k Kind) bool { return l.Most[k] > 0 }

// MaxClients is how many clients are counted at a time.
const MaxClients = 100_000

// Counter counts. The zero value is ready.
type Counter struct {
	mu      sync.Mutex
	clients map[netip.Prefix]*client
	swept   time.Time
}

type client struct {
	began time.Time
	n     [numKinds]int
}

// Count adds one to what the client at ip has done, and returns the number when
// it is above the limit, else 0.
func (c *Counter) Count(l *Limits, k Kind, ip netip.Addr, now time.Time) (over int) {
	who := netx.Block(ip, l.V4, l.V6)
	if !l.Limited(k) || !who.IsValid() || netx.Among(l.Exempt, ip) {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	this := c.clients[who]
	switch {
	case this == nil:
		if this = c.fresh(l, now); this == nil {
			return 0
		}
		c.clients[who] = this
	case now.Sub(this.began) >= l.Unit || now.Before(this.began):
		*this = client{began: now}
	}
	if this.n[k]++; this.n[k] > l.Most[k] {
		return this.n[k]
	}
	return 0
}

// fresh is a client whose unit of time begins now; nil when there is no room.
// Those whose time is over are dropped once in a while.
func (c *Counter) fresh(l *Limits, now time.Time) *client {
	if c.clients == nil {
		c.clients = map[netip.Prefix]*client{}
	}
	if now.Sub(c.swept) >= l.Unit {
		c.swept = now
		for who, old := range c.clients {
			if now.Sub(old.began) >= l.Unit {
				delete(c.clients, who)
			}
		}
	}
	if len(c.clients) >= MaxClients {
		return nil
	}
	return &client{began: now}
}
