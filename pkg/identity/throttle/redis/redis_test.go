package redis

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/netx/netxtest"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func open(t *testing.T, addr string, c *clock) *Store {
	t.Helper()
	conf1 := DefaultConfig()
	conf1.Addresses, conf1.KeyFile = []string{addr}, secret(t)
	conf1.Timeout = conf.Duration(5 * time.Second)
	s, _, err := Open(conf1, time.Hour, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func secret(t *testing.T) conf.SecretFile {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	return conf.SecretFile(file)
}

// Two nodes know of each other's failures and friends.
func TestNodesShare(t *testing.T) {
	m := miniredis.RunT(t)
	c := &clock{start}
	m.SetTime(start)
	key := throttle.NewKey()
	a := &throttle.Guard{Store: open(t, m.Addr(), c), Key: key, Report: func(err error) { t.Error(err) }}
	b := &throttle.Guard{Store: open(t, m.Addr(), c), Key: key, Report: func(err error) { t.Error(err) }}
	p := throttle.Peer{Addr: netip.MustParseAddr("192.0.2.1"), User: "alice"}
	for range 5 {
		a.Failed(t.Context(), p, "old password")
	}
	if got := b.Delay(t.Context(), p); got != 2*time.Second {
		t.Errorf("one password tried often: %s", got)
	}
	for i := range 3 {
		a.Failed(t.Context(), p, fmt.Sprint(i))
	}
	if got := b.Delay(t.Context(), p); got != 15*time.Second {
		t.Errorf("four passwords: %s", got)
	}
	b.Succeeded(t.Context(), p)
	if got := a.Delay(t.Context(), p); got != 0 {
		t.Errorf("after a success on the other node: %s", got)
	}
	if friend, err := a.Store.Friend(t.Context(), "user:alice", "192.0.2.1/32"); !friend || err != nil {
		t.Error(friend, err)
	}
	c.now = c.now.Add(time.Hour + time.Second)
	if n, err := a.Store.Count(t.Context(), "user:alice"); n != 0 || err != nil {
		t.Errorf("after an hour: %d %v", n, err)
	}
	c.now = c.now.Add(throttle.FriendLife)
	if friend, err := a.Store.Friend(t.Context(), "user:alice", "192.0.2.1/32"); friend || err != nil {
		t.Error("an address stays a friend for ever", err)
	}
}

func TestKeysAreBoundedAndExpire(t *testing.T) {
	m := miniredis.RunT(t)
	c := &clock{start}
	s := open(t, m.Addr(), c)
	for i := range 3 * maxTries {
		if err := s.Add(t.Context(), "k", uint64(i)); err != nil {
			t.Fatal(err)
		}
		_ = s.Befriend(t.Context(), "k", fmt.Sprint(i))
	}
	if n, _ := s.Count(t.Context(), "k"); n != maxTries {
		t.Errorf("%d tries", n)
	}
	if members, _ := m.ZMembers("postcote:auth:friend:k"); len(members) != maxFriends {
		t.Errorf("%d friends", len(members))
	}
	for _, k := range m.Keys() {
		if m.TTL(k) <= 0 {
			t.Errorf("%s stays for ever", k)
		}
	}
}

// While Redis is away the node's own memory serves, and one login in a while
// pays for asking.
func TestFallback(t *testing.T) {
	addr := netxtest.Port(t) // nobody listens there yet
	c := &clock{start}
	reports := 0
	b := &Fallback{
		Shared: open(t, addr, c), Own: throttle.NewMemory(time.Hour, c.Now), Pause: time.Minute, Now: c.Now,
		Report: func(error) { reports++ },
	}
	g := &throttle.Guard{Store: b, Key: throttle.NewKey(), Report: func(err error) { t.Error(err) }}
	p := throttle.Peer{Addr: netip.MustParseAddr("192.0.2.1"), User: "alice"}
	g.Failed(t.Context(), p, "x")
	g.Failed(t.Context(), p, "y")
	if got := g.Delay(t.Context(), p); got != 4*time.Second || reports != 1 {
		t.Errorf("waits %s, %d reports", got, reports)
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c.now = c.now.Add(time.Minute)
	g.Failed(t.Context(), p, "z")
	if n, err := b.Shared.Count(t.Context(), "addr:192.0.2.1/32"); n != 1 || err != nil || reports != 1 {
		t.Errorf("Redis came back and has %d tries, %v, %d reports", n, err, reports)
	}
}

func TestShortSecretIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(Config{KeyFile: conf.SecretFile(file)}, time.Hour, time.Now); err == nil {
		t.Error("accepted")
	}
}
