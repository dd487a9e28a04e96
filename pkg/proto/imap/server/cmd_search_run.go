package server

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// A search is done in two passes. The first one works on sets of rows, and
// asks the mailbox about all of them at once where it can answer (Selector);
// the second one opens the messages that the first could not decide.

func newBits(n int) Bits { return make(Bits, (n+63)/64) }

func (b Bits) set(i int) { b[i/64] |= 1 << (i % 64) }

func (b Bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// fill sets bits from <= i < to.
func (b Bits) fill(from, to int) {
	for i := from; i < to; {
		if i%64 == 0 && i+64 <= to {
			b[i/64] = ^uint64(0)
			i += 64
			continue
		}
		b.set(i)
		i++
	}
}

func (b Bits) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// each calls fn for every bit that is set, in order, until it returns false.
func (b Bits) each(fn func(i int) bool) {
	for k, w := range b {
		for ; w != 0; w &= w - 1 {
			if !fn(k*64 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// answer is what is known of a key: the rows that meet it, and those of which
// that is open.
type answer struct{ hits, open Bits }

// finding is one search of a view.
type finding struct {
	ctx  context.Context
	s    *call
	v    *view
	root *key
	told *progress
	sel  Selector // may be nil
	few  bool     // so few rows to look at that no question about all pays
	own  matching // of the session's goroutine

	failed error // of a message that a helper could not read
}

func newFinding(ctx context.Context, s *call, v *view, q *query) *finding {
	f := &finding{ctx: ctx, s: s, v: v, root: &q.root, told: q.told, own: matching{ctx: ctx, s: s, v: v, now: s.srv.cfg.Now().Unix()}}
	f.sel, _ = v.mb.(Selector)
	return f
}

func (f *finding) release() {
	f.own.release()
	if err := cmp.Or(f.own.failed, f.failed); err != nil {
		f.s.logFailure("SEARCH", err)
	}
}

// fewRows is how many rows are better asked one by one than all of them.
const fewRows = 32

// run returns the rows that match, in order; with first only the first.
func (f *finding) run(rows Bits, first bool) []int32 {
	f.few = f.sel == nil || rows.count() < fewRows
	a := f.eval(f.root, rows)
	for k := range rows {
		a.hits[k] &= rows[k]
		a.open[k] &= rows[k]
	}
	if first {
		return f.firstOf(a)
	}
	f.settle(a)
	if f.ctx.Err() != nil {
		return nil
	}
	n := a.hits.count()
	if f.sel != nil && n > fewRows {
		f.v.rowUIDs = f.sel.UIDs(f.v.pin)
	}
	out, uids := make([]int32, 0, n), f.v.rowUIDs
	for k, w := range a.hits {
		for ; w != 0; w &= w - 1 {
			i := k*64 + bits.TrailingZeros64(w)
			if uids != nil && uids[i] != 0 || uids == nil && f.v.pin.At(i).UID != 0 {
				out = append(out, int32(i))
			}
		}
	}
	return out
}

// firstOf finds the first row only.
func (f *finding) firstOf(a answer) (out []int32) {
	all := make(Bits, len(a.hits))
	for k := range all {
		all[k] = a.hits[k] | a.open[k]
	}
	all.each(func(i int) bool {
		f.told.at(i, f.v.pin.Len())
		if f.v.pin.At(i).UID != 0 && (a.hits.has(i) || f.own.matches(i, f.root)) {
			out = append(out, int32(i))
			return false
		}
		return f.ctx.Err() == nil
	})
	return out
}

// eval answers a key for the rows. What it says of others does not count.
func (f *finding) eval(k *key, rows Bits) answer {
	a := answer{hits: make(Bits, len(rows)), open: make(Bits, len(rows))}
	switch k.op {
	case opAll:
		copy(a.hits, rows)
	case opAnd:
		defer func(few bool) { f.few = few }(f.few)
		copy(a.hits, rows)
		for i := range k.kids {
			left := make(Bits, len(rows)) // what none of the others has ruled out
			for w := range left {
				left[w] = a.hits[w] | a.open[w]
			}
			f.few = f.few || left.count() < fewRows
			b := f.eval(&k.kids[i], left)
			for w := range left {
				maybe := (b.hits[w] | b.open[w]) & left[w]
				a.hits[w] &= b.hits[w] &^ b.open[w]
				a.open[w] = maybe &^ a.hits[w]
			}
		}
	case opOr:
		left := append(Bits(nil), rows...)
		for i := range k.kids {
			b := f.eval(&k.kids[i], left)
			for w := range left {
				a.hits[w] |= b.hits[w] & left[w]
				a.open[w] = (a.open[w] | b.open[w]) &^ a.hits[w]
				left[w] &^= a.hits[w]
			}
		}
	case opNot:
		b := f.eval(&k.kids[0], rows)
		for w := range rows {
			a.hits[w], a.open[w] = rows[w]&^(b.hits[w]|b.open[w]), b.open[w]
		}
	case opSet:
		f.ranges(a.hits, k.set, false)
	case opUID:
		f.ranges(a.hits, k.set, true)
	case opRecent:
		f.ranges(a.hits, f.v.recent, true)
	default:
		f.ask(k, rows, a)
	}
	return a
}

// ranges sets the rows of a set of numbers or UIDs.
func (f *finding) ranges(hits Bits, set wire.Set, uid bool) {
	n := f.v.pin.Len()
	for _, g := range set {
		from, to := int(g.From)-1, int(g.To)
		if uid {
			from, to = f.v.pin.Find(g.From), f.v.pin.Find(g.To)
			if to < n && f.v.pin.At(to).UID == g.To {
				to++
			}
		}
		hits.fill(from, min(to, n))
	}
}

// ask has the mailbox answer for the rows.
func (f *finding) ask(k *key, rows Bits, a answer) {
	q, ok := k.question(f.own.now)
	if k.op == opFlag && f.v.told != f.v.pin { // the client knows newer flags than those of pin
		ok = false
	}
	if copy(a.open, rows); ok && !f.few {
		f.sel.Select(f.ctx, f.v.pin, q, a.hits, a.open)
	}
}

// question is the key as a Query; now is for opAge.
func (k *key) question(now int64) (Query, bool) {
	switch k.op {
	case opFlag:
		return Query{Kind: QueryFlags, Flags: k.flags}, true
	case opDate:
		from, to := days(k.rel, k.date)
		return Query{Kind: QueryReceived, From: from, To: to}, true
	case opAge:
		if k.rel < 0 {
			return Query{Kind: QueryReceived, From: math.MinInt64, To: now - k.n + 1}, true
		}
		return Query{Kind: QueryReceived, From: now - k.n, To: math.MaxInt64}, true
	case opSent:
		return Query{Kind: QuerySent, Rel: k.rel, Day: k.date}, true
	case opSize:
		if k.rel > 0 {
			return Query{Kind: QuerySize, From: k.n + 1, To: math.MaxInt64}, k.n < math.MaxInt64
		}
		return Query{Kind: QuerySize, From: 0, To: k.n}, true
	case opHeader:
		return Query{Kind: QueryField, Field: k.name, Text: k.needle}, k.needle != ""
	}
	return Query{}, false
}

// days is when the days that a date key means begin and end here:
// INTERNALDATE is shown in the server's zone.
func days(rel int, day time.Time) (from, to int64) {
	y, m, d := day.Date()
	begin := time.Date(y, m, d, 0, 0, 0, 0, time.Local).Unix()
	switch {
	case rel < 0:
		return math.MinInt64, begin
	case rel > 0:
		return begin, math.MaxInt64
	}
	return begin, time.Date(y, m, d+1, 0, 0, 0, 0, time.Local).Unix()
}

const (
	// settleStep is how many messages one worker takes at a time, worthHelp
	// from how many on others help, and maxHelp how many at most.
	settleStep = 8
	worthHelp  = 32
	maxHelp    = 3
)

// settle opens the messages that are open. Where messages have to be read,
// helpers do some of them: as many as there are processors, and no more than
// the server has to spare for all sessions.
func (f *finding) settle(a answer) {
	var rows []int32
	a.open.each(func(i int) bool {
		rows = append(rows, int32(i))
		return true
	})
	met := make([]bool, len(rows))
	var next atomic.Int64
	work := func(m *matching) {
		for f.ctx.Err() == nil {
			to := int(next.Add(settleStep))
			from := to - settleStep
			if from >= len(rows) {
				return
			}
			for j := from; j < min(to, len(rows)); j++ {
				if m == &f.own { // the one that may write to the client
					f.told.at(j, len(rows))
				}
				met[j] = m.matches(int(rows[j]), f.root)
			}
		}
	}
	f.together(f.root.cost >= 2 && len(rows) >= worthHelp, work)
	for j, i := range rows {
		if met[j] {
			a.hits.set(int(i))
		}
	}
}

// together runs work here and, with help, in goroutines that end before it
// returns. What one of them panics with is this one's panic.
func (f *finding) together(help bool, work func(*matching)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var fault any
	defer func() {
		wg.Wait()
		if fault != nil {
			panic(fault)
		}
	}()
	busy, most := &f.s.srv.helping, int64(runtime.GOMAXPROCS(0))
	for n := int64(0); help && n < min(maxHelp, most-1); n++ {
		if busy.Add(1) > most {
			busy.Add(-1)
			break
		}
		wg.Go(func() {
			m := &matching{ctx: f.ctx, s: f.s, v: f.v, now: f.own.now}
			defer func() {
				v := recover()
				m.release()
				busy.Add(-1)
				mu.Lock()
				defer mu.Unlock()
				if fault == nil {
					fault = v
				}
				if f.failed == nil {
					f.failed = m.failed
				}
			}()
			work(m)
		})
	}
	work(&f.own)
}
