package dovecotauth

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestEscapes(t *testing.T) {
	for _, tc := range []struct{ plain, wire string }{
		{"", ""},
		{"alice", "alice"},
		{"a\tb", "a\x01tb"},
		{"a\nb\rc", "a\x01nb\x01rc"},
		{"a\x00b", "a\x010b"},
		{"a\x01b", "a\x011b"},
		{"ünï", "ünï"},
	} {
		if got := string(AppendEscaped(nil, tc.plain)); got != tc.wire {
			t.Errorf("escape %q: %q", tc.plain, got)
		}
		if got := Unescape(tc.wire); got != tc.plain {
			t.Errorf("unescape %q: %q", tc.wire, got)
		}
	}
	// What nobody should write: another letter stands for itself, a lonely
	// escape for nothing.
	if got := Unescape("a\x01xb\x01"); got != "axb" {
		t.Errorf("odd escapes: %q", got)
	}
}

func TestParse(t *testing.T) {
	l, err := Parse([]byte("OK\t1\tuser=a\x01tb\t\tnologin\tx=y=z"))
	if err != nil || l.Verb != "OK" || l.Param(0) != "1" || l.Param(9) != "" {
		t.Fatalf("%+v %v", l, err)
	}
	want := Fields{{Key: "user", Value: "a\tb"}, {Key: "nologin", Flag: true}, {Key: "x", Value: "y=z"}}
	if got := l.Fields(1); !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v", got)
	}
	for name, bad := range map[string]string{
		"NUL":        "AUTH\t1\x00",
		"too long":   strings.Repeat("x", MaxLine+1),
		"parameters": strings.Repeat("\t", MaxParams+1),
	} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReader(t *testing.T) {
	long := "X\t" + strings.Repeat("y", MaxLine-2)
	in := "A\t1\r\n\nB\n" + long + "\nC"
	for name, src := range map[string]io.Reader{
		"at once": strings.NewReader(in), "byte by byte": iotest.OneByteReader(strings.NewReader(in)),
	} {
		r := NewReader(src)
		for _, want := range []string{"A", "", "B", "X"} {
			if l, err := r.Next(); err != nil || l.Verb != want {
				t.Fatalf("%s: %+v %v, want %q", name, l, err, want)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%s: a cut line is no end: %v", name, err)
		}
	}
	if _, err := NewReader(strings.NewReader(long + "z\n")).Next(); !errors.Is(err, ErrLineTooLong) {
		t.Fatalf("line over the cap: %v", err)
	}
	if _, err := NewReader(strings.NewReader("")).Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("empty stream: %v", err)
	}
}

// An endless line must be given up after the cap, not collected.
func TestReaderBoundsMemory(t *testing.T) {
	var read int
	src := readerFunc(func(p []byte) (int, error) {
		read += len(p)
		for i := range p {
			p[i] = 'x'
		}
		return len(p), nil
	})
	if _, err := NewReader(src).Next(); !errors.Is(err, ErrLineTooLong) {
		t.Fatal(err)
	}
	if read > 2*MaxLine {
		t.Fatalf("%d bytes read for one line", read)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Whatever a program puts into a line comes out of it again.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		params := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("ab=\t\n\r\x00\x01é")), 0, 12, -1), 0, 8).Draw(t, "params")
		wire := AppendLine(nil, "VERB", params...)
		if bytes.Count(wire, []byte("\n")) != 1 || bytes.ContainsAny(wire, "\r\x00") {
			t.Fatalf("a value broke out of its line: %q", wire)
		}
		l, err := NewReader(bytes.NewReader(wire)).Next()
		if err != nil || len(l.Params) != len(params) {
			t.Fatalf("%q: %+v %v", wire, l, err)
		}
		for i := range params {
			if l.Params[i] != params[i] {
				t.Fatalf("parameter %d: %q became %q", i, params[i], l.Params[i])
			}
		}
	})
}

func TestMechanismLine(t *testing.T) {
	for _, wire := range []string{
		"MECH\tPLAIN\tplaintext\n",
		"MECH\tSCRAM-SHA-256\tmutual-auth\n",
		"MECH\tCRAM-MD5\tdictionary\tactive\n",
		"MECH\tAPOP\tprivate\tdictionary\tactive\n",
	} {
		l, err := Parse([]byte(strings.TrimSuffix(wire, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		m, ok := ParseMechanism(l)
		if !ok || string(m.AppendTo(nil)) != wire {
			t.Errorf("%q became %q (%v)", wire, m.AppendTo(nil), ok)
		}
	}
	for _, bad := range []string{"MECH", "MECH\t", "MECH\tplain", "MECH\tA B", "MECH\t" + strings.Repeat("A", 65)} {
		l, _ := Parse([]byte(bad))
		if _, ok := ParseMechanism(l); ok {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestParseID(t *testing.T) {
	for s, want := range map[string]uint32{"1": 1, "4294967295": 1<<32 - 1, "0": 0, "": 0, "-1": 0, "+1": 0, "4294967296": 0, "1x": 0} {
		if got, ok := ParseID(s); got != want || ok != (want != 0) {
			t.Errorf("%q: %d %v", s, got, ok)
		}
	}
}

// forward_fields and its kind carry fields within a field.
func TestPackedFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab\t\n\x00\x01é")), 0, 5, -1)
		var fs Fields
		for i := range rapid.IntRange(0, 5).Draw(t, "n") {
			f := Field{Key: "k" + text.Draw(t, "key"), Value: text.Draw(t, "value")}
			if i%2 == 1 {
				f = Field{Key: f.Key, Flag: true}
			}
			fs = append(fs, f)
		}
		if got := UnpackFields(PackFields(fs)); len(got)+len(fs) > 0 && !reflect.DeepEqual(got, fs) {
			t.Fatalf("%+v became %+v", fs, got)
		}
	})
	if got := UnpackFields(strings.Repeat("a\t", 3*MaxParams)); len(got) > MaxParams {
		t.Fatalf("%d fields", len(got))
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("VERSION\t1\t2\nAUTH\t1\tPLAIN\tservice=smtp\tresp=AGE=\n"))
	f.Add([]byte("OK\t1\tuser=a\x01tb\t\n\r\n\x01\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		for {
			l, err := r.Next()
			if err != nil {
				return
			}
			// A line that was read can be written and read again.
			again, err := Parse(bytes.TrimSuffix(AppendLine(nil, l.Verb, l.Params...), []byte("\n")))
			if strings.ContainsAny(l.Verb, "\r\x00") || err != nil {
				continue // grew over the cap by escaping
			}
			if !reflect.DeepEqual(again.Params, l.Params) && len(l.Params) > 0 {
				t.Fatalf("%q became %q", l.Params, again.Params)
			}
			_, _ = ParseMechanism(l)
			_ = l.Fields(0).Get("user")
		}
	})
}
