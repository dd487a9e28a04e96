package rate

import (
	"net/netip"
	"testing"
	"time"
)

func limits(most int) *Limits {
	l := &Limits{Unit: time.Minute, V4: 32, V6: 84, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}}
	l.Most[Messages] = most
	return l
}

// Clients are counted apart, kinds are, and a unit of time is forgotten when
// it is over.
func TestCount(t *testing.T) {
	var c Counter
	l := limits(2)
	l.Most[Logins] = 1
	start := time.Unix(1000, 0)
	for i, s := range []struct {
		ip    string
		kind  Kind
		after time.Duration
		over  int
	}{
		{"192.0.2.1", Messages, 0, 0},
		{"192.0.2.1", Messages, time.Second, 0},
		{"192.0.2.1", Messages, 2 * time.Second, 3},
		{"::ffff:192.0.2.1", Messages, 3 * time.Second, 4},
		{"192.0.2.2", Messages, 3 * time.Second, 0},
		{"192.0.2.1", Logins, 3 * time.Second, 0},
		{"192.0.2.1", Logins, 3 * time.Second, 2},
		{"192.0.2.1", Recipients, 3 * time.Second, 0}, // not limited
		{"192.0.2.1", Messages, 59 * time.Second, 5},
		{"192.0.2.1", Messages, 60 * time.Second, 0},
		{"192.0.2.1", Logins, 61 * time.Second, 0},
		{"2001:db8::1", Messages, 0, 0},
		{"2001:db8::fff", Messages, 0, 0},
		{"2001:db8::1", Messages, 0, 3},
		{"2001:db8:0:0:1000::1", Messages, 0, 0}, // another /84
		{"192.0.2.200", Messages, 0, 0},
		{"192.0.2.200", Messages, 0, 0},
		{"192.0.2.200", Messages, 0, 0}, // exempt
	} {
		if got := c.Count(l, s.kind, netip.MustParseAddr(s.ip), start.Add(s.after)); got != s.over {
			t.Errorf("%d: %+v: %d", i, s, got)
		}
	}
	if got := c.Count(l, Messages, netip.Addr{}, start); got != 0 {
		t.Errorf("a client without an address: %d", got)
	}
}

// Strangers cannot fill the memory, and what is old makes room.
func TestRoom(t *testing.T) {
	var c Counter
	l := limits(1)
	now := time.Unix(1000, 0)
	ip := netip.MustParseAddr("10.0.0.0")
	for range MaxClients + 10 {
		c.Count(l, Messages, ip, now)
		ip = ip.Next()
	}
	if len(c.clients) != MaxClients {
		t.Errorf("%d clients", len(c.clients))
	}
	if over := c.Count(l, Messages, netip.MustParseAddr("10.0.0.0"), now); over != 2 {
		t.Errorf("who is counted is not any more: %d", over)
	}
	c.Count(l, Messages, ip, now.Add(2*time.Minute))
	if len(c.clients) != 1 {
		t.Errorf("%d clients are left", len(c.clients))
	}
}
