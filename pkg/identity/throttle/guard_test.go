package throttle

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// world is a guard with a clock.
type world struct {
	*Guard
	memory *Memory
	now    time.Time
}

func newWorld(exempt ...string) *world {
	w := &world{now: start}
	w.memory = NewMemory(time.Hour, func() time.Time { return w.now })
	w.Guard = &Guard{Store: w.memory, Key: NewKey()}
	for _, e := range exempt {
		w.Exempt = append(w.Exempt, netip.MustParsePrefix(e))
	}
	return w
}

func peer(addr, user string) Peer { return Peer{netip.MustParseAddr(addr), user} }

func TestAddressWaitsLongerWithEachFailure(t *testing.T) {
	w := newWorld()
	p := peer("192.0.2.1", "alice")
	for i, want := range []time.Duration{0, 2, 4, 8, 15, 15} {
		if got := w.Delay(t.Context(), p); got != want*time.Second {
			t.Errorf("after %d failures: %s", i, got)
		}
		w.Failed(t.Context(), p, fmt.Sprint("guess ", i))
	}
	if got := w.Delay(t.Context(), peer("192.0.2.2", "bob")); got != 0 {
		t.Errorf("a neighbour waits %s", got)
	}
	w.Succeeded(t.Context(), p)
	if got := w.Delay(t.Context(), p); got != 0 {
		t.Errorf("after a success: %s", got)
	}
	w.Failed(t.Context(), p, "guess")
	w.now = w.now.Add(time.Hour + time.Second)
	if got := w.Delay(t.Context(), p); got != 0 || w.memory.Keys() != 0 {
		t.Errorf("after an hour: %s, %d remembered", got, w.memory.Keys())
	}
}

// Dovecot's rule: a phone with an old password is no guesser.
func TestSamePasswordCountsOnce(t *testing.T) {
	w := newWorld()
	for range 20 {
		w.Failed(t.Context(), peer("192.0.2.1", "alice"), "old")
	}
	if got := w.Delay(t.Context(), peer("::ffff:192.0.2.1", "alice")); got != 2*time.Second {
		t.Errorf("one password tried often: %s", got)
	}
}

func TestPrefixes(t *testing.T) {
	w := newWorld("127.0.0.0/8")
	w.Failed(t.Context(), peer("2001:db8::1", "a"), "1")
	w.Failed(t.Context(), peer("2001:db8::2", "b"), "2")
	if got := w.Delay(t.Context(), peer("2001:db8::3", "c")); got != 4*time.Second {
		t.Errorf("one /64: %s", got)
	}
	w.Failed(t.Context(), peer("127.0.0.1", "x"), "1")
	w.Failed(t.Context(), Peer{User: "x"}, "1")
	if w.Delay(t.Context(), peer("127.0.0.1", "x")) != 0 || w.Delay(t.Context(), Peer{User: "x"}) != 0 {
		t.Error("exempt peers wait")
	}
}

// Many addresses that guess at one account: strangers wait, the owner where
// the owner has been before does not, and nobody waits longer than the rest.
func TestGuessedAccountIsNotLocked(t *testing.T) {
	w := newWorld()
	home, abroad := peer("198.51.100.7", "alice"), peer("203.0.113.9", "alice")
	w.Succeeded(t.Context(), home)
	for i := range 200 {
		w.Failed(t.Context(), peer(fmt.Sprintf("10.0.%d.1", i), "alice"), fmt.Sprint("guess ", i))
	}
	if got := w.Delay(t.Context(), home); got != 0 {
		t.Errorf("the owner waits %s at home", got)
	}
	if got := w.Delay(t.Context(), abroad); got != maxPenalty {
		t.Errorf("a stranger waits %s", got)
	}
	if got := w.Delay(t.Context(), peer("203.0.113.9", "bob")); got != 0 {
		t.Errorf("bob waits %s for alice's sake", got)
	}
	w.Succeeded(t.Context(), abroad) // the owner, on a journey
	if got := w.Delay(t.Context(), abroad); got != 0 {
		t.Errorf("the owner waits %s again", got)
	}
	w.now = w.now.Add(FriendLife + time.Minute)
	for i := range accountFree + 1 {
		w.Failed(t.Context(), peer(fmt.Sprintf("10.1.%d.1", i), "alice"), fmt.Sprint("guess ", i))
	}
	if got := w.Delay(t.Context(), home); got == 0 {
		t.Error("an address stays the owner's for ever")
	}
}

// A user who mistypes is not slowed down for it elsewhere.
func TestAccountStandsTypingErrors(t *testing.T) {
	w := newWorld()
	for i := range accountFree {
		w.Failed(t.Context(), peer("192.0.2.1", "alice"), fmt.Sprint(i))
	}
	if got := w.Delay(t.Context(), peer("192.0.2.99", "alice")); got != 0 {
		t.Errorf("waits %s", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	w := newWorld()
	for i := range maxKeys {
		w.Failed(t.Context(), Peer{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), User: fmt.Sprint("u", i)}, "x")
	}
	for i := range 100 {
		_ = w.memory.Befriend(t.Context(), "user:a", fmt.Sprint(i))
	}
	if w.memory.Keys() != maxKeys || w.memory.tries.order.Len() != maxKeys {
		t.Errorf("%d keys", w.memory.Keys())
	}
	if c, _ := w.memory.friends.get("user:a", w.now); len(c.members) != maxFriends {
		t.Errorf("%d friends", len(c.members))
	}
	if w.Delay(t.Context(), peer("10.0.0.1", "")) != 0 || w.Delay(t.Context(), peer("10.0.78.31", "")) == 0 {
		t.Error("the wrong ones were forgotten")
	}
}

// broken is a store that is down.
type broken struct{}

var errDown = errors.New("store is down")

func (broken) Count(context.Context, string) (int, error)           { return 0, errDown }
func (broken) Add(context.Context, string, uint64) error            { return errDown }
func (broken) Clear(context.Context, string) error                  { return errDown }
func (broken) Befriend(context.Context, string, string) error       { return errDown }
func (broken) Friend(context.Context, string, string) (bool, error) { return false, errDown }

// Without a store nobody is kept from logging in, and the log says why nobody
// waits.
func TestStoreDown(t *testing.T) {
	var reports int
	g := &Guard{Store: broken{}, Report: func(error) { reports++ }}
	p := peer("192.0.2.1", "alice")
	g.Failed(t.Context(), p, "x")
	g.Succeeded(t.Context(), p)
	if got := g.Delay(t.Context(), p); got != 0 || reports == 0 {
		t.Errorf("waits %s, %d reports", got, reports)
	}
}

func TestRecent(t *testing.T) {
	var r Recent
	if got := r.Last(5); len(got) != 0 {
		t.Error(got)
	}
	for i := range maxRecent + 3 {
		r.Add(Failure{User: fmt.Sprint(i)})
	}
	got := r.Last(maxRecent + 10)
	if len(got) != maxRecent || got[0].User != fmt.Sprint(maxRecent+2) || got[maxRecent-1].User != "3" {
		t.Errorf("%d: %s … %s", len(got), got[0].User, got[len(got)-1].User)
	}
}
