package spool

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// faultyWorld is a world on a disk that fails as told.
func faultyWorld(t *testing.T) (*world, *disk.Faulty) {
	t.Helper()
	fsys := disk.NewForgetful()
	faulty := disk.NewFaulty(fsys)
	cfg := crashConfig()
	cfg.FS = faulty
	s, _ := mustOpen(t, cfg)
	w := &world{s: s, fsys: fsys}
	w.forget()
	return w, faulty
}

type fault struct {
	op  disk.Op
	err error
}

func faults() []fault {
	return []fault{
		{disk.OpWrite, syscall.ENOSPC},
		{disk.OpWrite, syscall.EIO},
		{disk.OpSync, syscall.EIO},
		{disk.OpSync, syscall.ENOSPC},
		{disk.OpCreate, syscall.ENOSPC},
		{disk.OpCreate, syscall.EROFS},
		{disk.OpOpen, syscall.EIO},
		{disk.OpRename, syscall.EIO},
		{disk.OpSyncDir, syscall.EIO},
		{disk.OpRemove, syscall.EROFS},
		{disk.OpRead, syscall.EIO},
	}
}

// One operation fails, at every place in turn. Whoever was told that a
// message was not taken will not see it delivered, whoever was told that it
// was finds it, and the spool goes on by itself.
func TestOneFailureAnywhere(t *testing.T) {
	for _, f := range faults() {
		step := 5
		for n := 1; ; n += step {
			if f.op == disk.OpWrite || f.op == disk.OpSync {
				step = 31
			}
			at := failer{t, fmt.Sprintf("%s number %d fails with %v: ", f.op, n, f.err)}
			w, faulty := faultyWorld(t)
			faulty.Add(disk.Fault{Op: f.op, Nth: n, Err: f.err, Short: n%2 == 0})
			failed := 0
			for _, step := range w.steps() {
				if err := step(); err != nil {
					failed++
					if k := fail.KindOf(err); k != fail.Temporary && k != fail.Full {
						at.Fatalf("kind %v: %v", k, err)
					}
				}
			}
			if faulty.Hits() == 0 {
				break
			}
			if failed > 2 {
				at.Fatalf("%d steps failed, the spool does not recover", failed)
			}
			faulty.Clear()
			if err := w.add(700, 1); err != nil {
				at.Fatalf("afterwards: %v", err)
			}
			after := w.fsys.CrashRandom(uint64(n))
			mustClose(t, w.check(at, after, crashConfig()))
		}
	}
}

// The disk does not work for a while. When it does again, so does the spool,
// without a restart, and with nothing that its submitter was told had failed.
func TestFailureForAWhile(t *testing.T) {
	for _, f := range faults() {
		at := failer{t, fmt.Sprintf("%s fails with %v for a while: ", f.op, f.err)}
		w, faulty := faultyWorld(t)
		steps := w.steps()
		for i, step := range steps {
			if i == 20 || i == 200 {
				faulty.Add(disk.Fault{Op: f.op, Err: f.err, Forever: true})
			}
			if i == 60 || i == 260 {
				faulty.Clear()
				if err := w.add(700, 1); err != nil {
					at.Fatalf("when the disk works again: %v", err)
				}
			}
			_ = step()
		}
		if err := w.sync(); err != nil {
			at.Fatalf("sync: %v", err)
		}
		after := w.fsys.Crash()
		mustClose(t, w.check(at, after, crashConfig()))
	}
}

// A group whose sync failed must stay away although its records are on disk:
// the file system may have written all of it before it reported the error.
func TestFailedGroupStaysAway(t *testing.T) {
	fsys := disk.NewForgetful()
	faulty := disk.NewFaulty(fsys)
	cfg := crashConfig()
	cfg.FS = faulty
	s, _ := mustOpen(t, cfg)
	good := mustAdd(t, s, 1, 500, 1)
	faulty.Add(disk.Fault{Op: disk.OpSync, Path: "segment-*", Err: syscall.EIO})
	if _, err := add(s, 2, 500, 1); !fail.Is(err, fail.Temporary) {
		t.Fatalf("sync failed, Commit says %v", err)
	}
	better := mustAdd(t, s, 3, 500, 1)
	if good.seg == better.seg {
		t.Error("the segment is used although its sync failed")
	}
	abandon(s) // everything that was written survives

	cfg = crashConfigOn(fsys)
	cfg.FreeKept = 10
	s, r := mustOpen(t, cfg)
	defer mustClose(t, s)
	if r.Messages != 2 || len(r.Damage) != 0 {
		t.Fatalf("recovery: %+v", r)
	}
	wantText(t, s, s.Find(good.ID), 1, 500)
	wantText(t, s, s.Find(better.ID), 3, 500)
	for _, e := range s.Entries() {
		s.Remove(e)
	}
	if err := s.Tidy(); err != nil {
		t.Fatal(err)
	}
	if err := s.Tidy(); err != nil {
		t.Fatal(err)
	}
	if ok, _ := disk.Exists(fsys, s.cfg.segmentFile(1)); ok {
		t.Error("a segment whose sync failed is kept for reuse")
	}
}

// A full disk must not keep a queue from starting: mail leaves, space comes back.
func TestStartOnFullDisk(t *testing.T) {
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, crashConfigOn(fsys))
	e := mustAdd(t, s, 1, 500, 1)
	mustClose(t, s)

	faulty := disk.NewFaulty(fsys, disk.Fault{Op: disk.OpWrite, Err: syscall.ENOSPC, Forever: true}, disk.Fault{Op: disk.OpCreate, Path: "*-00*", Err: syscall.ENOSPC, Forever: true})
	s, r := mustOpen(t, crashConfigOn(faulty))
	if r.Messages != 1 {
		t.Fatalf("recovery: %+v", r)
	}
	wantText(t, s, s.Find(e.ID), 1, 500)
	if _, err := add(s, 2, 500, 1); !fail.Is(err, fail.Full) {
		t.Errorf("commit on a full disk: %v, want Full", err)
	}
	if err := s.Sync(); !fail.Is(err, fail.Full) {
		t.Errorf("sync on a full disk: %v, want Full", err)
	}
	faulty.Clear()
	mustAdd(t, s, 3, 500, 1)
	if err := s.Tidy(); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	mustClose(t, s)
	s, r = mustOpen(t, crashConfigOn(fsys))
	defer mustClose(t, s)
	if r.Messages != 2 || len(r.Damage) != 0 {
		t.Errorf("recovery: %+v", r)
	}
}
