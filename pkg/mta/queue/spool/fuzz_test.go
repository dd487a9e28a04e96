package spool

import (
	"io/fs"
	"os"
	"slices"
	"testing"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Whatever stands in one file of the queue, it opens; what it serves is
// either as it was committed or an error of kind Corrupt.
func FuzzOpen(f *testing.F) {
	f.Add(uint8(0), uint32(4200), []byte("x"))
	f.Add(uint8(1), uint32(70), []byte{0, 0, 0, 0})
	f.Add(uint8(2), uint32(0), []byte("PCQCHKPT"))
	f.Add(uint8(3), uint32(100), []byte("a longer piece of nonsense in the body of a message"))
	f.Fuzz(func(t *testing.T, which uint8, off uint32, junk []byte) {
		fsys, seeds := fuzzQueue(t)
		var names []string
		for _, dir := range []string{segmentDir, stateDir, largeDir} {
			list, err := fsys.ReadDir(testDir + "/" + dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				names = append(names, testDir+"/"+dir+"/"+d.Name())
			}
		}
		slices.Sort(names)
		overwrite(t, fsys, names[int(which)%len(names)], off, junk)

		s, _, err := Open(bg(), testConfig(fsys))
		if fail.Is(err, fail.Invalid) {
			return // the junk was the header of a newer version
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Entries() {
			seed, ok := seeds[e.ID]
			got, err := text(s, e)
			switch {
			case fail.Is(err, fail.Corrupt):
			case err != nil:
				t.Fatal(err)
			case ok && got != seed:
				t.Fatalf("message %s is served with another text", e.ID)
			}
			if _, _, err := s.Load(e); err != nil && !fail.Is(err, fail.Corrupt) {
				t.Fatal(err)
			}
		}
		mustAdd(t, s, 9, 100, 1)
		if err := s.Tidy(); err != nil {
			t.Fatal(err)
		}
		mustClose(t, s)
		if _, err := Check(bg(), testConfig(fsys), true); err != nil {
			t.Fatal(err)
		}
	})
}

// fuzzQueue is a queue that was left by a crash: a checkpoint, a log with
// changes, an unsealed segment, a large body.
func fuzzQueue(t *testing.T) (*disk.Forgetful, map[item.ID]string) {
	t.Helper()
	fsys := disk.NewForgetful()
	s, _ := mustOpen(t, testConfig(fsys))
	seeds := map[item.ID]string{}
	for i, n := range []int{100, 5000, 700} {
		e := mustAdd(t, s, i, n, 2)
		seeds[e.ID], _ = text(s, e)
		setState(s, e, 0, item.State{Status: item.Deferred, Reason: "later"})
		s.SetFlags(e, Warned, 0)
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	return fsys.Crash(), seeds
}

func overwrite(t *testing.T, fsys disk.FS, name string, off uint32, junk []byte) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR, fs.FileMode(0))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(junk, int64(off)%(info.Size()+1)); err != nil {
		t.Fatal(err)
	}
}
