package spool

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/postcote/postcote/pkg/mta/queue/item"
)

// Whatever comes and goes, a table has what a map would have, in order.
func TestTableIsAMapInOrder(t *testing.T) {
	for _, c := range []struct {
		name    string
		late    int // how far behind the greatest id a new one may be
		most    int // messages
		removed func(t *table) item.ID
	}{
		{"first in, first out", 50, 2000, func(t *table) item.ID { return t.first().ID }},
		{"any of them", 50, 3000, anyOf},
		{"in any order", 1 << 20, 2000, anyOf},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, want := &table{}, map[item.ID]*Entry{}
			next := item.ID(1 << 30)
			for _, adding := range []int{9, 5, 1, 8, 0} { // of ten steps
				for range 3 * c.most {
					switch {
					case len(want) > 0 && (rand.IntN(10) >= adding || len(want) == c.most):
						id := c.removed(tab)
						tab.remove(id)
						delete(want, id)
					case adding > 0:
						next += item.ID(1 + rand.IntN(3))
						id := next - item.ID(rand.IntN(c.late))
						if want[id] == nil {
							want[id] = &Entry{ID: id}
							tab.put(want[id])
						}
					}
				}
				sameTable(t, tab, want, next)
			}
			if len(want) > 0 || len(tab.runs) > 0 {
				t.Errorf("%d messages and %d runs are left", len(want), len(tab.runs))
			}
		})
	}
}

func anyOf(t *table) item.ID {
	r := t.runs[rand.IntN(len(t.runs))]
	return r.list[rand.IntN(len(r.list))].ID
}

func sameTable(t *testing.T, tab *table, want map[item.ID]*Entry, next item.ID) {
	t.Helper()
	ids := slices.Sorted(maps.Keys(want))
	list := tab.all()
	if tab.len != len(ids) || !slices.EqualFunc(list, ids, func(e *Entry, id item.ID) bool { return e == want[id] }) {
		t.Fatalf("%d messages of %d, or in another order", tab.len, len(ids))
	}
	for _, id := range ids {
		if tab.find(id) != want[id] {
			t.Fatalf("message %d is not found", id)
		}
	}
	for range 1000 {
		if id := item.ID(rand.Uint64N(uint64(next) + 2)); tab.find(id) != want[id] {
			t.Fatalf("%d: found what is not there", id)
		}
	}
	if len(ids) == 0 {
		return
	}
	if tab.first() != list[0] {
		t.Error("not the first one")
	}
	i, k := rand.IntN(len(ids)), rand.IntN(len(ids))
	i, k = min(i, k), max(i, k)
	if got := slices.Collect(tab.between(ids[i], ids[k])); !slices.Equal(got, list[i:k+1]) {
		t.Errorf("%d messages from %d to %d, want %d", len(got), ids[i], ids[k], k+1-i)
	}
	if most := 2 + 6*len(ids)/maxRun; len(tab.runs) > most {
		t.Errorf("%d runs of %d messages, more than %d", len(tab.runs), len(ids), most)
	}
	for _, r := range tab.runs {
		if len(r.list) == 0 || len(r.list) > maxRun {
			t.Errorf("a run of %d", len(r.list))
		}
	}
	// What was there once and is filled in again is the same table.
	again := &table{}
	again.fill(list)
	if !slices.Equal(again.all(), list) || again.len != tab.len {
		t.Error("filled with all of it, it has something else")
	}
}

// A segment's messages are found among any number of others.
func TestMessagesOfASegment(t *testing.T) {
	s, all := &Spool{}, []*segment{{}, {}, {}}
	for i := range 3*walkAtOnce + 7 {
		g := all[0]
		switch {
		case i%5 == 0:
			g = all[1]
		case i > walkAtOnce && i < walkAtOnce+20:
			g = all[2]
		}
		s.put(&Entry{ID: item.ID(1 + i), seg: g, length: 100})
	}
	for i, g := range all {
		s.drop(s.inSegment(g)[0])
		list := s.inSegment(g)
		if len(list) == 0 || len(list) != g.messages || g.live != int64(100*len(list)) {
			t.Errorf("segment %d: %d messages of %d, %d bytes", i, len(list), g.messages, g.live)
		}
		for _, e := range list {
			if e.seg != g || e.flags&gone != 0 {
				t.Errorf("segment %d: message %d is not in it", i, e.ID)
			}
		}
	}
}
