package index

import (
	"fmt"
	"os"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// write puts a file into an index directory.
func write(t testing.TB, m disk.FS, name string, data []byte) {
	t.Helper()
	must(t, disk.MkdirAll(m, "/index", 0o700))
	f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	must(t, err)
	_, err = f.WriteAt(data, 0)
	must(t, err)
	must(t, f.Close())
}

// walk looks at everything.
func walk(im *Image) {
	for i, r := range im.Named() {
		im.KeywordNames(r.Keywords)
		im.Find(r.UID)
		im.At(i)
	}
	im.Count(1, 2)
	im.FirstWithout(flagSeen)
	im.VSize()
	im.Recent()
	Diff(im, im)
}

// Index files are hostile input, whatever their checksums say: these targets
// repair the checksums of what they mutate.
func FuzzFrame(f *testing.F) {
	b := &Batch{tab: newInterner(tables{}), next: 5}
	id, _ := b.Keyword("k")
	r := message(101)
	b.Append(&r, []uint16{id})
	b.Flags([]Range{{1, 7}, {9, 200}}, 3, 4, []uint16{id}, nil, 5)
	b.File(3, 1, 2, InNew|Dirty, ":2,Z")
	b.Known(4, 1, 2, 3)
	b.Stamps(Stamps{})
	b.Bury(5, "x")
	b.Expunge([]Range{{2, 5}}, 6)
	f.Add(b.buf)
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := disk.NewForgetful()
		x := filled(t, m, 100)
		must(t, x.Checkpoint())
		log := appendLogHeader(nil, x.seq, 1)
		log = appendFrame(log, payload, 0)
		write(t, m, x.logName(x.seq), log)
		y, err := Open(m, "/index", 2)
		Salvage(m, "/index", []uint32{1, 2, 3})
		if err != nil {
			if !fail.Is(err, fail.Corrupt) {
				t.Fatalf("kind %v: %v", fail.KindOf(err), err)
			}
			return
		}
		walk(y.Image())
		last := uint32(0)
		for _, r := range y.Image().Named() {
			if r.UID <= last {
				t.Fatalf("UID %d after %d", r.UID, last)
			}
			last = r.UID
		}
		must(t, y.Checkpoint())
		z, err := Open(m, "/index", 3)
		must(t, err)
		walk(z.Image())
	})
}

func FuzzFiles(f *testing.F) {
	m := disk.NewForgetful()
	x := filled(f, m, 20)
	must(f, x.Checkpoint())
	base, err := disk.ReadFile(m, "/index/base", 1<<20)
	must(f, err)
	log, err := disk.ReadFile(m, x.logName(x.seq), 1<<20)
	must(f, err)
	f.Add(base, log)
	f.Fuzz(func(t *testing.T, base, log []byte) {
		m := disk.NewForgetful()
		write(t, m, "/index/base", base)
		write(t, m, "/index/log.2", log)
		Salvage(m, "/index", []uint32{1})
		x, err := Open(m, "/index", 2)
		if err != nil {
			if !fail.Is(err, fail.Corrupt) {
				t.Fatalf("kind %v: %v", fail.KindOf(err), err)
			}
			return
		}
		walk(x.Image())
	})
}

// The trailer behind a good checksum.
func FuzzTrailer(f *testing.F) {
	m := disk.NewForgetful()
	x := filled(f, m, 600)
	b := x.Begin()
	id, _ := b.Keyword("k")
	b.Flags([]Range{{1, 600}}, 1, 0, []uint16{id}, nil, b.ModSeq())
	b.Bury(9, "nine")
	_, err := x.Commit(b, true)
	must(f, err)
	must(f, x.Checkpoint())
	var places []place
	for p := range x.Image().parts() {
		places = append(places, *p.place.Load())
	}
	f.Add(appendTrailer(nil, x.Image(), places, &x.x))
	f.Fuzz(func(t *testing.T, trailer []byte) {
		t.Helper()
		tr := trailerReader{d: decoder{b: trailer}, src: &source{file: nothing{}, name: "base"}, end: 1 << 20}
		im, _ := tr.read(version, Meta{})
		if !tr.d.bad {
			walk(im)
		}
	})
}

// nothing is a file that cannot be read.
type nothing struct{ disk.File }

func (nothing) ReadAt([]byte, int64) (int, error) { return 0, fmt.Errorf("nothing") }
