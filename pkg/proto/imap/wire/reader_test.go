package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	imap "github.com/emersion/go-imap/v2"
)

// reading makes a Reader of s that gets its bytes one by one, so that every
// token meets the end of a buffer. conts counts the continuations.
func reading(s string, lim Limits) (r *Reader, conts *int) {
	conts = new(int)
	r = NewReader(iotest.OneByteReader(strings.NewReader(s)), lim, func() error { *conts++; return nil })
	r.Start()
	return r, conts
}

func TestStrings(t *testing.T) {
	for _, c := range []struct {
		in, want, err string
		conts         int
	}{
		{in: "abc\r\n", want: "abc"},
		{in: "a]b\n", want: "a]b"},
		{in: `"a b"` + "\r\n", want: "a b"},
		{in: `"a\"b\\c"` + "\r\n", want: `a"b\c`},
		{in: `"a\bc"` + "\r\n", want: `abc`},
		{in: `""` + "\r\n", want: ""},
		{in: "\"gr\u00fcn\"\r\n", want: "gr\u00fcn"},
		{in: "{3}\r\na b\r\n", want: "a b", conts: 1},
		{in: "{3+}\r\na\nb\r\n", want: "a\nb"},
		{in: "{3+}\na b\n", want: "a b"},
		{in: "{0}\r\n\r\n", want: "", conts: 1},
		{in: "(\r\n", err: "String expected"},
		{in: "\"abc\r\n", err: "Missing '\"'"},
		{in: "\"abc\\\r\n", err: "Missing '\"'"},
		{in: "a\x00b\r\n", err: "NUL is not allowed in a command"},
		{in: "\"\x00\"\r\n", err: "NUL is not allowed in a command"},
		{in: "{3+}\r\na\x00b\r\n", err: "NUL is not allowed in a literal"},
		{in: "{3x}\r\nabc\r\n", err: "Invalid literal size"},
		{in: "{}\r\n", err: "Invalid literal size"},
		{in: "{+}\r\n", err: "Invalid literal size"},
		{in: "{3} \r\nabc\r\n", err: "CRLF expected"},
		{in: "{1234567890123456}\r\n", err: "Invalid literal size"},
		{in: "abc def\r\n", err: "Too many arguments"},
		{in: "abc\rdef\r\n", err: "CRLF expected"},
		{in: "{5+}\r\nab", err: "unexpected EOF"},
		{in: "ab", err: "unexpected EOF"},
	} {
		r, conts := reading(c.in, DefaultLimits())
		got := r.AString()
		r.End()
		if e := errText(r.Err()); e != c.err || c.err == "" && got != c.want || *conts != c.conts {
			t.Errorf("%q: %q, error %q, %d continuations; want %q, %q, %d", c.in, got, e, *conts, c.want, c.err, c.conts)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What follows a failed command must be read as the client meant it.
func TestRecover(t *testing.T) {
	small := Limits{Line: 64, Memory: 10, Depth: 3, Count: 4, Tag: 8, Drain: 100}
	for name, c := range map[string]struct{ in, next string }{
		"rest of the line":                 {"( x y z\r\nnext\r\n", "next"},
		"bare LF":                          {"( x\nnext\r\n", "next"},
		"literal in the rest":              {"( {8+}\r\na LOGOUT {3+}\r\nb c x\r\nnext\r\n", "next"},
		"sync literal in the rest":         {"( {8}\r\nnext\r\n", "next"},
		"literal over the limit":           {"{11+}\r\nA NOOP\r\nB \r\nnext\r\n", "next"},
		"over the limit, more literals":    {"{11+}\r\nA NOOP\r\nB  {2+}\r\nzz\r\nnext\r\n", "next"},
		"sync literal over the limit":      {"{11}\r\nnext\r\n", "next"},
		"long line":                        {strings.Repeat("x", 500) + "\r\nnext\r\n", "next"},
		"long line, then a literal":        {strings.Repeat("x", 500) + " {4+}\r\nabcd\r\nnext\r\n", "next"},
		"limit inside a literal's size":    {strings.Repeat("x", 62) + " {4+}\r\nabcd\r\nnext\r\n", "next"},
		"huge digits are no literal":       {"( {0000000000000000001+}\r\nnext\r\n", "next"},
		"unparsed literal of many members": {"(" + strings.Repeat("x ", 9) + "{2+}\r\nab)\r\nnext\r\n", "next"},
	} {
		r, _ := reading(c.in, small)
		r.AString()
		r.End()
		var e *SyntaxError
		if !errors.As(r.Err(), &e) {
			t.Errorf("%s: error %v", name, r.Err())
		}
		if err := r.Recover(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r.Start()
		if got := r.Atom(); got != c.next {
			t.Errorf("%s: next is %q (%v), want %q", name, got, r.Err(), c.next)
		}
	}
}

func TestRecoverIsBounded(t *testing.T) {
	small := Limits{Line: 64, Memory: 10, Depth: 3, Count: 4, Tag: 8, Drain: 100}
	for _, in := range []string{
		"{101+}\r\n" + strings.Repeat("x", 101) + "\r\n",
		"( {101+}\r\n" + strings.Repeat("x", 101) + "\r\n",
		strings.Repeat("x", 2000) + "\r\n",
		"(" + strings.Repeat(" {90+}\r\n"+strings.Repeat("x", 90), 20) + "\r\n",
	} {
		r, _ := reading(in, small)
		r.AString()
		r.End()
		if err := r.Recover(); !errors.Is(err, ErrTooLong) {
			t.Errorf("%.20q: %v", in, err)
		}
	}
}

func TestList(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{in: "()", want: "()"},
		{in: "(a b (c (d)) e)", want: "(a b (c (d)) e)"},
		{in: "(a b )", want: "(a b)"},
		{in: "(a  b)", want: "(a b)"},
		{in: "(a b", err: "Space expected"},
		{in: "((((a))))", err: "Too many parentheses"},
		{in: "(a b c d e)", err: "Too many elements in a list"},
	} {
		r, _ := reading(c.in+"\r\n", Limits{Line: 100, Depth: 3, Count: 4, Tag: 8})
		var read func() string
		read = func() string {
			if r.Peek() != '(' {
				return r.Atom()
			}
			var items []string
			r.List(func() { items = append(items, read()) })
			return "(" + strings.Join(items, " ") + ")"
		}
		got := read()
		r.End()
		if e := errText(r.Err()); e != c.err || c.err == "" && got != c.want {
			t.Errorf("%s: %s, error %q; want %s, %q", c.in, got, e, c.want, c.err)
		}
	}
}

func TestDepthIsGivenBack(t *testing.T) {
	r, _ := reading(strings.Repeat("(a) ", 50)+"\r\n", DefaultLimits())
	for range 50 {
		r.List(func() { r.Atom() })
		r.SP()
	}
	if !r.AtEnd() || !r.Ok() {
		t.Error(r.Err())
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "4294967295": "4294967295", "4294967296": "Number is too large",
		"99999999999999999999": "Number is too large", "x": "Number expected", "-1": "Number expected",
	} {
		r, _ := reading(in+"\r\n", DefaultLimits())
		n := r.Number()
		got := fmt.Sprint(n)
		if !r.Ok() {
			got = r.Err().Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	for in, want := range map[string]string{
		"()":                                   "[]",
		`(\seen \DELETED $Junk work)`:          `[\Seen \Deleted $Junk work]`,
		`(\Recent)`:                            `Invalid system flag \Recent`,
		`(\*)`:                                 `Flag expected`,
		`(a]b)`:                                `Space expected`,
		"(" + strings.Repeat("x ", 257) + ")":  "Too many flags",
		"(" + strings.Repeat("x", 256) + ")":   "Flag is too long",
		"(gr\u00fcn)":                          "Space expected",
		`(\Answered \Flagged \Draft \Deleted)`: `[\Answered \Flagged \Draft \Deleted]`,
	} {
		r, _ := reading(in+"\r\n", DefaultLimits())
		got := fmt.Sprint(r.Flags())
		if !r.Ok() {
			got = r.Err().Error()
		}
		if got != want {
			t.Errorf("%.40s: %s, want %s", in, got, want)
		}
	}
}

func TestTag(t *testing.T) {
	for in, ok := range map[string]bool{
		"a001": true, "]": true, "+": false, "a+": false, "*": false, "{": false, "": false,
		strings.Repeat("t", 126): true, strings.Repeat("t", 127): false, "a.b-c": true, "\"a\"": false, "\x80": false,
	} {
		r, _ := reading(in+" NOOP\r\n", DefaultLimits())
		got := r.Tag()
		r.SP()
		if r.Ok() != ok || ok && got != in {
			t.Errorf("%q: %q, %v", in, got, r.Err())
		}
	}
}

func TestStream(t *testing.T) {
	body := strings.Repeat("From: x\r\n", 20000)
	in := fmt.Sprintf("{%d}\r\n%s)\r\nrest\r\n", len(body), body)
	var conts int
	r := NewReader(strings.NewReader(in), DefaultLimits(), func() error { conts++; return nil })
	r.Start()
	l := r.Stream(1 << 20)
	if l == nil || l.Size() != int64(len(body)) || conts != 0 {
		t.Fatal(l, r.Err(), conts)
	}
	got, err := io.ReadAll(l)
	if conts != 1 || err != nil || string(got) != body {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	r.Byte(')')
	r.End()
	r.Start()
	if a := r.Atom(); a != "rest" {
		t.Error(a, r.Err())
	}
}

// A message over the limit is drained, never executed
// (the defect that Apple Mail showed with 234 MB).
func TestStreamOverLimit(t *testing.T) {
	for in, want := range map[string]string{
		"{9+}\r\nA NOOP\r\nx\r\nnext\r\n": "TOOBIG",
		"{9}\r\nnext\r\n":                 "TOOBIG",
	} {
		r, conts := reading(in, DefaultLimits())
		l := r.Stream(8)
		var e *SyntaxError
		if l != nil || !errors.As(r.Err(), &e) || e.Code != imap.ResponseCode(want) || !e.No || *conts != 0 {
			t.Fatal(l, r.Err(), *conts)
		}
		if err := r.Recover(); err != nil {
			t.Fatal(err)
		}
		r.Start()
		if a := r.Atom(); a != "next" {
			t.Errorf("%q: %q %v", in, a, r.Err())
		}
	}
}

func TestStreamCutShort(t *testing.T) {
	r, _ := reading("{10}\r\nabc", DefaultLimits())
	_, err := io.ReadAll(r.Stream(100))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestStreamLeftUnread(t *testing.T) {
	r, _ := reading("{6+}\r\na LIST)\r\nnext\r\n", DefaultLimits())
	l := r.Stream(100)
	_, _ = io.ReadFull(l, make([]byte, 2))
	r.Fail("no room")
	if err := r.Recover(); err != nil {
		t.Fatal(err)
	}
	r.Start()
	if a := r.Atom(); a != "next" {
		t.Error(a, r.Err())
	}
}

func TestPreloadAndRelease(t *testing.T) {
	for _, n := range []int{1, bufSize - 1, bufSize, 3 * bufSize} {
		pre := strings.Repeat("x", n-1) + " "
		r := NewReader(strings.NewReader("tail\r\n"), Limits{Line: 1 << 20}, nil)
		r.Preload([]byte(pre))
		r.Start()
		if n > 1 {
			r.Atom()
		}
		r.SP()
		if a := r.Atom(); a != "tail" || r.Release() {
			t.Errorf("%d: %q, %v", n, a, r.Err())
		}
		r.End()
		if !r.Release() || r.buf != nil {
			t.Errorf("%d: the buffer is kept", n)
		}
	}
}

// The end of a line that is exactly as long as allowed belongs to it: Recover
// must not skip the next one.
func TestLineAtTheLimit(t *testing.T) {
	r, _ := reading("12345678\nnext\n", Limits{Line: 8})
	if got := string(r.Line()); got != "12345678" || !r.Ok() {
		t.Error(got, r.Err())
	}
	r, _ = reading("123456789\nnext\n", Limits{Line: 8, Drain: 1})
	if r.Line(); r.Ok() || r.Recover() != nil {
		t.Error(r.Err())
	}
	r.Start()
	if got := r.Atom(); got != "next" {
		t.Error(got, r.Err())
	}
}

func TestLine(t *testing.T) {
	r, _ := reading("DoNe\r\nab\rc\n\r\n", DefaultLimits())
	for _, want := range []string{"DoNe", "ab\rc", ""} {
		if got := string(r.Line()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if r.Line() != nil || !errors.Is(r.Err(), io.ErrUnexpectedEOF) && !errors.Is(r.Err(), io.EOF) {
		t.Error(r.Err())
	}
}

// A synchronising literal that is refused unread was never sent.
func TestStreamRefusedUnread(t *testing.T) {
	r, conts := reading("{6}\r\nnext\r\n", DefaultLimits())
	l := r.Stream(100)
	if ok, err := l.Drain(); ok || err != nil || *conts != 0 {
		t.Fatal(ok, err, *conts)
	}
	r.Start()
	if a := r.Atom(); a != "next" {
		t.Error(a, r.Err())
	}
}
