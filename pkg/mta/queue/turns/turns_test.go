package turns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// usual are Postfix's defaults.
var usual = Costs{Cost: 5, Loan: 3, Discount: 50, Minimum: 3}

var start = time.Unix(1700000000, 0)

// add is a message "name" with so many entries at each destination.
func add(l *Line[string], name string, at time.Time, n int, dests ...*Dest[string]) {
	j := l.Add(at)
	for _, d := range dests {
		for range n {
			l.Push(j, d, name)
		}
	}
	for _, d := range dests {
		l.Offer(d)
	}
}

// serve takes n entries, or all there are, one at a time, and returns their
// names, runs shortened to "name*count".
func serve(l *Line[string], c Costs, n int) string {
	var out []string
	last, count := "", 0
	flush := func() {
		switch {
		case count == 1:
			out = append(out, last)
		case count > 1:
			out = append(out, fmt.Sprintf("%s*%d", last, count))
		}
	}
	for ; n > 0; n-- {
		d, _ := l.Next(c, start.Add(time.Hour))
		if d == nil {
			break
		}
		e := l.Pop(d, c)
		if e != last {
			flush()
			last, count = e, 0
		}
		count++
		l.Offer(d)
	}
	flush()
	return strings.Join(out, " ")
}

// The order in which deliveries come, one message after another having
// arrived, all for one destination.
func TestOneDestination(t *testing.T) {
	type msg struct {
		name string
		n    int
	}
	for _, tc := range []struct {
		name  string
		costs Costs
		msgs  []msg
		want  string
	}{
		{"first come first served", usual, []msg{{"a", 1}, {"b", 2}, {"c", 1}}, "a b*2 c"},
		{"not large enough", usual, []msg{{"big", 14}, {"a", 1}}, "big*14 a"},
		{"one slot of the loan at once, then one in five", usual, []msg{{"big", 20}, {"a", 1}, {"b", 1}, {"c", 1}}, "big a big*5 b big*5 c big*9"},
		{"no more than a fifth", usual, []msg{{"big", 15}, {"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}}, "big a big*5 b big*5 c big*4 d"},
		{"off", Costs{Cost: 1, Loan: 3, Discount: 50, Minimum: 3}, []msg{{"big", 20}, {"a", 1}}, "big*20 a"},
		{"no loan, no discount", Costs{Cost: 5, Minimum: 3}, []msg{{"big", 20}, {"a", 2}}, "big*10 a*2 big*10"},
		{"half of it saved up", Costs{Cost: 5, Discount: 50, Minimum: 3}, []msg{{"big", 20}, {"a", 2}}, "big*5 a*2 big*15"},
		{"too much for what is left", usual, []msg{{"big", 20}, {"a", 5}, {"b", 1}}, "big b big*19 a*5"},
		{"small ones first, though later", usual, []msg{{"big", 100}, {"a", 10}, {"b", 1}}, "big b big*14 a*10 big*85"},
		{"large ones are overtaken in turn", usual, []msg{{"big", 1000}, {"mid", 20}, {"a", 1}}, ""},
	} {
		l, d := &Line[string]{}, NewDest[string]()
		for i, m := range tc.msgs {
			add(l, m.name, start.Add(time.Duration(i)*time.Second), m.n, d)
		}
		got := serve(l, tc.costs, 1<<20)
		if tc.want != "" && got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if l.Len() != 0 || l.head != nil || d.Len() != 0 {
			t.Errorf("%s: %d entries are left", tc.name, l.Len())
		}
	}
}

func TestDestinationsTakeTurns(t *testing.T) {
	l, a, b := &Line[string]{}, NewDest[string](), NewDest[string]()
	j := l.Add(start)
	for i := range 3 {
		l.Push(j, a, fmt.Sprint("a", i))
	}
	for i := range 3 {
		l.Push(j, b, fmt.Sprint("b", i))
	}
	add(l, "next", start, 1, b)
	l.Offer(a)
	if got := serve(l, usual, 10); got != "b0 a0 b1 a1 b2 a2 next" {
		t.Error(got)
	}
}

// A destination that gets nothing now keeps nobody waiting, and a large list
// with many destinations is overtaken like one with a single one.
func TestBlockedDestinations(t *testing.T) {
	l, slow, fast := &Line[string]{}, NewDest[string](), NewDest[string]()
	add(l, "slow", start, 3, slow)
	l.Withdraw(slow)
	add(l, "fast", start, 2, fast)
	if got := serve(l, usual, 10); got != "fast*2" || l.Len() != 3 {
		t.Error(got, l.Len())
	}
	if got := l.TakeAll(slow, usual); len(got) != 3 || l.Len() != 0 || l.head != nil {
		t.Error(got)
	}
	dests := make([]*Dest[string], 100)
	for i := range dests {
		dests[i] = NewDest[string]()
	}
	add(l, "list", start, 1, dests...)
	add(l, "one", start, 1, fast)
	if got := serve(l, usual, 1000); got != "list one list*99" {
		t.Error(got)
	}
}

// However many small messages come, and whenever, a large one is slowed down
// by no more than one delivery in Cost, and what overtakes by one in Cost of that.
func TestLargeMessagesKeepTheirShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Costs{
			Cost: rapid.IntRange(2, 10).Draw(t, "cost"), Loan: rapid.IntRange(0, 5).Draw(t, "loan"),
			Discount: rapid.IntRange(0, 100).Draw(t, "discount"), Minimum: rapid.IntRange(0, 5).Draw(t, "minimum"),
		}
		n := rapid.IntRange(1, 200).Draw(t, "entries")
		l, d := &Line[string]{}, NewDest[string]()
		add(l, "big", start, n, d)
		overtook, big := 0, 0
		for i := 1; big < n; i++ {
			for range rapid.IntRange(0, 2).Draw(t, "arrivals") {
				add(l, "small", start.Add(time.Duration(i)*time.Second), rapid.IntRange(1, 4).Draw(t, "size"), d)
			}
			next, e := l.Next(c, start.Add(time.Duration(i)*time.Second))
			if next != d {
				t.Fatal("nothing is on turn")
			}
			if got := l.Pop(d, c); got != e {
				t.Fatalf("%s came in place of %s", got, e)
			}
			if e == "big" {
				big++
			} else {
				overtook++
			}
			l.Offer(d)
		}
		if overtook > n/(c.Cost-1) {
			t.Fatalf("%d deliveries before the end of a message with %d, costs %+v", overtook, n, c)
		}
	})
}

// What goes in comes out once, in any order of events; only what is offered
// does, and something does while anything is.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &Line[int]{}
		dests := make([]*Dest[int], rapid.IntRange(1, 6).Draw(t, "dests"))
		for i := range dests {
			dests[i] = NewDest[int]()
		}
		waiting := map[int]int{} // entry to destination
		offered := make([]bool, len(dests))
		take := func(e, d int) {
			if at, ok := waiting[e]; !ok || at != d {
				t.Fatalf("%d came out of %d, it was in %d, %v", e, d, at, ok)
			}
			delete(waiting, e)
		}
		for step := range rapid.IntRange(1, 80).Draw(t, "steps") {
			now := start.Add(time.Duration(step) * time.Second)
			k := rapid.IntRange(0, len(dests)-1).Draw(t, "dest")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				j := l.Add(now)
				for i := k; i < len(dests); i++ {
					for range rapid.IntRange(0, 20).Draw(t, "n") {
						id := len(waiting) + step*1000
						waiting[id] = i
						l.Push(j, dests[i], id)
					}
				}
			case 2:
				l.Offer(dests[k])
				offered[k] = dests[k].Len() > 0
			case 3:
				l.Withdraw(dests[k])
				offered[k] = false
			case 4:
				for _, e := range l.TakeAll(dests[k], usual) {
					take(e, k)
				}
				offered[k] = false
			default:
				d, _ := l.Next(usual, now)
				i := slices.Index(dests, d)
				if (d == nil) != !slices.Contains(offered, true) || d != nil && !offered[i] {
					t.Fatalf("on turn is %d of %v", i, offered)
				}
				if d != nil {
					take(l.Pop(d, usual), i)
					offered[i] = false
				}
			}
			if l.Len() != len(waiting) {
				t.Fatalf("%d wait, not %d", l.Len(), len(waiting))
			}
		}
		for i, d := range dests {
			for _, e := range l.TakeAll(d, usual) {
				take(e, i)
			}
		}
		if len(waiting) != 0 || l.head != nil || l.tail != nil {
			t.Fatalf("lost: %v", waiting)
		}
	})
}

func BenchmarkSingleRecipients(b *testing.B) {
	l := &Line[int]{}
	dests := make([]*Dest[int], 1000)
	for i := range dests {
		dests[i] = NewDest[int]()
	}
	b.ReportAllocs()
	for i := range b.N {
		d := dests[i%len(dests)]
		l.Push(l.Add(start), d, i)
		l.Offer(d)
		if l.Len() > 2000 {
			d, _ := l.Next(usual, start)
			l.Pop(d, usual)
			l.Offer(d)
		}
	}
}
