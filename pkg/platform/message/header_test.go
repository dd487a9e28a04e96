package message

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

const sample = "From x\nReceived: a\n\tb\nReceived: c\r\nSubject : spaced \n X\nno colon here\n: empty\nBad Name: x\nTo:a@b\n\nbody: no\n"

func TestHeader(t *testing.T) {
	h := ParseHeader([]byte(sample), DefaultLimits())
	if got := h.Get("received"); got != "a\tb" {
		t.Errorf("unfolded value %q", got)
	}
	if h.Count("Received") != 2 || h.Count("body") != 0 || h.Count("Bad Name") != 0 {
		t.Error("wrong number of fields")
	}
	if got := h.Get("Subject"); got != "spaced  X" {
		t.Errorf("obsolete space before the colon: %q", got)
	}
	if h.Len() != strings.Index(sample, "body:") {
		t.Errorf("header ends at %d", h.Len())
	}
	for f := range h.Fields() {
		if !bytes.HasPrefix([]byte(sample[f.Offset:]), f.Raw) {
			t.Errorf("%s is not at %d", f.Name, f.Offset)
		}
	}
	if _, ok := h.First("Missing"); ok || h.Get("Missing") != "" {
		t.Error("found what is not there")
	}
}

func TestReadHeaderStopsAtTheBody(t *testing.T) {
	for _, size := range []int{16, 4096} {
		r := bufio.NewReaderSize(strings.NewReader(sample), size)
		h, err := ReadHeader(r, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(r)
		if string(rest) != "body: no\n" || h.Len()+len(rest) != len(sample) || string(h.Bytes())+string(rest) != sample {
			t.Errorf("buffer of %d: header %d bytes, rest %q", size, h.Len(), rest)
		}
	}
}

func TestHeaderLimits(t *testing.T) {
	lim := DefaultLimits()
	lim.HeaderBytes, lim.HeaderFields = 20, 2
	r := bufio.NewReader(strings.NewReader("A: 1\nB: 2\nC: 3\nD: 456789\nE: 5\n\nbody"))
	h, err := ReadHeader(r, lim)
	rest, _ := io.ReadAll(r)
	if err != nil || !h.Truncated || h.NumFields() != 2 || string(rest) != "body" {
		t.Errorf("%v %+v %q", err, h, rest)
	}
}

func TestAppendField(t *testing.T) {
	for in, want := range map[string]string{
		"plain":              "X: plain\r\n",
		"two\r\n lines":      "X: two\r\n lines\r\n",
		"in\r\nBcc: jection": "X: in\r\n\tBcc: jection\r\n",
		"a\n\n\nb\x00":       "X: a\r\n\tb \r\n",
		"end\r\n":            "X: end\r\n",
	} {
		if got := string(AppendField(nil, "X", in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := ParseHeader(b, DefaultLimits())
		end := 0
		for x := range h.Fields() {
			if x.Offset < end || !bytes.Equal(b[x.Offset:x.Offset+len(x.Raw)], x.Raw) {
				t.Fatalf("field %q at %d overlaps or is not there", x.Name, x.Offset)
			}
			end = x.Offset + len(x.Raw)
			if strings.ContainsAny(x.Value(), "\r\n") {
				t.Fatalf("line end in value %q", x.Value())
			}
		}
		if end > h.Len() || h.Len() > len(b) {
			t.Fatalf("fields end at %d, header at %d of %d", end, h.Len(), len(b))
		}
		r := bufio.NewReaderSize(bytes.NewReader(b), 16)
		h2, err := ReadHeader(r, DefaultLimits())
		if err != nil || h2.Len() != h.Len() || h2.NumFields() != h.NumFields() {
			t.Fatalf("streamed: %v, %d bytes %d fields; in memory: %d, %d", err, h2.Len(), h2.NumFields(), h.Len(), h.NumFields())
		}
	})
}
