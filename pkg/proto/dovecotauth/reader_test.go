package dovecotauth

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/wiretest"
)

// A Reader on a connection gives the same lines however they arrive, keeps no
// buffer while it waits, and of an unfinished line only what came of it.
func TestReaderOnConnection(t *testing.T) {
	a, b := wiretest.Pair(t)
	var shared Buffers
	r := shared.NewReader(b)
	long := "X\t" + strings.Repeat("y", MaxLine-2)
	lines := make(chan string, 8)
	go func() {
		defer close(lines)
		for {
			l, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					lines <- err.Error()
				}
				return
			}
			lines <- l.Verb
		}
	}()
	for _, chunk := range []string{"A\t1\r\nB", "\t2\n", "\nC\n", long[:100], long[100:], "\r", "\nD"} {
		if _, err := a.Write([]byte(chunk)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"A", "B", "", "C", "X"} {
		if got := <-lines; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	_ = a.Close()
	if got, more := <-lines; more {
		t.Fatalf("a cut line is no end: %q", got)
	}
	if r.buf != nil || len(r.rest) != 1 || cap(r.rest) > 2*bufferSize {
		t.Errorf("it holds a buffer %v and %d bytes in %d", r.buf != nil, len(r.rest), cap(r.rest))
	}
}

func TestReaderDeadline(t *testing.T) {
	a, b := wiretest.Pair(t)
	r := NewReader(b)
	_, _ = a.Write([]byte("A\nB"))
	if l, err := r.Next(); err != nil || l.Verb != "A" {
		t.Fatal(l, err)
	}
	_ = b.SetReadDeadline(time.Unix(1, 0))
	if _, err := r.Next(); err == nil {
		t.Fatal("no error")
	}
	// The deadline lost nothing.
	_ = b.SetReadDeadline(time.Time{})
	_, _ = a.Write([]byte("C\n"))
	if l, err := r.Next(); err != nil || l.Verb != "BC" {
		t.Fatal(l, err)
	}
	if r.Ready() {
		t.Error("ready for what?")
	}
}

// Cut and Parse read the same out of a line.
func FuzzCut(f *testing.F) {
	f.Add([]byte("AUTH\t1\tPLAIN\tservice=smtp\tx=a\x01tb\x01"))
	f.Add([]byte("\t\t"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := Parse(raw)
		if err != nil || bytes.IndexByte([]byte(l.Verb), escape) >= 0 {
			return
		}
		want := append([]string{l.Verb}, l.Params...)
		rest := bytes.Clone(raw)
		for i, more := 0, true; more; i++ {
			var param []byte
			param, rest, more = Cut(rest)
			if i >= len(want) || string(param) != want[i] {
				t.Fatalf("parameter %d of %q is %q, Parse says %q", i, raw, param, want)
			}
			if !more && i != len(want)-1 {
				t.Fatalf("%d parameters of %q, Parse says %q", i+1, raw, want)
			}
		}
	})
}
