package cache

import (
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCache(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := New(3*overhead+10, func() time.Time { return now })
	a, b := c.Key("a"), c.Key("b")
	c.Put(a, 1, 0, time.Minute, "alice", "other")
	c.Put(b, 2, 0, time.Hour, "bob")
	if v, ok := c.Get(a); !ok || v != 1 {
		t.Error(v, ok)
	}
	now = now.Add(time.Minute)
	if v, ok := c.Get(a); ok {
		t.Error("it outlived its time", v)
	}
	c.Put(a, 3, 0, time.Hour, "alice", "other")
	if got := c.Flush([]string{"other", "nobody"}); got != 1 {
		t.Errorf("flushed %d", got)
	}
	// Beyond the limit the longest unused goes.
	c.Put(a, 4, 0, time.Hour)
	c.Put(c.Key("c"), 5, 0, time.Hour)
	c.Get(b)
	c.Put(c.Key("d"), 6, 10, time.Hour)
	if _, ok := c.Get(a); ok {
		t.Error("a was used longest ago")
	}
	if _, ok := c.Get(b); !ok {
		t.Error("b was used")
	}
	c.Put(c.Key("huge"), 7, 1<<20, time.Hour)
	c.Put(c.Key("never"), 8, 0, 0)
	if s := c.Stats(); s.Entries != 3 || s.Bytes != 3*overhead+10 || s.Hits != 3 || s.Misses != 2 {
		t.Errorf("%+v", s)
	}
	if got := c.Flush(nil); got != 3 || c.Stats().Bytes != 0 {
		t.Errorf("flushed %d, %+v", got, c.Stats())
	}
}

func TestNone(t *testing.T) {
	c := New(0, time.Now)
	c.Put(c.Key("a"), 1, 0, time.Hour)
	if _, ok := c.Get(c.Key("a")); ok || c.Flush(nil) != 0 || c.Stats() != (Stats{}) {
		t.Error("a cache without memory keeps something")
	}
}

// The parts of a key cannot be shifted into each other, and two processes have
// different keys.
func TestKeys(t *testing.T) {
	c, other := New(1<<20, time.Now), New(1<<20, time.Now)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.StringMatching("[ab]{0,3}"), 0, 4).Draw(t, "a")
		b := rapid.SliceOfN(rapid.StringMatching("[ab]{0,3}"), 0, 4).Draw(t, "b")
		same := len(a) == len(b)
		for i := range a {
			same = same && a[i] == b[i]
		}
		if (c.Key(a...) == c.Key(b...)) != same || c.Key(a...) == other.Key(a...) {
			t.Fatalf("%q %q", a, b)
		}
	})
}

// However it is used, the memory stays within its limit and the counts agree.
func TestLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		c := New(4096, func() time.Time { return now })
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				c.Put(c.Key(strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "key"))), nil, rapid.IntRange(0, 5000).Draw(t, "size"), time.Duration(rapid.IntRange(0, 10).Draw(t, "ttl")))
			},
			"get":   func(t *rapid.T) { c.Get(c.Key(strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "key")))) },
			"later": func(*rapid.T) { now = now.Add(3) },
			"": func(t *rapid.T) {
				s := c.Stats()
				var sum int64
				for e := c.order.Front(); e != nil; e = e.Next() {
					sum += entryAt(e).size
				}
				if s.Bytes > 4096 || s.Bytes != sum || s.Entries != len(c.known) {
					t.Fatalf("%+v, %d bytes in %d", s, sum, len(c.known))
				}
			},
		})
	})
}
