package spool

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// A checkpoint takes its time, and changes go on meanwhile. What is synced
// then is durable together with all that was changed before it, although two
// logs are involved.
func TestSyncDuringCheckpoint(t *testing.T) {
	for _, point := range []string{"queue.log.created", "queue.checkpoint.written", "queue.checkpoint.renamed", "queue.checkpoint.done"} {
		fsys := disk.NewForgetful()
		w := openWorld(t, fsys, crashConfig())
		for i := range 5 {
			if err := w.add(500, 1+i%2); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.deliver(1); err != nil { // in the old log, not synced
			t.Fatal(err)
		}
		var after *disk.Forgetful
		fsys.OnPoint(func(name string) {
			if name != point || after != nil {
				return
			}
			fsys.OnPoint(nil)
			_ = w.remove(0)
			_ = w.deliver(2)
			if err := w.hold(3); err != nil {
				t.Errorf("%s: %v", point, err)
			}
			after = fsys.Crash()
		})
		_ = w.s.checkpoint()
		if after == nil {
			t.Fatalf("%s was not passed", point)
		}
		mustClose(t, w.check(failer{t, point + ": "}, after, crashConfig()))
	}
}

// abandon ends a spool as kill -9 does: the page cache stays.
func abandon(s *Spool) { _ = s.lock.Close() }

// A process that is killed leaves records that only the page cache has. Once
// the next process has taken them up, a power failure must not lose them: a
// delivery may have been logged, a notification sent.
func TestKilledThenPowerFails(t *testing.T) {
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, crashConfigOn(fsys))
	fsys.OnPoint(func(name string) {
		if name == "queue.envelope.before_sync" {
			panic("killed")
		}
	})
	func() {
		defer func() { _ = recover() }()
		_, _ = add(s, 1, 1000, 1)
	}()
	fsys.OnPoint(nil)
	abandon(s)

	s, r := mustOpen(t, crashConfigOn(fsys))
	if r.Messages != 1 {
		t.Fatalf("the record that was written but not synced is not found: %+v", r)
	}
	after := fsys.Crash()
	s, r = mustOpen(t, crashConfigOn(after))
	defer mustClose(t, s)
	if r.Messages != 1 || len(r.Damage) != 0 {
		t.Fatalf("after the power failure: %+v", r)
	}
	wantText(t, s, s.Entries()[0], 1, 1000)
}

func crashConfigOn(fsys disk.FS) Config {
	cfg := crashConfig()
	cfg.FS = fsys
	return cfg
}

// A deleted segment whose name comes back must not be read as a new one.
func TestDeletedSegmentThatComesBack(t *testing.T) {
	for seed := range uint64(60) {
		fsys := disk.NewForgetful()
		cfg := crashConfig()
		cfg.FreeKept = 0
		w := openWorld(t, fsys, cfg)
		for range 30 {
			if err := w.add(3000, 1); err != nil {
				t.Fatal(err)
			}
		}
		for range 30 {
			if err := w.remove(0); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.tidy(); err != nil {
			t.Fatal(err)
		}
		if fsys.Points()["queue.segment.removed"] == 0 {
			t.Fatal("nothing was deleted")
		}
		if err := w.sync(); err != nil {
			t.Fatal(err)
		}
		mustClose(t, w.check(t, fsys.CrashRandom(seed), cfg))
	}
}

// Ids are not given twice, whatever the clock says and whatever was lost.
func TestIDsAfterCrash(t *testing.T) {
	fsys := disk.NewForgetful()
	seen := map[item.ID]bool{}
	for range 5 {
		s, _ := mustOpen(t, crashConfigOn(fsys)) // its clock begins at the same moment each time
		for i := range 10 {
			e := mustAdd(t, s, i, 100, 1)
			if seen[e.ID] {
				t.Fatalf("id %s was given twice", e.ID)
			}
			seen[e.ID] = true
			s.Remove(e)
		}
		if err := s.Tidy(); err != nil {
			t.Fatal(err)
		}
		fsys = fsys.Crash()
	}
}

// Segments are overwritten before they are used again, which is one more
// moment to die.
func TestDieWhileErasing(t *testing.T) {
	cfg := func() Config {
		cfg := crashConfig()
		cfg.Zero = true
		return cfg
	}
	clean := openWorld(t, disk.NewForgetful(), cfg())
	if err := clean.play(); err != nil {
		t.Fatal(err)
	}
	hits := clean.fsys.Points()["queue.erased"]
	mustClose(t, clean.s)
	if hits == 0 {
		t.Fatal("nothing was erased")
	}
	for hit := 1; hit <= hits; hit++ {
		fsys := disk.NewForgetful()
		fsys.CrashAt(fmt.Sprintf("%s:%d", "queue.erased", hit))
		w := openWorld(t, fsys, cfg())
		if err := w.play(); !errors.Is(err, disk.ErrCrashed) && !fsys.Crashed() {
			t.Fatalf("hit %d: %v", hit, err)
		}
		for seed := range uint64(3) {
			after := fsys.Crash()
			if seed > 0 {
				after = fsys.CrashRandom(seed)
			}
			mustClose(t, w.check(failer{t, fmt.Sprintf("hit %d, seed %d: ", hit, seed)}, after, cfg()))
		}
	}
}

// A group whose sync failed is marked as such; the machine dies just when the
// mark is durable, before anybody was told.
func TestDieAfterAFailureIsRecorded(t *testing.T) {
	for n := 1; n <= 8; n++ {
		w, faulty := faultyWorld(t)
		faulty.Add(disk.Fault{Op: disk.OpSync, Path: "segment-*", Nth: n, Err: syscall.EIO})
		w.fsys.CrashAt("queue.abort.recorded")
		for range 12 {
			_ = w.add(700, 1)
		}
		if !w.fsys.Crashed() {
			t.Fatalf("sync %d: nobody died", n)
		}
		for seed := range uint64(4) {
			after := w.fsys.Crash()
			if seed > 0 {
				after = w.fsys.CrashRandom(seed)
			}
			mustClose(t, w.check(failer{t, fmt.Sprintf("sync %d, seed %d: ", n, seed)}, after, crashConfig()))
		}
	}
}

// A start goes on with the checkpoint that there is. After many starts there
// is a new one, and what is there is the same all the time.
func TestManyStarts(t *testing.T) {
	fsys := disk.NewForgetful()
	w := openWorld(t, fsys, crashConfig())
	cfg := crashConfig()
	cfg.LogSize = 1 << 20
	most := 0
	for i := range 3 * maxLogs {
		if err := w.add(600, 1+i%3); err != nil {
			t.Fatal(err)
		}
		if err := w.deliver(i); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := w.remove(i % 5); err != nil {
				t.Fatal(err)
			}
		}
		switch i % 3 {
		case 0:
			abandon(w.s)
			w.s = w.check(t, fsys, cfg)
		case 1:
			if err := w.sync(); err != nil {
				t.Fatal(err)
			}
			fsys = fsys.Crash()
			w.fsys, w.s = fsys, w.check(t, fsys, cfg)
		default:
			mustClose(t, w.s)
			w.s = w.check(t, fsys, cfg)
		}
		if err := w.tidy(); err != nil {
			t.Fatal(err)
		}
		names, err := fsys.ReadDir(testDir + "/state")
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(names))
	}
	// A power failure can bring back what was deleted, until the next checkpoint.
	if most < maxLogs || most > 2*maxLogs+4 {
		t.Errorf("up to %d files of states, want about %d", most, maxLogs)
	}
	mustClose(t, w.s)
}

// The power fails while a start writes down what it found in the segments. Of
// what was not synced any part may be lost; no message is.
func TestPowerFailsDuringStart(t *testing.T) {
	const n, syncs = 20, 2
	for seed := range uint64(40 * syncs) {
		fsys := disk.NewForgetful()
		s, _ := mustOpen(t, crashConfigOn(fsys))
		for i := range n {
			mustAdd(t, s, i, 1000, 1)
		}
		abandon(s) // the state log knows none of them
		var after *disk.Forgetful
		left := seed % syncs
		fsys.OnPoint(func(name string) {
			switch {
			case name != "queue.state.before_sync" || after != nil:
			case left > 0:
				left--
			default:
				after = fsys.CrashRandom(seed)
			}
		})
		if s, _, err := Open(bg(), crashConfigOn(fsys)); err == nil {
			abandon(s)
		}
		if after == nil {
			t.Fatalf("the start made %d syncs less than %d", left+1, syncs)
		}
		s, r := mustOpen(t, crashConfigOn(after))
		if r.Messages != n || len(r.Damage) > 0 {
			t.Fatalf("seed %d: %d messages, want %d; damage %v", seed, r.Messages, n, r.Damage)
		}
		mustClose(t, s)
	}
}

// A segment fails, and then the power, while that is written down. What had been
// taken before is in the segment, whatever part of the state log is lost.
func TestPowerFailsAfterSegment(t *testing.T) {
	const n = 20
	for seed := range uint64(60) {
		fsys := disk.NewForgetful()
		faulty := disk.NewFaulty(fsys)
		s, _ := mustOpen(t, crashConfigOn(faulty))
		for i := range n {
			mustAdd(t, s, i, 1000, 1) // the state log has none of them on disk
		}
		faulty.Add(disk.Fault{Op: disk.OpSync, Path: "segment-*", Err: syscall.EIO})
		var after []*disk.Forgetful
		fsys.OnPoint(func(name string) {
			if name == "queue.state.before_sync" {
				after = append(after, fsys.CrashRandom(seed))
			}
		})
		if _, err := add(s, n, 1000, 1); err == nil {
			t.Fatal("a message was taken that could not be synced")
		}
		if len(after) == 0 {
			t.Fatal("the failure was not written down")
		}
		abandon(s)
		for _, after := range after {
			s, r := mustOpen(t, crashConfigOn(after))
			if r.Messages != n && r.Messages != n+1 || len(r.Damage) > 0 {
				t.Fatalf("seed %d: %d messages, want %d; damage %v", seed, r.Messages, n, r.Damage)
			}
			mustClose(t, s)
		}
	}
}
