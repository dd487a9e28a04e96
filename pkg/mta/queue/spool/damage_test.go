package spool

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// flip changes one bit of a file.
func flip(t *testing.T, fsys disk.FS, name string, off int64) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

// stateFile returns the only file of a kind.
func stateFile(t *testing.T, fsys disk.FS, prefix string) string {
	t.Helper()
	names, err := fsys.ReadDir(testDir + "/state")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range names {
		if strings.HasPrefix(d.Name(), prefix) {
			return testDir + "/state/" + d.Name()
		}
	}
	t.Fatalf("no %s in %v", prefix, names)
	return ""
}

// full is a spool at rest with a handful of messages: inline, two sizes, and
// with a body in its own file.
func full(t *testing.T) (*disk.Forgetful, []*Entry) {
	t.Helper()
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, testConfig(fsys))
	var es []*Entry
	for i := range 6 {
		es = append(es, mustAdd(t, s, i, 3000, 1))
	}
	es = append(es, mustAdd(t, s, 6, 200_000, 1))
	setState(s, es[2], 0, item.State{Status: item.Deferred, Attempts: 1, Reason: "later"})
	mustClose(t, s)
	return fsys, es
}

func TestDamage(t *testing.T) {
	for _, c := range []struct {
		name  string
		where func(t *testing.T, fsys *disk.Forgetful, es []*Entry) (file string, off int64)
		// what the next start finds
		atOpen   int  // reports
		held     bool // message 2 is on hold
		lost     bool // message 2 is not there
		readable bool // message 2 can be read
	}{
		{
			name: "body in a segment",
			where: func(_ *testing.T, _ *disk.Forgetful, es []*Entry) (string, int64) {
				return testDir + "/segments/segment-0000000001", int64(es[2].off) + 1000
			},
			held: true,
		},
		{
			name: "envelope",
			where: func(_ *testing.T, _ *disk.Forgetful, es []*Entry) (string, int64) {
				return testDir + "/segments/segment-0000000001", int64(es[2].off) + 80
			},
			held: true,
		},
		{
			name: "record header",
			where: func(_ *testing.T, _ *disk.Forgetful, es []*Entry) (string, int64) {
				return testDir + "/segments/segment-0000000001", int64(es[2].off) + 20
			},
			held: true,
		},
		{
			name: "segment header",
			where: func(*testing.T, *disk.Forgetful, []*Entry) (string, int64) {
				return testDir + "/segments/segment-0000000001", 3
			},
			readable: true,
		},
		{
			name: "message record of the checkpoint", atOpen: 1, held: true, readable: true,
			where: func(t *testing.T, fsys *disk.Forgetful, es []*Entry) (string, int64) {
				return stateFile(t, fsys, "checkpoint-"), frameOf(t, fsys, stateFile(t, fsys, "checkpoint-"), es[2].ID)
			},
		},
		{
			name: "header of the checkpoint", atOpen: 1, readable: true,
			where: func(t *testing.T, fsys *disk.Forgetful, _ []*Entry) (string, int64) {
				return stateFile(t, fsys, "checkpoint-"), 2
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys, es := full(t)
			s, _ := mustOpen(t, testConfig(fsys))
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
			file, off := c.where(t, fsys, es)
			flip(t, fsys, file, off)

			before, err := Check(bg(), testConfig(fsys), false)
			if err != nil {
				t.Fatal(err)
			}
			if (len(before.Damage) == 0) != (c.atOpen == 0 && c.readable) {
				t.Errorf("check reports %v", before.Damage)
			}
			s, r := mustOpen(t, testConfig(fsys))
			defer mustClose(t, s)
			if len(r.Damage) != c.atOpen {
				t.Errorf("recovery reports %v, want %d", r.Damage, c.atOpen)
			}
			for _, d := range r.Damage {
				if d.File != file || d.Offset > off || d.Saved == "" {
					t.Errorf("report %+v, damage is in %s at %d", d, file, off)
				}
				if ok, _ := disk.Exists(fsys, d.Saved); !ok {
					t.Errorf("%s does not exist", d.Saved)
				}
			}
			for i, n := range []int{3000, 3000, 3000, 3000, 3000, 3000, 200_000} {
				if i != 2 || c.readable {
					wantText(t, s, s.Find(es[i].ID), i, n)
				}
			}
			e := s.Find(es[2].ID)
			var d *Damage
			if _, err := text(s, e); !c.readable && (!fail.Is(err, fail.Corrupt) || !errors.As(err, &d) || d.File != file || d.Offset > off || off >= d.Offset+d.Length) {
				t.Errorf("read of the damaged message: %v", err)
			}
			if flags, _ := s.Flags(e); flags&Held != 0 != c.held {
				t.Errorf("flags %x, want held %v", flags, c.held)
			}
		})
	}
}

// frameOf finds the frame that speaks of a message.
func frameOf(t *testing.T, fsys disk.FS, name string, id item.ID) int64 {
	t.Helper()
	data, err := disk.ReadFile(fsys, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var text [8]byte
	for i := range text {
		text[i] = byte(uint64(id) >> (8 * i))
	}
	at := strings.Index(string(data), string(text[:]))
	if at < 0 {
		t.Fatalf("%s does not speak of %s", name, id)
	}
	return int64(at)
}

func TestLargeBodyDamage(t *testing.T) {
	for name, hurt := range map[string]func(t *testing.T, fsys *disk.Forgetful, file string){
		"bit in the last piece": func(t *testing.T, fsys *disk.Forgetful, file string) { flip(t, fsys, file, 199_000) },
		"bit in the first one":  func(t *testing.T, fsys *disk.Forgetful, file string) { flip(t, fsys, file, 10) },
		"cut off": func(t *testing.T, fsys *disk.Forgetful, file string) {
			f, _ := fsys.OpenFile(file, os.O_RDWR, 0)
			_ = f.Truncate(100)
		},
		"missing": func(_ *testing.T, fsys *disk.Forgetful, file string) { _ = fsys.Remove(file) },
	} {
		t.Run(name, func(t *testing.T) {
			fsys, es := full(t)
			hurt(t, fsys, testDir+"/large/"+es[6].ID.String())
			s, r := mustOpen(t, testConfig(fsys))
			got, err := text(s, s.Find(es[6].ID))
			if !fail.Is(err, fail.Corrupt) {
				t.Errorf("read: %v, want Corrupt", err)
			}
			if len(got) >= 200_000 {
				t.Errorf("%d bytes were given out: all of a damaged message", len(got))
			}
			if flags, _ := s.Flags(s.Find(es[6].ID)); flags&(Held|Damaged) != Held|Damaged {
				t.Errorf("flags %x", flags)
			}
			if r.Orphans != 0 || r.Messages != 7 {
				t.Errorf("recovery: %+v", r)
			}
			mustClose(t, s)

			report, err := Check(bg(), testConfig(fsys), true)
			if err != nil || report.Repaired != 1 || report.Messages != 6 {
				t.Errorf("repair: %+v, %v", report, err)
			}
			report, err = Check(bg(), testConfig(fsys), false)
			if err != nil || len(report.Damage) != 0 || report.Messages != 6 || report.Orphans != 0 {
				t.Errorf("check after repair: %+v, %v", report, err)
			}
		})
	}
}

// When the state log is lost altogether the messages are still in their
// segments; they are kept on hold, because some of them may be done with.
func TestStateLost(t *testing.T) {
	fsys, es := full(t)
	names, err := fsys.ReadDir(testDir + "/state")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range names {
		f, _ := fsys.OpenFile(testDir+"/state/"+d.Name(), os.O_RDWR, 0)
		_ = f.Truncate(0)
	}
	s, r := mustOpen(t, testConfig(fsys))
	defer mustClose(t, s)
	if r.Salvaged != len(es) || r.Messages != len(es) || len(r.Damage) == 0 {
		t.Errorf("recovery: %+v", r)
	}
	for i, e := range es[:6] {
		wantText(t, s, s.Find(e.ID), i, 3000)
		if flags, _ := s.Flags(s.Find(e.ID)); flags&Held == 0 {
			t.Errorf("message %d is not on hold", i)
		}
	}
}

func TestCheckChangesNothingAndNeedsTheQueueAlone(t *testing.T) {
	fsys, _ := full(t)
	s, _ := mustOpen(t, testConfig(fsys))
	if _, err := Check(bg(), testConfig(fsys), false); !fail.Is(err, fail.Unavailable) {
		t.Errorf("check of a queue in use: %v", err)
	}
	mustClose(t, s)
	before, _ := fsys.ReadDir(testDir + "/state")
	r, err := Check(bg(), testConfig(fsys), false)
	if err != nil || r.Messages != 7 || len(r.Damage) != 0 || r.Segments != 1 {
		t.Errorf("check: %+v, %v", r, err)
	}
	after, _ := fsys.ReadDir(testDir + "/state")
	if len(before) != len(after) || before[0].Name() != after[0].Name() {
		t.Errorf("check changed %v to %v", before, after)
	}
	cfg := testConfig(fsys)
	cfg.Dir = "/nowhere"
	if _, err := Check(bg(), cfg, false); !fail.Is(err, fail.NotFound) {
		t.Errorf("check of nothing: %v", err)
	}
}
