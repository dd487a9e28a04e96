package spool

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// points are the crash points that doc.go lists.
func points() []string {
	return []string{
		"queue.body.written", "queue.body.before_sync", "queue.body.after_sync",
		"queue.envelope.written", "queue.envelope.before_sync", "queue.envelope.after_sync", "queue.commit.indexed",
		"queue.recipient.done", "queue.state.before_sync", "queue.state.after_sync",
		"queue.segment.created", "queue.segment.sealed", "queue.segment.recycled", "queue.segment.removed",
		"queue.compact.copied", "queue.compact.recorded",
		"queue.log.created", "queue.checkpoint.written", "queue.checkpoint.renamed", "queue.checkpoint.done",
	}
}

// truth is what a crash must not contradict.
type truth struct {
	seed, size, rcpts int
	removed           bool // Remove was called: it may be there or not
	removedSync       bool // and was made durable: it must not be there
	states            []item.Status
	passed            []uint8 // bits: all states since the last Sync, and the one then
	held, heldSynced  bool
}

// world is a spool with the truth about it.
type world struct {
	s     *Spool
	fsys  *disk.Forgetful
	known map[item.ID]*truth
	maybe map[item.ID]*truth // submitted when the machine died: may be there or not
	seed  int
}

func openWorld(t interface{ Fatalf(string, ...any) }, fsys *disk.Forgetful, cfg Config) *world {
	w := &world{fsys: fsys}
	w.forget()
	cfg.FS = fsys
	s, r, err := Open(bg(), cfg)
	if err != nil && !fsys.Crashed() {
		t.Fatalf("open: %v", err)
	}
	if err == nil && len(r.Damage) > 0 {
		t.Fatalf("a crash is not damage: %v", r.Damage)
	}
	w.s = s
	return w
}

func (w *world) forget() { w.known, w.maybe = map[item.ID]*truth{}, map[item.ID]*truth{} }

func (w *world) add(size, rcpts int) error {
	w.seed++
	tr := &truth{seed: w.seed, size: size, rcpts: rcpts, states: make([]item.Status, rcpts), passed: make([]uint8, rcpts)}
	for i := range tr.passed {
		tr.passed[i] = 1 << item.Pending
	}
	b, err := w.s.Begin(int64(size))
	if err != nil {
		return err
	}
	defer b.Abort()
	w.maybe[b.ID()] = tr
	if _, err := b.Write(body(tr.seed, size)); err != nil {
		if !w.fsys.Crashed() {
			delete(w.maybe, b.ID())
		}
		return err
	}
	_, err = b.Commit(bg(), envelope(rcpts), fmt.Appendf(nil, "X-Seed: %d\r\n", tr.seed), 0)
	if !w.fsys.Crashed() {
		delete(w.maybe, b.ID()) // its submitter has been told either way
	}
	if err == nil {
		w.known[b.ID()] = tr
	}
	return err
}

// nth returns a live message, oldest first; -1 is the newest.
func (w *world) nth(n int) (*Entry, *truth) {
	var ids []item.ID
	for id, tr := range w.known {
		if !tr.removed {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	id := ids[(n+len(ids))%len(ids)]
	return w.s.Find(id), w.known[id]
}

func (w *world) deliver(n int) error {
	e, tr := w.nth(n)
	if e == nil {
		return nil
	}
	i := n % tr.rcpts
	st := item.Status(1 + n%3)
	tr.states[i] = st
	tr.passed[i] |= 1 << st
	setState(w.s, e, i, item.State{Status: st, Attempts: 1, Reason: "said so", Next: time.Unix(1e9, 0)})
	if n%2 == 0 {
		w.s.Park(e)
	}
	w.s.Done()
	return nil
}

func (w *world) remove(n int) error {
	e, tr := w.nth(n)
	if e == nil {
		return nil
	}
	tr.removed = true
	w.s.Remove(e)
	w.s.Done()
	return nil
}

func (w *world) hold(n int) error {
	e, tr := w.nth(n)
	if e == nil {
		return nil
	}
	tr.held = !tr.held
	if tr.held {
		w.s.SetFlags(e, Held, 0)
	} else {
		w.s.SetFlags(e, 0, Held)
	}
	return w.sync()
}

func (w *world) sync() error {
	err := w.s.Sync()
	if err == nil {
		w.allSynced()
	}
	return err
}

func (w *world) tidy() error {
	err := w.s.Tidy()
	if err == nil {
		w.allSynced()
	}
	return err
}

func (w *world) allSynced() {
	for _, tr := range w.known {
		tr.removedSync = tr.removed
		for i, st := range tr.states {
			tr.passed[i] = 1 << st
		}
		tr.heldSynced = tr.held
	}
}

// check opens what a crash left and compares.
func (w *world) check(t interface{ Fatalf(string, ...any) }, after *disk.Forgetful, cfg Config) *Spool {
	cfg.FS = after
	s, r, err := Open(bg(), cfg)
	if err != nil {
		t.Fatalf("open after the crash: %v", err)
	}
	if len(r.Damage) > 0 || r.Salvaged > 0 {
		t.Fatalf("a crash is not damage: %v, %d salvaged", r.Damage, r.Salvaged)
	}
	for id, tr := range w.known {
		e := s.Find(id)
		switch {
		case e == nil && !tr.removed:
			t.Fatalf("committed message %s (seed %d) is lost", id, tr.seed)
		case e != nil && tr.removedSync:
			t.Fatalf("message %s is back although its removal was durable", id)
		case e != nil:
			w.compare(t, s, e, tr)
		}
	}
	for _, e := range s.Entries() {
		if w.known[e.ID] != nil {
			continue
		}
		tr := w.maybe[e.ID]
		if tr == nil {
			t.Fatalf("message %s was never submitted, or its submitter was told that it failed", e.ID)
		}
		w.compare(t, s, e, tr)
	}
	return s
}

func (w *world) compare(t interface{ Fatalf(string, ...any) }, s *Spool, e *Entry, tr *truth) {
	got, err := text(s, e)
	if err != nil || got != fmt.Sprintf("X-Seed: %d\r\n%s", tr.seed, body(tr.seed, tr.size)) {
		t.Fatalf("message %s (seed %d, %d bytes): %d bytes, %v", e.ID, tr.seed, tr.size, len(got), err)
	}
	v, _ := s.View(e)
	for i, rc := range v.Recipients {
		// A state that was not synced may be lost or kept, never invented.
		if tr.passed[i]&(1<<rc.State.Status) == 0 {
			t.Fatalf("message %s recipient %d is %v, and never was since the last sync (%b)", e.ID, i, rc.State.Status, tr.passed[i])
		}
	}
	if held := v.Flags&Held != 0; held != tr.held && held != tr.heldSynced {
		t.Fatalf("message %s: held %v, want %v", e.ID, held, tr.heldSynced)
	}
}

// play runs the steps up to the first error.
func (w *world) play() error {
	for _, step := range w.steps() {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// steps are one fixed life of a spool that passes every crash point.
func (w *world) steps() (steps []func() error) {
	for round := range 3 {
		for i := range 30 {
			steps = append(steps, func() error { return w.add(500+i*100, 1+i%3) })
		}
		steps = append(steps,
			func() error { return w.add(9000, 2) },
			func() error { return w.deliver(round) },
			func() error { return w.hold(3) },
			func() error { return w.deliver(7) },
			w.sync,
			func() error { return w.deliver(5) })
		for i := range 28 {
			steps = append(steps, func() error { return w.remove(i % 5) })
		}
		steps = append(steps, w.tidy, func() error { return w.s.checkpoint() }, w.tidy, w.tidy)
	}
	for i := range 80 {
		steps = append(steps, func() error { return w.add(3500, 1) })
		if i%8 != 0 {
			steps = append(steps, func() error { return w.remove(-1) })
		}
	}
	steps = append(steps, w.tidy, w.tidy, w.tidy) // few survivors in each segment: compaction
	for range 30 {
		steps = append(steps, func() error { return w.remove(2) }) // leaves a large one to delete and segments to free
	}
	return append(steps, w.tidy, w.tidy)
}

func crashConfig() Config {
	cfg := testConfig(nil)
	cfg.SegmentSize, cfg.FreeKept, cfg.LogSize = 64<<10, 1, 1<<10
	tick := time.Unix(1.7e9, 0)
	cfg.Now = func() time.Time { tick = tick.Add(time.Millisecond); return tick }
	return cfg
}

func TestDieAtEveryPoint(t *testing.T) {
	clean := openWorld(t, disk.NewForgetful(), crashConfig())
	if err := clean.play(); err != nil {
		t.Fatalf("without a crash: %v", err)
	}
	passed := clean.fsys.Points()
	mustClose(t, clean.s)
	for _, p := range points() {
		if passed[p] == 0 {
			t.Errorf("the test never passes crash point %s", p)
		}
		for _, hit := range []int{1, max(passed[p]/2, 1), max(passed[p], 1)} {
			point := fmt.Sprintf("%s:%d", p, hit)
			fsys := disk.NewForgetful()
			fsys.CrashAt(point)
			w := openWorld(t, fsys, crashConfig())
			if w.s != nil {
				if err := w.play(); err != nil && !errors.Is(err, disk.ErrCrashed) {
					t.Fatalf("%s: %v", point, err)
				}
			}
			for seed := range uint64(3) {
				after := fsys.Crash()
				if seed > 0 {
					after = fsys.CrashRandom(seed)
				}
				s := w.check(failer{t, fmt.Sprintf("%s, seed %d: ", point, seed)}, after, crashConfig())
				mustClose(t, s)
			}
		}
	}
	for p := range passed {
		if strings.HasPrefix(p, "queue.") && !slices.Contains(points(), p) {
			t.Errorf("crash point %s is not in the list", p)
		}
	}
}

// failer says where a check failed.
type failer struct {
	t  *testing.T
	at string
}

func (f failer) Fatalf(format string, args ...any) {
	f.t.Helper()
	f.t.Fatalf(f.at+format, args...)
}

// Every single change to the disk is a moment to die, also during recovery.
func TestDieBeforeEveryChange(t *testing.T) {
	step := 13 // 1 has been tried; it takes its time
	for n := 0; ; n += step {
		fsys := disk.NewForgetful()
		fsys.CrashAfter(n)
		w := openWorld(t, fsys, crashConfig())
		if w.s != nil {
			_ = w.play()
		}
		if !fsys.Crashed() {
			break
		}
		at := failer{t, fmt.Sprintf("change %d: ", n)}
		mustClose(t, w.check(at, fsys.CrashRandom(uint64(n)), crashConfig()))

		// And die again while recovering.
		again := fsys.CrashRandom(uint64(n) + 1)
		again.CrashAfter(n % 40)
		cfg := crashConfig()
		cfg.FS = again
		if s, _, err := Open(bg(), cfg); err == nil {
			_ = s.Close()
		}
		mustClose(t, w.check(at, again.CrashRandom(uint64(n)), crashConfig()))
	}
}

// Random operations, random crashes, several lives.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := openWorld(t, disk.NewForgetful(), crashConfig())
		for life := range rapid.IntRange(1, 4).Draw(t, "lives") {
			w.fsys.CrashAfter(rapid.IntRange(5, 400).Draw(t, "changes"))
			for range 200 {
				if w.fsys.Crashed() {
					break
				}
				n := rapid.IntRange(0, 1000).Draw(t, "n")
				var err error
				switch op := rapid.IntRange(0, 11).Draw(t, "op"); op {
				case 0, 1, 2, 3:
					err = w.add(n*4, 1+n%3)
				case 4:
					err = w.add(4000+n*30, 1)
				case 5, 6:
					err = w.deliver(n)
				case 7, 8:
					err = w.remove(n)
				case 9:
					err = w.hold(n)
				case 10:
					err = w.tidy()
				default:
					err = w.s.checkpoint()
				}
				if err != nil && !w.fsys.Crashed() {
					t.Fatalf("life %d: %v", life, err)
				}
			}
			after := w.fsys.CrashRandom(rapid.Uint64().Draw(t, "seed"))
			s := w.check(t, after, crashConfig())
			w.adopt(s, after)
		}
	})
}

// adopt takes what recovery found as the truth of the next life.
func (w *world) adopt(s *Spool, fsys *disk.Forgetful) {
	old, maybe := w.known, w.maybe
	w.s, w.fsys = s, fsys
	w.forget()
	for _, e := range s.Entries() {
		tr := old[e.ID]
		if tr == nil {
			tr = maybe[e.ID]
		}
		v, _ := s.View(e)
		tr.removed, tr.held = false, v.Flags&Held != 0
		for i, rc := range v.Recipients {
			tr.states[i] = rc.State.Status
		}
		w.known[e.ID] = tr
	}
	w.allSynced()
}
