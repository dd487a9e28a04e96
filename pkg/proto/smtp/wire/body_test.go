package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// slowData is the meaning of DATA content, written for the eye: lines at LF,
// the end only at a dot between two CRLFs.
func slowData(in string) (content, rest string, bare, done bool) {
	prevCRLF := true
	for {
		i := strings.Index(in, "\n")
		if i < 0 {
			return content, in, bare, false
		}
		line := in[:i]
		in = in[i+1:]
		text, isCRLF := strings.CutSuffix(line, "\r")
		if !isCRLF {
			bare = true
		}
		switch {
		case text == "." && isCRLF && prevCRLF:
			return content, in, bare, true
		case text == ".": // touches a bare LF
		default:
			content += strings.ReplaceAll(strings.TrimPrefix(text, "."), "\r", " ") + "\r\n"
		}
		prevCRLF = isCRLF
	}
}

func readData(src io.Reader, size int) (content, rest string, bare bool, err error) {
	r := NewReader(src, NewBuffers(size))
	var d Data
	d.Reset(r)
	var b strings.Builder
	for {
		run, err := d.Next()
		b.Write(run)
		if err != nil {
			left, _ := io.ReadAll(io.MultiReader(bytes.NewReader(r.Peek()), src))
			if err == io.EOF {
				return b.String(), string(left), d.Bare(), nil
			}
			return b.String(), string(left), d.Bare(), err
		}
	}
}

func TestData(t *testing.T) {
	for _, c := range []struct{ name, in, content, rest string }{
		{"empty", ".\r\nQUIT\r\n", "", "QUIT\r\n"},
		{"plain", "a\r\nb\r\n.\r\nQUIT\r\n", "a\r\nb\r\n", "QUIT\r\n"},
		{"stuffed", "..\r\n.a\r\n...\r\n.\r\n", ".\r\na\r\n..\r\n", ""},
		{"dot inside", "a.\r\n.\r\n", "a.\r\n", ""},
		{"LF.CRLF", "a\n.\r\nMAIL\r\n.\r\nx", "a\r\nMAIL\r\n", "x"},
		{"CRLF.LF", "a\r\n.\nMAIL\r\n.\r\nx", "a\r\nMAIL\r\n", "x"},
		{"LF.LF", "a\n.\nMAIL\r\n.\r\nx", "a\r\nMAIL\r\n", "x"},
		{"LF.CRLF.CRLF", "a\n.\r\n.\r\nx", "a\r\n", "x"},
		{"CRLF.LF.CRLF", "a\r\n.\n.\r\n.\r\nx", "a\r\n", "x"},
		{"CRLF.CR", "a\r\n.\rMAIL\r\n.\r\nx", "a\r\n MAIL\r\n", "x"},
		{"CR.CR", "a\r.\rMAIL\r\n.\r\nx", "a . MAIL\r\n", "x"},
		{"CRLF.CRCRLF", "a\r\n.\r\r\nb\r\n.\r\nx", "a\r\n \r\nb\r\n", "x"},
		{"CRCRLF.CRLF", "a\r\r\n.\r\nx", "a \r\n", "x"},
		{"LF first", "\n.\r\n.\r\nx", "\r\n", "x"},
		{"dot LF first", ".\n.\r\n.\r\nx", "", "x"},
		{"bare LF lines", "a\nb\n.c\n\r\n.\r\n", "a\r\nb\r\nc\r\n\r\n", ""},
		{"NUL and 8-bit pass", "\x00\xff\r\n.\r\n", "\x00\xff\r\n", ""},
		{"stray CR behind lines", "a\r\nb\r\nc\rd\r\n.e\rf\r\ng\r\n.\r\nx", "a\r\nb\r\nc d\r\ne f\r\ng\r\n", "x"},
		{"CRCRLF behind lines", "a\r\nb\r\r\n.\r\nx", "a\r\nb \r\n", "x"},
		{"stuffed dot CR", "..\r\r\n.\r\n", ". \r\n", ""},
	} {
		content, rest, _, done := slowData(c.in)
		if content != c.content || rest != c.rest || !done {
			t.Fatalf("%s: the reference gives %q %q", c.name, content, rest)
		}
		for name, src := range map[string]io.Reader{
			"at once": strings.NewReader(c.in), "by octets": iotest.OneByteReader(strings.NewReader(c.in)),
			"by halves": iotest.HalfReader(strings.NewReader(c.in)),
		} {
			content, rest, _, err := readData(src, 16)
			if content != c.content || rest != c.rest || err != nil {
				t.Errorf("%s, %s: %q %q %v, want %q %q", c.name, name, content, rest, err, c.content, c.rest)
			}
		}
	}
}

func TestDataUnfinished(t *testing.T) {
	for _, in := range []string{"", "a", "a\r\n", "a\r\n.", "a\r\n.\r", "a\r\n.\n", "a\n.\r\n", "."} {
		if _, _, _, err := readData(strings.NewReader(in), 16); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestDataBare(t *testing.T) {
	for in, want := range map[string]bool{"a\r\n.\r\n": false, "a\n.\r\n.\r\n": true, "a\rb\r\n.\r\n": false, "a\r\n.\n.\r\n.\r\n": true} {
		if _, _, bare, err := readData(strings.NewReader(in), 16); bare != want || err != nil {
			t.Errorf("%q: %v %v", in, bare, err)
		}
	}
}

// io.Reader and Next agree, whatever the size of p.
func TestDataRead(t *testing.T) {
	in := "a\r\nbare\nc\rd\r\n" + strings.Repeat("0123456789\r\n", 10) + "..\r\n.\r\nrest"
	want, _, _, _ := slowData(in)
	for size := 1; size < 40; size++ {
		var d Data
		d.Reset(NewReader(iotest.HalfReader(strings.NewReader(in)), NewBuffers(32)))
		got, err := io.ReadAll(onlyReader{&d, size})
		if string(got) != want || err != nil {
			t.Fatalf("size %d: %q %v", size, got, err)
		}
	}
}

type onlyReader struct {
	r    io.Reader
	size int
}

func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p[:min(o.size, len(p))]) }

func FuzzData(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\n", "\n.\r\n.\n.\r\r\n.\r\n", "..\r\n.\rx\r\n.\r\n", "\r\r\n.\r\n"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, size uint8) {
		// A small alphabet finds the corners sooner.
		in := make([]byte, len(raw))
		for i, c := range raw {
			in[i] = "\r\n.ab"[int(c)%5]
		}
		content, rest, bare, done := slowData(string(in))
		src := io.Reader(bytes.NewReader(in))
		if size%2 == 0 {
			src = iotest.OneByteReader(src)
		}
		c, r, b, err := readData(src, 8+int(size)%64)
		if (err == nil) != done || done && (c != content || r != rest || b != bare) {
			t.Fatalf("%q:\n got %q rest %q bare %v %v\nwant %q rest %q bare %v %v", in, c, r, b, err, content, rest, bare, done)
		}
	})
}

// readChunks cuts in into chunks and reads them as one message.
func readChunks(in string, size int, cuts ...int) (string, bool, error) {
	r := NewReader(strings.NewReader(in), NewBuffers(size))
	var c Chunks
	c.Reset(r)
	var b strings.Builder
	at := 0
	for _, cut := range append(cuts, len(in)) {
		if cut < at || cut > len(in) {
			continue
		}
		c.Start(int64(cut - at))
		at = cut
		for {
			run, err := c.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return b.String(), c.Bare(), err
			}
			b.Write(run)
		}
	}
	b.Write(c.End())
	return b.String(), c.Bare(), nil
}

func slowBDAT(in string) (string, bool) {
	var out string
	bare := false
	for len(in) > 0 {
		line, rest, found := strings.Cut(in, "\n")
		in = rest
		text, isCRLF := strings.CutSuffix(line, "\r")
		bare = bare || found && !isCRLF
		out += strings.ReplaceAll(text, "\r", " ") + "\r\n"
	}
	return out, bare
}

func TestChunks(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"a\r\n.\r\nb\r\n", "a\r\n.\r\nb\r\n"},
		{"no end", "no end\r\n"},
		{"a\nb\rc\r\r\nd\r", "a\r\nb c \r\nd\r\n"},
		{"\r", "\r\n"},
		{"\n", "\r\n"},
		{"\r\n\r", "\r\n\r\n"},
	} {
		if ref, _ := slowBDAT(c.in); ref != c.want {
			t.Fatalf("%q: the reference gives %q", c.in, ref)
		}
		for i := 0; i <= len(c.in); i++ {
			for j := i; j <= len(c.in); j++ {
				if got, _, err := readChunks(c.in, 16, i, j); got != c.want || err != nil {
					t.Errorf("%q cut at %d, %d: %q %v", c.in, i, j, got, err)
				}
			}
		}
	}
}

func TestChunksSkip(t *testing.T) {
	r := NewReader(strings.NewReader("abcdefQUIT\r\n"), NewBuffers(16))
	var c Chunks
	c.Reset(r)
	c.Start(6)
	if err := c.Skip(); err != nil || c.Left() != 0 {
		t.Fatal(err, c.Left())
	}
	if line, err := r.ReadLine(10); string(line) != "QUIT" || err != nil {
		t.Fatalf("%q %v", line, err)
	}
	c.Start(1 << 40)
	if err := c.Skip(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte("a\r\nb\r"), 2, 3)
	f.Fuzz(func(t *testing.T, raw []byte, i, j int) {
		in := make([]byte, len(raw))
		for i, c := range raw {
			in[i] = "\r\n.ab"[int(c)%5]
		}
		want, bare := slowBDAT(string(in))
		got, b, err := readChunks(string(in), 8, i, j)
		if got != want || b != bare || err != nil {
			t.Fatalf("%q cut at %d, %d: %q %v %v, want %q %v", in, i, j, got, b, err, want, bare)
		}
	})
}

func dotted(content string, maxLine, step int) string {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	d := NewDotWriter(w, maxLine)
	for len(content) > 0 {
		n := min(step, len(content))
		fmt.Fprint(d, content[:n])
		content = content[n:]
	}
	d.Close()
	w.Flush()
	return out.String()
}

func TestDotWriter(t *testing.T) {
	for _, c := range []struct {
		name, in string
		max      int
		want     string
	}{
		{"empty", "", 0, ".\r\n"},
		{"plain", "a\r\nb\r\n", 0, "a\r\nb\r\n.\r\n"},
		{"no end", "a", 0, "a\r\n.\r\n"},
		{"dots", ".\r\n..\r\na.\r\n", 0, "..\r\n...\r\na.\r\n.\r\n"},
		{"LF", "a\n.\nb\n", 0, "a\r\n..\r\nb\r\n.\r\n"},
		{"stray CR", "a\rb\r\r\n\r.\r\n", 0, "a b \r\n .\r\n.\r\n"},
		{"CR at the end", "a\r", 0, "a\r\n.\r\n"},
		{"long", "0123456789\r\n", 4, "0123\r\n 456\r\n 789\r\n.\r\n"},
		{"exactly", "0123\r\n", 4, "0123\r\n.\r\n"},
		{"characters stay whole", "abü\r\n", 3, "ab\r\n ü\r\n.\r\n"},
		{"no character", "\x80\x80\x80\x80\x80\x80\x80\x80\x80", 4, "\x80\x80\x80\x80\r\n \x80\x80\x80\r\n \x80\x80\r\n.\r\n"},
		{"a dot after a break", "012.4\r\n", 3, "012\r\n .4\r\n.\r\n"},
	} {
		for step := 1; step <= len(c.in)+1; step++ {
			got := dotted(c.in, c.max, step)
			if c.max > 0 && step < len(c.in) {
				// Where characters are cut by writes, breaks may fall elsewhere.
				for _, l := range strings.Split(got, "\r\n") {
					if len(l) > c.max {
						t.Errorf("%s by %d: line %q", c.name, step, l)
					}
				}
				continue
			}
			if got != c.want {
				t.Errorf("%s by %d: %q, want %q", c.name, step, got, c.want)
			}
		}
	}
}

// What DotWriter writes, Data reads as the normalised content and no more.
func FuzzDotWriter(f *testing.F) {
	f.Add([]byte(".a\r\n.\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		in := make([]byte, len(raw))
		for i, c := range raw {
			in[i] = "\r\n.ab"[int(c)%5]
		}
		want, _ := slowBDAT(string(in))
		out := dotted(string(in), 0, 1+int(step))
		got, rest, bare, err := readData(strings.NewReader(out+"rest"), 16)
		if got != want || rest != "rest" || bare || err != nil {
			t.Fatalf("%q -> %q -> %q rest %q %v", in, out, got, rest, err)
		}
	})
}

func TestBodyAllocates(t *testing.T) {
	in := []byte(strings.Repeat("A line of an ordinary message, with some words in it.\r\n", 150) + ".\r\n")
	src := bytes.NewReader(in)
	r := NewReader(src, NewBuffers(4096))
	var d Data
	n := testing.AllocsPerRun(50, func() {
		src.Reset(in)
		d.Reset(r)
		for {
			if _, err := d.Next(); err != nil {
				return
			}
		}
	})
	if n > 0 {
		t.Errorf("%v allocations for a message", n)
	}
}

func BenchmarkData(b *testing.B) {
	in := []byte(strings.Repeat("A line of an ordinary message, with some words in it.\r\n", 150) + ".\r\n")
	src := bytes.NewReader(in)
	r := NewReader(src, NewBuffers(32<<10))
	var d Data
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(in)
		d.Reset(r)
		for {
			if _, err := d.Next(); err != nil {
				break
			}
		}
	}
}
