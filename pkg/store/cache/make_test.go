package cache

import (
	"context"
	"io"
	"testing"

	"github.com/postcote/postcote/pkg/platform/message"
)

// Who asks for header fields has headers read alone, where sizes are known and
// the header is short; what is asked for later completes that.
func TestBrief(t *testing.T) {
	const n = 60
	w := newWorld(t, n)
	w.sized = true
	ahead := func(brief bool) (whole int) {
		fields := []string{"From", "Subject"}
		win := w.cache.Ahead(context.Background(), w.uids(), fields, brief)
		defer win.Stop()
		for _, uid := range w.uids() {
			e, err := win.Entry(context.Background(), uid)
			must(t, err)
			root, h := parse(t, w.text[uid])
			if string(e.Envelope) != string(root.Envelope) || !brief && !e.Whole() {
				t.Fatalf("%d: %s, whole %v", uid, e.Envelope, e.Whole())
			}
			want, err := io.ReadAll(message.FieldsBody(h, fields, false))
			must(t, err)
			if got := win.Fields(uid, fields); string(got) != string(want) {
				t.Fatalf("%d: %q, want %q", uid, got, want)
			}
			if e.Whole() {
				whole++
			}
		}
		return whole
	}
	long := ahead(true)
	if opened := w.reads(); long != opened || w.heads != n || opened == 0 || opened == n {
		t.Fatalf("%d headers were read, %d messages, of %d", w.heads, opened, long)
	}
	w.checkQueries("brief", 0)
	w.reopen()
	must(t, w.cache.columns.reset())
	w.checkQueries("from brief entries", 0)
	if again := ahead(true); again != long || w.reads() != 0 || w.heads != n {
		t.Errorf("they were read again")
	}
	if e := w.entry(1); !e.Whole() || len(e.Structure) == 0 || w.reads() != 1 {
		t.Errorf("the structure is %s", e.Structure)
	}
	rows := w.cache.columns.rowsKept()
	if whole := ahead(false); whole != n || w.cache.columns.rowsKept() != rows {
		t.Errorf("%d are whole, with %d rows in place of %d", whole, w.cache.columns.rowsKept(), rows)
	}
	for _, uid := range w.uids() {
		root, _ := parse(t, w.text[uid])
		e := w.entry(uid)
		if got, ok := e.Root(); !ok || got.BodyEnd != root.BodyEnd || string(e.Structure) != string(message.AppendBodyStructure(nil, root, true)) {
			t.Fatalf("%d: %s", uid, e.Structure)
		}
	}
	ahead(true) // of whole ones
	w.reads()
	for _, uid := range w.uids() {
		if e, ok := w.cache.Kept(uid); !ok || !e.Whole() {
			t.Fatalf("%d has become brief", uid)
		}
	}
}

// What an older program kept is kept on, in a file that it will not read again.
func TestUpgrade(t *testing.T) {
	w := newWorld(t, 20)
	for _, uid := range w.uids() {
		w.entry(uid)
	}
	w.cache.Close()
	name := "/box/" + cacheName
	write(t, w.fs, name, oldMagic+load(t, w.fs, name)[len(cacheMagic):])
	w.reopen()
	w.reads()
	for _, uid := range w.uids() {
		if e := w.entry(uid); !e.Whole() {
			t.Errorf("%d is brief", uid)
		}
	}
	if n := w.reads(); n != 0 {
		t.Errorf("%d messages were read again", n)
	}
	w.cache.Close()
	if got := load(t, w.fs, name)[:len(cacheMagic)]; got != cacheMagic {
		t.Errorf("the file begins with %q", got)
	}
}

func TestHeaderEnd(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "A: b": 0, "A: b\n": 0, "A: b\n\n": 6, "A: b\r\n\r\nbody": 8, "A: b\n\r\nx\n\n": 7, "\nbody\n\n": 1, "\r\nbody": 2,
		"A: b\r\n\r": 0, "A: b\n \n\nx": 8, "\r": 0,
	} {
		if got := headerEnd([]byte(text)); got != want {
			t.Errorf("%q ends at %d, want %d", text, got, want)
		}
	}
}
