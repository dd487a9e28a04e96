package cache

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeBox is a mailbox in memory: the messages, and what an index knows.
type fakeBox struct {
	mu     sync.Mutex
	text   map[uint32]string
	place  map[uint32]int64
	size   map[uint32]int64
	opened int
	heads  int  // read by Head
	sized  bool // sizes are known from names
	frozen bool
	hold   chan struct{} // Open waits for it to be closed
}

func newFakeBox() *fakeBox {
	return &fakeBox{text: map[uint32]string{}, place: map[uint32]int64{}, size: map[uint32]int64{}}
}

type fakeFile struct{ *bytes.Reader }

func (fakeFile) Close() error { return nil }

func (b *fakeBox) Open(ctx context.Context, uid uint32, mem *message.Memory) (Message, time.Time, error) {
	if b.hold != nil {
		select {
		case <-b.hold:
		case <-ctx.Done():
			return nil, time.Time{}, ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	text, ok := b.text[uid]
	if !ok {
		return nil, time.Time{}, fail.New(fail.NotFound, "no message %d", uid)
	}
	b.opened++
	if mem != nil && uid%5 != 0 { // the others are large ones
		mem.Set(append(mem.Buffer(), text...))
		return mem, time.Unix(int64(uid), 0), nil
	}
	return fakeFile{bytes.NewReader([]byte(text))}, time.Unix(int64(uid), 0), nil
}

// Head has 270 bytes of those whose size is known.
func (b *fakeBox) Head(_ context.Context, uid uint32, mem *message.Memory) (time.Time, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text, ok := b.text[uid]
	if !ok {
		return time.Time{}, false, fail.New(fail.NotFound, "no message %d", uid)
	}
	if !b.sized {
		return time.Time{}, false, nil
	}
	b.heads++
	mem.Set(append(mem.Buffer(), text[:min(len(text), 270)]...))
	return time.Unix(int64(uid), 0), true, nil
}

func (b *fakeBox) Entry(uid uint32) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.place[uid]
}

func (b *fakeBox) Learn(list []Lesson) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range list {
		b.size[l.UID] = l.Size
		if l.Entry != 0 {
			b.place[l.UID] = l.Entry
		}
	}
}

func (b *fakeBox) Quiet(fn func()) bool {
	if b.frozen {
		return false
	}
	fn()
	return true
}

// reads is how many files were opened since the last call.
func (b *fakeBox) reads() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.opened
	b.opened = 0
	return n
}

func (b *fakeBox) uids() []uint32 {
	var out []uint32
	for uid := range b.text {
		out = append(out, uid)
	}
	slices.Sort(out)
	return out
}

// fill makes n messages that differ in everything.
func (b *fakeBox) fill(n int) {
	for i := range n {
		b.text[uint32(i+1)] = letter(i)
	}
}

func letter(i int) string {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	var h strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&h, format+"\n", args...) }
	line("Received: from a by b;\n\tsomewhere %d", i)
	line("From: Person %d <p%d@example.org>", i%7, i%7)
	line("To: a%d@example.net,\n\tb@example.net", i%5)
	switch r.IntN(5) {
	case 0:
	case 1:
		line("Subject: Re: =?utf-8?q?Gr=C3=B6=C3=9Fe_%d?=", i%11)
	default:
		line("Subject: [list] Word%d and more", i%11)
	}
	if r.IntN(10) > 0 {
		line("Date: %d Jan 2024 10:00:00 %+03d00", 1+i%28, i%12)
	}
	line("Message-ID: <%d@x>\nReferences: <%d@x>\n\t<%d@x>", i, i-2, i-1)
	line("DKIM-Signature: v=1;\n\tb=abc")
	switch r.IntN(3) {
	case 0:
		return h.String() + "\nplain text " + fmt.Sprint(i) + "\n"
	case 1:
		return h.String() + "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\nContent-Type: text/plain; charset=latin1\n\none\n--b\n" +
			"Content-Type: message/rfc822\n\nSubject: inner\n\nbody\n--b--\npost\n"
	}
	return h.String() + "Content-Transfer-Encoding: base64\n\naGVsbG8=\n"
}

// world is a cache over a fake box.
type world struct {
	*fakeBox
	t     testing.TB
	fs    *disk.Forgetful
	cache *Cache
}

func newWorld(t testing.TB, n int) *world {
	w := &world{fakeBox: newFakeBox(), t: t, fs: disk.NewForgetful()}
	must(t, disk.MkdirAll(w.fs, "/box", 0o700))
	w.fill(n)
	w.reopen()
	return w
}

func (w *world) reopen() {
	if w.cache != nil {
		w.cache.Close()
	}
	w.cache = New(w.fs, "/box", w.fakeBox, new(Memory))
}

func (w *world) entry(uid uint32) Entry {
	w.t.Helper()
	e, err := w.cache.Entry(context.Background(), uid)
	must(w.t, err)
	return e
}

// search returns the UIDs that q finds, and how many rows stayed open.
func (w *world) search(q Query) (found []uint32, open int) {
	uids := w.uids()
	hits, left := make(Bits, len(uids)/64+1), make(Bits, len(uids)/64+1)
	for i := range uids {
		set(left, i)
	}
	w.cache.Search(context.Background(), &q, uids, hits, left)
	for i, uid := range uids {
		if isSet(left, i) {
			open++
			if isSet(hits, i) {
				w.t.Errorf("message %d is found and open", uid)
			}
		} else if isSet(hits, i) {
			found = append(found, uid)
		}
	}
	return found, open
}

func parse(t testing.TB, text string) (*message.Part, message.Header) {
	t.Helper()
	var p message.Parser
	root, err := p.Parse(strings.NewReader(text), message.DefaultLimits())
	must(t, err)
	return root, p.Header()
}
