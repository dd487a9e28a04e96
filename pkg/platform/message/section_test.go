package message

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"

	"pgregory.net/rapid"
)

var bare = regexp.MustCompile("\r?\n")

// toCRLF is the plain definition of what the readers must do.
func toCRLF(s string) string { return bare.ReplaceAllString(s, "\r\n") }

func genText(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "\n", "\r\n", "\r", "some text", strings.Repeat("x", 20_000)}), 0, 40).Draw(t, "text"), "")
}

func TestCRLFReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genText(t)
		want := toCRLF(s)
		off := rapid.Int64Range(0, int64(len(want))+3).Draw(t, "off")
		size := rapid.SampledFrom([]int{1, 2, 3, 7, 100, 70_000}).Draw(t, "read size")
		r := NewCRLFReader(strings.NewReader(s), 0, int64(len(s)))
		n, err := r.Discard(off)
		if err != nil || n != min(off, int64(len(want))) {
			t.Fatalf("discarded %d of %d: %v", n, off, err)
		}
		got, err := io.ReadAll(struct{ io.Reader }{&chunked{r, size}})
		if err != nil || string(got) != want[n:] {
			t.Fatalf("from %d in %d bytes: %v, %d bytes, want %d", off, size, err, len(got), len(want)-int(n))
		}
		_, vsize, _, _ := Count(strings.NewReader(s))
		if vsize != int64(len(want)) {
			t.Fatalf("counted %d, are %d", vsize, len(want))
		}
	})
}

// A body in memory is the same as one read from its file, whole and in part.
func TestBodyInMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genText(t)
		mem := inMemory(s)
		want := toCRLF(s)
		off := rapid.Int64Range(0, int64(len(want))+3).Draw(t, "off")
		b := WholeBody(mem, int64(len(s)), int64(len(want)))
		if err := b.Partial(off, int64(len(want))); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(struct{ io.Reader }{&chunked{b, rapid.SampledFrom([]int{1, 3, 100, 70_000}).Draw(t, "read size")}})
		if rest := want[min(off, int64(len(want))):]; err != nil || string(got) != rest {
			t.Fatalf("from %d: %v, %q, want %q", off, err, got, rest)
		}
	})
}

// A body that is shorter than the index has it is no whole one.
func TestBodyInMemoryTooShort(t *testing.T) {
	for _, vsize := range []int64{5, 6, 7} {
		b := WholeBody(inMemory("ab\n"), 3, vsize)
		if _, err := io.ReadAll(b); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of 4: %v", vsize, err)
		}
	}
}

func inMemory(s string) *Memory {
	m := &Memory{}
	m.Set([]byte(s))
	return m
}

type chunked struct {
	r    io.Reader
	size int
}

func (c *chunked) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.size)]) }

func TestLFWriter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genText(t)
		var out bytes.Buffer
		w := NewLFWriter(&out)
		size := rapid.SampledFrom([]int{1, 2, 5, 50_000}).Draw(t, "write size")
		for rest := s; rest != ""; {
			n, err := w.Write([]byte(rest[:min(size, len(rest))]))
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(s, "\r\n", "\n")
		if out.String() != want {
			t.Fatalf("got %d bytes, want %d", out.Len(), len(want))
		}
		if w.Size() != int64(len(want)) || w.VSize() != int64(len(toCRLF(want))) {
			t.Fatalf("sizes %d %d, are %d %d", w.Size(), w.VSize(), len(want), len(toCRLF(want)))
		}
	})
}

func TestCRLFReaderShortFile(t *testing.T) {
	_, err := io.ReadAll(NewCRLFReader(strings.NewReader("abc"), 0, 10))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("a file that shrank: %v", err)
	}
}

const sections = "Subject: top\nTo: a@b\nContent-Type: multipart/mixed; boundary=a\n\npre\n" +
	"--a\nContent-Type: text/html\n\n<one>\nline\n" +
	"--a\nContent-Type: message/rfc822\nX: mime\n\nSubject: inner\nFrom: f@f\n\ninner\n" +
	"--a\nContent-Type: message/rfc822\n\nSubject: deep\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nd1\n--b\nX: d2\n\nd2\n--b--\n" +
	"--a--\n"

func TestOpenSection(t *testing.T) {
	root := parse(t, sections)
	for _, c := range []struct {
		name string
		s    Section
		want string // with \n for CRLF; "-" means no such section
	}{
		{"1", Section{Path: []int{1}}, "<one>\nline"},
		{"1.MIME", Section{Path: []int{1}, Kind: SectionMIME}, "Content-Type: text/html\n\n"},
		{"1.HEADER of a part that is no message", Section{Path: []int{1}, Kind: SectionHeader}, "-"},
		{"1.1", Section{Path: []int{1, 1}}, "-"},
		{"2", Section{Path: []int{2}}, "Subject: inner\nFrom: f@f\n\ninner"},
		{"2.MIME", Section{Path: []int{2}, Kind: SectionMIME}, "Content-Type: message/rfc822\nX: mime\n\n"},
		{"2.HEADER", Section{Path: []int{2}, Kind: SectionHeader}, "Subject: inner\nFrom: f@f\n\n"},
		{"2.TEXT", Section{Path: []int{2}, Kind: SectionText}, "inner"},
		{"2.1", Section{Path: []int{2, 1}}, "inner"},
		{"2.2", Section{Path: []int{2, 2}}, "-"},
		{"3.2", Section{Path: []int{3, 2}}, "d2"},
		{"3.2.MIME", Section{Path: []int{3, 2}, Kind: SectionMIME}, "X: d2\n\n"},
		{"4", Section{Path: []int{4}}, "-"},
		{"0", Section{Path: []int{0}}, "-"},
		{"MIME", Section{Kind: SectionMIME}, "-"},
		{"HEADER", Section{Kind: SectionHeader}, sections[:strings.Index(sections, "pre")]},
		{"TEXT", Section{Kind: SectionText}, sections[strings.Index(sections, "pre"):]},
		{"", Section{}, sections},
		{"HEADER.FIELDS", Section{Kind: SectionHeaderFields, Fields: []string{"SUBJECT", "x"}}, "Subject: top\n\n"},
		{"HEADER.FIELDS.NOT", Section{Kind: SectionHeaderFieldsNot, Fields: []string{"Subject", "Content-Type"}}, "To: a@b\n\n"},
		{"2.HEADER.FIELDS", Section{Path: []int{2}, Kind: SectionHeaderFields, Fields: []string{"From"}}, "From: f@f\n\n"},
		{"HEADER.FIELDS of none", Section{Kind: SectionHeaderFields, Fields: []string{"No"}}, "\n"},
	} {
		b, err := OpenSection(strings.NewReader(sections), root, c.s, DefaultLimits())
		m, merr := OpenSection(inMemory(sections), root, c.s, DefaultLimits())
		if (err == nil) != (merr == nil) {
			t.Errorf("%s: %v, in memory %v", c.name, err, merr)
			continue
		}
		if c.want == "-" {
			if !fail.Is(err, fail.NotFound) {
				t.Errorf("%s: %v, want not found", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		size := b.Size()
		got, err := io.ReadAll(b)
		if err != nil || string(got) != toCRLF(c.want) || size != int64(len(got)) {
			t.Errorf("%s: %v, size %d, got %q", c.name, err, size, got)
		}
		if again, err := io.ReadAll(m); err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s in memory: %v, %q", c.name, err, again)
		}
	}
}

// A message that is no multipart has its body as part 1 (RFC 3501 6.4.5).
func TestSectionOfSimpleMessage(t *testing.T) {
	const msg = "Subject: x\n\nbody\n"
	root := parse(t, msg)
	for _, s := range []Section{{Path: []int{1}}, {Kind: SectionText}} {
		b, err := OpenSection(strings.NewReader(msg), root, s, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(b); string(got) != "body\r\n" {
			t.Errorf("%v: %q", s, got)
		}
	}
	if _, err := OpenSection(strings.NewReader(msg), root, Section{Path: []int{1, 1}}, DefaultLimits()); err == nil {
		t.Error("there is no part 1.1")
	}
}

func TestPartial(t *testing.T) {
	const msg = "ab\ncd\nef"
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, 100, "ab\r\ncd\r\nef"}, {3, 2, "\nc"}, {2, 1, "\r"}, {4, 2, "cd"}, {9, 5, "f"}, {10, 5, ""}, {99, 1, ""}, {0, 0, ""}} {
		b := WholeBody(strings.NewReader(msg), 8, 10)
		if err := b.Partial(c.off, c.n); err != nil {
			t.Fatal(err)
		}
		size := b.Size()
		got, err := io.ReadAll(b)
		if err != nil || string(got) != c.want || size != int64(len(c.want)) {
			t.Errorf("<%d.%d>: %v, %q of size %d", c.off, c.n, err, got, size)
		}
	}
}

func TestBinary(t *testing.T) {
	text := "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\nYQpiAA==\n" +
		"--b\nContent-Transfer-Encoding: quoted-printable\n\na=3Db\nlong=\n line\n" +
		"--b\n\nplain\ntext\n--b\nContent-Transfer-Encoding: x-uue\n\nx\n--b--\n"
	root, err := ParseStructure(strings.NewReader(text), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		part   int
		off, n int64
		want   string
		kind   fail.Kind
	}{
		{part: 1, want: "a\nb\x00"},
		{part: 1, off: 1, n: 2, want: "\nb"},
		{part: 1, off: 9, n: 2, want: ""},
		{part: 2, want: "a=b\r\nlong line"},
		{part: 3, want: "plain\r\ntext"},
		{part: 3, off: 4, n: 4, want: "n\r\nt"},
		{part: 4, kind: fail.Permanent},
		{part: 5, kind: fail.Invalid},
	} {
		b, err := OpenBinary(strings.NewReader(text), root, []int{c.part})
		if err != nil {
			if fail.KindOf(err) != c.kind {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if c.n > 0 {
			if err := b.Partial(c.off, c.n); err != nil {
				t.Fatal(err)
			}
		}
		size := b.Size()
		got, err := io.ReadAll(b)
		if err != nil || string(got) != c.want || size != int64(len(got)) || c.kind != 0 {
			t.Errorf("%+v: %q of %d %v", c, got, size, err)
		}
	}
}

// Large reads convert in place. Texts of short lines need more room than there
// is at first.
func TestCRLFReaderInPlace(t *testing.T) {
	for name, s := range map[string]string{
		"empty lines": strings.Repeat("\n", 9000), "short": strings.Repeat("ab\n", 5000), "CRLF": strings.Repeat("x\r\n", 4000),
		"mixed": strings.Repeat("\r\r\n\n\rx\n\r\n", 900), "one line": strings.Repeat("y", 7000), "usual": strings.Repeat(strings.Repeat("z", 71)+"\n", 300),
		"CR at the end": strings.Repeat("q", 959) + "\r\nz\r",
	} {
		for _, size := range []int{directSize - 1, directSize, directSize + 1, 4096, 40_000} {
			r := NewCRLFReader(strings.NewReader(s), 0, int64(len(s)))
			var got []byte
			buf := make([]byte, size)
			for {
				n, err := r.Read(buf)
				got = append(got, buf[:n]...)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if string(got) != toCRLF(s) {
				t.Errorf("%s, reads of %d: %d bytes, want %d", name, size, len(got), len(toCRLF(s)))
			}
		}
	}
}
