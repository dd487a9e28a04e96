package spool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
)

func bg() context.Context { return context.Background() }

const testDir = "/q"

func testConfig(fsys disk.FS) Config {
	return Config{
		FS: fsys, Dir: testDir, Now: time.Now, Large: 4 << 10, Budget: 1 << 20,
		SegmentSize: 64 << 10, MinFree: 1 << 20, FreeKept: 2, LogSize: 64 << 10,
	}
}

func mustOpen(t testing.TB, cfg Config) (*Spool, *Recovery) {
	t.Helper()
	s, r, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, r
}

func mustClose(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func rcpt(n int) item.Recipient {
	return item.Recipient{Addr: addr.Address{Local: fmt.Sprintf("user%d", n), Domain: "example.org"}}
}

func envelope(rcpts int) *item.Envelope {
	e := &item.Envelope{Sender: addr.Address{Local: "sender", Domain: "example.com"}, EnvID: "x1"}
	for i := range rcpts {
		e.Recipients = append(e.Recipients, rcpt(i))
	}
	return e
}

// body is text of a length whose every part tells where it is from.
func body(seed, n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "message %d line %d\r\n", seed, i)
	}
	return b.Bytes()[:n]
}

// add commits a message of n bytes, seeded by seed.
func add(s *Spool, seed, n, rcpts int) (*Entry, error) {
	w, err := s.Begin(int64(n))
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	if _, err := w.Write(body(seed, n)); err != nil {
		return nil, err
	}
	return w.Commit(context.Background(), envelope(rcpts), fmt.Appendf(nil, "X-Seed: %d\r\n", seed), 0)
}

func mustAdd(t testing.TB, s *Spool, seed, n, rcpts int) *Entry {
	t.Helper()
	e, err := add(s, seed, n, rcpts)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return e
}

// text reads a whole message.
func text(s *Spool, e *Entry) (string, error) {
	c, err := s.Open(e)
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(io.MultiReader(bytes.NewReader(c.Headers()), c.Body()))
	if err == nil && int64(len(b)) != c.Size() {
		err = fmt.Errorf("%d bytes, Size says %d", len(b), c.Size())
	}
	return string(b), err
}

func wantText(t testing.TB, s *Spool, e *Entry, seed, n int) {
	t.Helper()
	got, err := text(s, e)
	want := fmt.Sprintf("X-Seed: %d\r\n%s", seed, body(seed, n))
	if err != nil || got != want {
		t.Fatalf("message %s: %d bytes, %v; want %d bytes of seed %d", e.ID, len(got), err, len(want), seed)
	}
}

func setState(s *Spool, e *Entry, i int, st item.State) {
	s.SetStates(e, []format.IndexedState{{Index: i, State: st}})
}
