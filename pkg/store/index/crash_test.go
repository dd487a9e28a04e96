package index

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// work makes durable changes until the disk fails it, and says how far it was
// acknowledged: after step k messages 1 to k have \Seen.
func work(x *Index) (acked int, modseq uint64) {
	for k := 1; k <= 6; k++ {
		b := x.Begin()
		b.Flags([]Range{{uint32(k), uint32(k)}}, flagSeen, 0, nil, nil, b.ModSeq())
		if _, err := x.Commit(b, true); err != nil {
			return acked, modseq
		}
		acked, modseq = k, b.next
		// Shown without being synced: its MODSEQ must not come again.
		b = x.Begin()
		b.Flags([]Range{{10, 10}}, 1<<1, 0, nil, nil, b.ModSeq())
		if _, err := x.Commit(b, false); err != nil {
			return acked, modseq
		}
		modseq = b.next
		if k%2 == 0 {
			if x.Checkpoint() != nil {
				return acked, modseq
			}
		}
	}
	return acked, modseq
}

// At whatever change the machine stops, nothing acknowledged is lost and no
// MODSEQ that was shown is given out again.
func TestCrashAnywhere(t *testing.T) {
	for n := 0; ; n++ {
		mem := disk.NewForgetful()
		x := filled(t, mem, 600)
		must(t, x.Close())
		x, err := Open(mem, "/index", 2)
		must(t, err)
		mem.CrashAfter(n)
		acked, modseq := work(x)
		crashed := mem.Crashed()
		for seed := range uint64(5) {
			after := mem.Crash()
			if seed > 0 {
				after = mem.CrashRandom(seed)
			}
			y, err := Open(after, "/index", 3)
			if err != nil {
				t.Fatalf("after %d changes, seed %d: %v", n, seed, err)
			}
			im := y.Image()
			for k := range acked {
				if im.At(k).Flags&flagSeen == 0 {
					t.Fatalf("after %d changes, seed %d: change %d of %d is lost", n, seed, k+1, acked)
				}
			}
			if next := y.Begin().ModSeq(); next <= modseq {
				t.Fatalf("after %d changes, seed %d: MODSEQ %d again, %d was shown", n, seed, next, modseq)
			}
			if im.Len() != 600 {
				t.Fatalf("after %d changes: %d messages", n, im.Len())
			}
		}
		if !crashed {
			if n < 20 {
				t.Fatalf("only %d changes", n)
			}
			return
		}
	}
}

// What was closed in good order does not look so any more once a MODSEQ was
// given out, also when that change is lost.
func TestCrashAfterGoodOrder(t *testing.T) {
	mem := disk.NewForgetful()
	x := filled(t, mem, 3)
	must(t, x.Close())
	x, err := Open(mem, "/index", 2)
	must(t, err)
	var shown uint64
	for range 2 {
		b := x.Begin()
		b.Flags([]Range{{1, 1}}, flagSeen, 0, nil, nil, b.ModSeq())
		_, err = x.Commit(b, false)
		must(t, err)
		shown = b.next
	}
	y, err := Open(mem.Crash(), "/index", 3)
	must(t, err)
	if y.Clean() || y.Image().HighestModSeq < shown {
		t.Errorf("clean %v, HIGHESTMODSEQ %d after %d", y.Clean(), y.Image().HighestModSeq, shown)
	}
}

func TestCrashPoints(t *testing.T) {
	mem := disk.NewForgetful()
	work(filled(t, mem, 20))
	for _, p := range strings.Fields("commit.before_write commit.before_sync commit.after_sync checkpoint.before_sync " +
		"checkpoint.before_log checkpoint.before_rename checkpoint.before_syncdir checkpoint.before_remove") {
		if mem.Points()["index."+p] == 0 {
			t.Errorf("crash point index.%s was not passed", p)
		}
	}
}

// A write or sync that fails is reported, changes nothing, and is healed by
// the checkpoint of the next commit, also when that fails at first.
func TestFaults(t *testing.T) {
	for _, fault := range []disk.Fault{
		{Op: disk.OpWrite, Path: "log.*", Short: true, Err: syscall.ENOSPC},
		{Op: disk.OpSync, Path: "log.*", Err: syscall.EIO},
	} {
		faulty := disk.NewFaulty(disk.NewForgetful())
		x := filled(t, faulty, 50)
		set := func(uid uint32) error {
			b := x.Begin()
			b.Flags([]Range{{uid, uid}}, flagSeen, 0, nil, nil, b.ModSeq())
			_, err := x.Commit(b, true)
			return err
		}
		faulty.Add(fault)
		good := map[uint32]bool{}
		for uid := uint32(1); uid <= 5; uid++ {
			before := x.Image()
			if err := set(uid); err != nil {
				if x.Image() != before {
					t.Errorf("%+v: a failed commit shows", fault)
				}
				if uid == 1 && fault.Err == syscall.ENOSPC && !fail.Is(err, fail.Full) {
					t.Errorf("%+v: %v", fault, err)
				}
				if uid == 1 {
					faulty.Add(disk.Fault{Op: disk.OpRename, Err: syscall.EIO}) // and the healing fails once
				}
			} else {
				good[uid] = true
			}
		}
		if faulty.Hits() != 2 || len(good) != 3 {
			t.Errorf("%+v: %d faults, %d changes succeeded", fault, faulty.Hits(), len(good))
		}
		must(t, x.Close())
		y, err := Open(faulty, "/index", 2)
		must(t, err)
		for uid := uint32(1); uid <= 5; uid++ {
			if seen := y.Image().At(int(uid)-1).Flags&flagSeen != 0; seen != good[uid] {
				t.Errorf("%+v: UID %d seen is %v, acknowledged is %v", fault, uid, seen, good[uid])
			}
		}
	}
}

func TestCheckpointInTheBackground(t *testing.T) {
	mem := disk.NewForgetful()
	x := filled(t, mem, 2000)
	c := x.Start()
	if x.Start() != nil {
		t.Error("two checkpoints at once")
	}
	must(t, c.Write())
	b := x.Begin()
	id, _ := b.Keyword("late")
	b.Flags([]Range{{7, 7}}, flagSeen, 0, []uint16{id}, nil, b.ModSeq())
	_, err := x.Commit(b, true)
	must(t, err)
	must(t, c.Finish())
	b = x.Begin()
	b.Expunge([]Range{{1, 5}}, b.ModSeq())
	_, err = x.Commit(b, true)
	must(t, err)
	y, err := Open(mem.Crash(), "/index", 1)
	must(t, err)
	im := y.Image()
	if im.Len() != 1995 || im.At(1).UID != 7 || im.At(1).Flags != flagSeen || im.KeywordNames(im.At(1).Keywords)[0] != "late" {
		t.Errorf("%d messages, %+v", im.Len(), im.At(1))
	}
}

func TestStaleWriterIsRefused(t *testing.T) {
	mem := disk.NewForgetful()
	x, err := Create(mem, "/index", 5, Meta{}, "", nil)
	must(t, err)
	must(t, x.Close())
	if _, err := Open(mem, "/index", 4); !fail.Is(err, fail.Corrupt) {
		t.Errorf("%v", err)
	}
}

// flip changes one byte of a file.
func flip(t *testing.T, m disk.FS, name string, off int64) {
	t.Helper()
	f, err := m.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	must(t, err)
	b[0] ^= 0x55
	_, err = f.WriteAt(b[:], off)
	must(t, err)
	must(t, f.Close())
}

// damaged makes an index with a base and three frames in the log, of which the
// last two hold changes that are not in file names.
func damaged(t *testing.T) (*disk.Forgetful, int64) {
	mem := disk.NewForgetful()
	x := filled(t, mem, 100)
	must(t, x.Checkpoint())
	at := x.logEnd
	for uid := uint32(1); uid <= 3; uid++ {
		b := x.Begin()
		id, _ := b.Keyword("Foo")
		b.Flags([]Range{{uid, uid}}, flagSeen, 0, []uint16{id}, nil, b.ModSeq())
		b.Bury(uid+50, "gone")
		_, err := x.Commit(b, true)
		must(t, err)
	}
	return mem, at
}

// Damage is found, named with file and offset, and what is left is salvaged.
func TestDamageAndSalvage(t *testing.T) {
	uids := make([]uint32, 100)
	for i := range uids {
		uids[i] = uint32(i) + 1
	}
	for _, c := range []struct {
		name, file string
		off        int64 // -1: the first frame of the log
		pending    []uint32
	}{
		{"base header", "/index/base", 40, []uint32{1, 2, 3}},
		{"base trailer", "/index/base", -2, []uint32{1, 2, 3}},
		{"middle of the log", "/index/log.2", -1, []uint32{2, 3}},
		{"log header", "/index/log.2", 9, []uint32{1, 2, 3}},
	} {
		mem, frame := damaged(t)
		off := c.off
		switch off {
		case -1:
			off = frame + frameHeader + 2
		case -2:
			info, err := mem.Stat(c.file)
			must(t, err)
			off = info.Size() - 3
		}
		flip(t, mem, c.file, off)
		_, err := Open(mem, "/index", 2)
		var d *Damage
		if !fail.Is(err, fail.Corrupt) || !errors.As(err, &d) || d.File != c.file {
			t.Errorf("%s: %v", c.name, err)
		}
		got := Salvage(mem, "/index", uids)
		for _, uid := range c.pending {
			if p := got.Pending[uid]; p.Add != flagSeen || len(p.AddKeywords) == 0 && c.off != -1 {
				t.Errorf("%s: the change of UID %d is lost: %+v", c.name, uid, p)
			}
			if got.Buried[uid+50] != "gone" {
				t.Errorf("%s: a burial is lost", c.name)
			}
		}
		if len(got.Pending) != len(c.pending) || got.ModSeq < 14 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// A chunk that does not check is damage when it is looked at, not before.
func TestDamagedChunk(t *testing.T) {
	mem, _ := damaged(t)
	flip(t, mem, "/index/base", baseHeader+60*recordSize)
	x, err := Open(mem, "/index", 2)
	if err == nil { // the log touches the chunk
		t.Fatal("not noticed")
	}
	if !fail.Is(err, fail.Corrupt) || x != nil {
		t.Errorf("%v", err)
	}
}

// A last frame that is not whole is what a crash leaves.
func TestUnfinishedFrame(t *testing.T) {
	mem, _ := damaged(t)
	info, err := mem.Stat("/index/log.2")
	must(t, err)
	for cut := int64(1); cut < 40; cut += 7 {
		f, err := mem.OpenFile("/index/log.2", os.O_RDWR, 0)
		must(t, err)
		must(t, f.Truncate(info.Size()-cut))
		must(t, f.Close())
		x, err := Open(mem, "/index", 2)
		must(t, err)
		im := x.Image()
		if im.At(1).Flags != flagSeen || im.At(2).Flags != 0 && cut > 8 {
			t.Errorf("cut %d: flags %d %d", cut, im.At(1).Flags, im.At(2).Flags)
		}
		must(t, x.log.Close())
	}
}

func TestSalvageFollowsFlushes(t *testing.T) {
	mem := disk.NewForgetful()
	x := filled(t, mem, 10)
	step := func(add func(b *Batch)) {
		b := x.Begin()
		add(b)
		_, err := x.Commit(b, true)
		must(t, err)
	}
	step(func(b *Batch) { b.Flags([]Range{{1, 9}}, flagSeen, 0, nil, nil, b.ModSeq()) })
	step(func(b *Batch) { b.File(1, flagSeen, 0, 0, "") })
	step(func(b *Batch) { b.Flags([]Range{{1, 2}}, 0, flagSeen, nil, nil, b.ModSeq()) })
	got := Salvage(mem, "/index", []uint32{1, 2, 3})
	if got.Pending[1].Remove != flagSeen || got.Pending[1].Add != 0 || got.Pending[2].Add != 0 || got.Pending[3].Add != flagSeen {
		t.Errorf("%+v", got.Pending)
	}
	must(t, x.Checkpoint())
	flip(t, mem, "/index/base", 40)
	if got := Salvage(mem, "/index", []uint32{1, 2, 3}); got.Pending[3].Add != flagSeen || got.Pending[1].Remove != flagSeen {
		t.Errorf("from the log of a checkpoint: %+v", got.Pending)
	}
}

func TestPlaceOfEntries(t *testing.T) {
	x := filled(t, disk.NewForgetful(), 10)
	b := x.Begin()
	b.Cached(1, 16)
	b.Cached(2, 1<<34)
	_, err := x.Commit(b, false)
	must(t, err)
	if im := x.Image(); im.At(0).Cache != 16 || im.At(1).Cache != 1<<34 {
		t.Errorf("offsets %d and %d", im.At(0).Cache, im.At(1).Cache)
	}
	b = x.Begin()
	b.Uncached()
	im, err := x.Commit(b, false)
	must(t, err)
	if im.At(1).Cache != 0 {
		t.Error("the offset stays")
	}
}
