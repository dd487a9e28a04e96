package throttle

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestDelayEndsOnTicks(t *testing.T) {
	for _, tc := range []struct{ at, want time.Duration }{
		{0, 2 * time.Second},
		{time.Millisecond, 2499 * time.Millisecond},
		{499 * time.Millisecond, 2001 * time.Millisecond},
		{500 * time.Millisecond, 2 * time.Second},
	} {
		d := Delay{For: 2 * time.Second, Now: func() time.Time { return start.Add(tc.at) }}
		if got := d.until(); got != tc.want {
			t.Errorf("a failure at +%s waits %s, want %s", tc.at, got, tc.want)
		}
	}
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	now := func() time.Time { return start }
	Delay{For: time.Hour, Now: now}.Wait(ctx)
	Delay{Now: now}.Wait(t.Context())
	p := NewPenalty(time.Hour, nil, now)
	ip := netip.MustParseAddr("192.0.2.1")
	p.Failed(ip, "a", "b")
	p.Wait(ctx, ip)
}

func TestPenaltyGrowsAndEnds(t *testing.T) {
	now := start
	p := NewPenalty(time.Minute, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, func() time.Time { return now })
	ip := netip.MustParseAddr("192.0.2.1")
	for i, want := range []time.Duration{0, 2, 4, 8, 15, 15} {
		if got := p.delay(ip); got != want*time.Second {
			t.Errorf("after %d failures: %s", i, got)
		}
		p.Failed(ip, "alice", fmt.Sprint("guess ", i))
	}
	if got := p.delay(netip.MustParseAddr("192.0.2.2")); got != 0 {
		t.Errorf("a neighbour waits %s", got)
	}
	p.Succeeded(ip)
	if got := p.delay(ip); got != 0 {
		t.Errorf("after a success: %s", got)
	}
	p.Failed(ip, "alice", "guess")
	now = now.Add(61 * time.Second)
	if got := p.delay(ip); got != 0 || p.Len() != 0 {
		t.Errorf("after a minute: %s, %d remembered", got, p.Len())
	}
}

func TestPenaltyOfOneAddress(t *testing.T) {
	p := NewPenalty(time.Minute, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, func() time.Time { return start })
	for range 20 { // a phone with an old password
		p.Failed(netip.MustParseAddr("192.0.2.1"), "alice", "old")
	}
	if got := p.delay(netip.MustParseAddr("::ffff:192.0.2.1")); got != 2*time.Second {
		t.Errorf("one password tried often: %s", got)
	}
	p.Failed(netip.MustParseAddr("2001:db8::1"), "a", "1")
	p.Failed(netip.MustParseAddr("2001:db8::2"), "a", "2")
	if got := p.delay(netip.MustParseAddr("2001:db8::3")); got != 4*time.Second {
		t.Errorf("one /64: %s", got)
	}
	p.Failed(netip.MustParseAddr("127.0.0.1"), "a", "1")
	p.Failed(netip.Addr{}, "a", "1")
	if p.Len() != 2 {
		t.Errorf("%d addresses remembered, exempt ones among them", p.Len())
	}
}

func TestPenaltyIsBounded(t *testing.T) {
	p := NewPenalty(time.Hour, nil, func() time.Time { return start })
	for i := range maxAddresses + 100 {
		p.Failed(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "a", "b")
	}
	if p.Len() != maxAddresses || p.order.Len() != maxAddresses {
		t.Errorf("%d addresses remembered", p.Len())
	}
	if p.delay(netip.MustParseAddr("10.0.0.1")) != 0 || p.delay(netip.MustParseAddr("10.0.39.100")) == 0 {
		t.Error("the wrong addresses were forgotten")
	}
}
