package wire

import (
	"errors"
	"io"
	"strings"
	"testing"

	imap "github.com/emersion/go-imap/v2"
)

// counted counts the writes: each is a system call and a TLS record.
type counted struct {
	strings.Builder
	writes int
	fail   error
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes++
	if c.fail != nil {
		return 0, c.fail
	}
	return c.Builder.Write(p)
}

func TestWriterStrings(t *testing.T) {
	var out counted
	w := NewWriter(&out)
	for _, s := range []string{"a b", `q"\`, "", "line\r\n", "ü", strings.Repeat("x", 1024)} {
		w.String(s)
		w.Raw(" ")
	}
	for _, s := range []string{"INBOX", "a b", "Entwürfe", "NIL", "", "a]b", "(x)"} {
		w.Mailbox(s)
		w.Raw(" ")
	}
	w.UTF8(true)
	w.Mailbox("Entwürfe")
	w.Raw(" ")
	w.Num(42)
	w.CRLF()
	w.Status("a1", imap.StatusResponseTypeOK, "READ-WRITE", "done")
	w.Status("*", imap.StatusResponseTypeBye, "", "bye")
	if out.writes != 0 || !w.Pending() {
		t.Error("written before Flush")
	}
	if err := w.Release(); err != nil || out.writes != 1 || w.buf != nil {
		t.Error(err, out.writes)
	}
	want := `"a b" "q\"\\" "" {6}` + "\r\nline\r\n {2}\r\nü {1024}\r\n" + strings.Repeat("x", 1024) +
		` INBOX "a b" Entw&APw-rfe "NIL" "" "a]b" "(x)" "Entwürfe" 42` + "\r\na1 OK [READ-WRITE] done\r\n* BYE bye\r\n"
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
	if w.Total() != int64(len(want)) {
		t.Error(w.Total())
	}
}

func TestWriterBatches(t *testing.T) {
	var out counted
	w := NewWriter(&out)
	const line = "* 1 FETCH (FLAGS (\\Seen))\r\n"
	for range 10_000 {
		w.Raw(line)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if most := 10_000*len(line)/outSize + 2; out.writes > most {
		t.Errorf("%d writes, at most %d are needed", out.writes, most)
	}
	if out.Len() != 10_000*len(line) {
		t.Error("bytes are missing")
	}
}

func TestWriterLargePieces(t *testing.T) {
	var out counted
	w := NewWriter(&out)
	big := strings.Repeat("0123456789", 10_000)
	w.Raw(big)
	w.Bytes([]byte(big))
	w.Literal(int64(len(big)), strings.NewReader(big))
	var s Set
	for n := uint32(1); n < 20_000; n += 2 {
		s.Add(n)
	}
	w.Set(s)
	_ = w.Flush()
	if want := big + big + "{100000}\r\n" + big + s.String(); out.String() != want {
		t.Error("bytes differ")
	}
}

func TestWriterErrorsStick(t *testing.T) {
	out := counted{fail: io.ErrClosedPipe}
	w := NewWriter(&out)
	w.Raw("x")
	if err := w.Flush(); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	w.Raw(strings.Repeat("x", 3*outSize))
	if err := w.Release(); !errors.Is(err, io.ErrClosedPipe) || out.writes != 1 {
		t.Error(err, out.writes)
	}
}

func TestWriterShortSource(t *testing.T) {
	var out counted
	w := NewWriter(&out)
	w.Literal(10, strings.NewReader("abc"))
	var e *SourceError
	if err := w.Flush(); !errors.As(err, &e) || e.Missing != 7 {
		t.Error(err)
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	w := NewWriter(io.Discard)
	w.Raw("x")
	n := testing.AllocsPerRun(1000, func() {
		w.Raw("* ")
		w.Num(123456)
		w.Raw(" FETCH (FLAGS (\\Seen) RFC822.SIZE ")
		w.Num(4711)
		w.Raw(")\r\n")
	})
	if n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}
