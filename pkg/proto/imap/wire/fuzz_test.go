package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzReader drives every parser with the same bytes: nothing may panic, and
// how the bytes are cut into packets must not matter.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"a1 FETCH 1:*,3 (FLAGS BODY[1.2.HEADER.FIELDS (From {2+}\r\nTo)])\r\nb NOOP\r\n",
		"a \"q\\\"x\" {3}\r\nabc (\\Seen x) \" 1-Feb-1994 21:52:25 -0800\"\r\n",
		"a {99999+}\r\n", "\r\n", "a1 [] [TEXT] &- 1-Feb-1994\n",
	} {
		for op := range byte(8) {
			f.Add([]byte(s), op)
		}
	}
	lim := Limits{Line: 512, Memory: 128, Depth: 4, Count: 16, Tag: 16, Drain: 1000}
	f.Fuzz(func(t *testing.T, in []byte, op byte) {
		a := drive(NewReader(bytes.NewReader(in), lim, func() error { return nil }), op)
		b := drive(NewReader(iotest.OneByteReader(bytes.NewReader(in)), lim, func() error { return nil }), op)
		if !bytes.Equal(a, b) {
			t.Fatalf("one packet: %q\nbyte by byte: %q", a, b)
		}
	})
}

// drive parses commands until the connection ends and writes down what it saw.
func drive(r *Reader, op byte) []byte {
	var seen []byte
	note := func(s string) { seen = append(append(seen, s...), '|') }
	for {
		r.Start()
		note(r.Tag())
		for i := op; r.Ok() && !r.AtEnd(); i++ {
			r.SP()
			driveOne(r, i%9, note)
		}
		r.End()
		note(errText(r.Err()))
		if err := r.Recoverable(); err != nil {
			return seen
		}
	}
}

func driveOne(r *Reader, op byte, note func(string)) {
	switch op {
	case 0:
		note(r.AString())
	case 1:
		note(r.Set().Resolve(7).String())
	case 2:
		r.List(func() { note(r.AString()) })
	case 3:
		note(string(AppendSection(nil, r.Section())))
	case 4:
		note(r.Date().String() + r.DateTime().String())
	case 5:
		for _, fl := range r.Flags() {
			note(string(fl))
		}
	case 6:
		if l := r.Stream(64); l != nil {
			b, _ := io.ReadAll(l)
			note(string(b))
		}
	case 7:
		note(r.Mailbox(false))
	case 8:
		note(r.Pattern(true))
		note(r.Item())
	}
}

// Recoverable is Recover for a command that may have been fine.
func (r *Reader) Recoverable() error {
	var e *SyntaxError
	if err := r.Err(); err == nil || !errors.As(err, &e) {
		return err
	}
	return r.Recover()
}

// FuzzUTF7: decoding accepts only what encoding yields.
func FuzzUTF7(f *testing.F) {
	f.Add("&U,BTFw-/&ZeVnLIqe-")
	f.Add("a&-b")
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := DecodeUTF7(s)
		if ok && EncodeUTF7(name) != s {
			t.Fatalf("%q decodes to %q, which encodes to %q", s, name, EncodeUTF7(name))
		}
		if back, ok := DecodeUTF7(EncodeUTF7(s)); !ok || back != string([]rune(s)) {
			t.Fatalf("%q comes back as %q, %v", s, back, ok)
		}
	})
}
