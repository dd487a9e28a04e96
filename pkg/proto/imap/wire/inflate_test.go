package wire

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// inflate takes in through an Inflater in pieces of size.
func inflate(f *Inflater, in []byte, size int) ([]byte, error) {
	src := bytes.NewReader(in)
	read := func(b []byte) (int, error) { return src.Read(b[:min(size, len(b))]) }
	var out []byte
	buf := make([]byte, 300)
	for {
		n, err := f.Read(buf)
		out = append(out, buf[:n]...)
		if n == 0 && err == nil {
			err = f.Fill(read)
		}
		if err != nil {
			return out, err
		}
	}
}

// mixed is text, noise and runs: all kinds of blocks.
func mixed(n int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		switch rnd.IntN(3) {
		case 0:
			b.WriteString(strings.Repeat("* 12 FETCH (FLAGS (\\Seen) UID 77)\r\n", rnd.IntN(20)))
		case 1:
			for range rnd.IntN(2000) {
				b.WriteByte(byte(rnd.Uint32()))
			}
		case 2:
			b.WriteString(strings.Repeat(string(rune('a'+rnd.IntN(26))), rnd.IntN(700)))
		}
	}
	return b.Bytes()[:n]
}

func TestInflate(t *testing.T) {
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, flate.BestCompression} {
		for _, n := range []int{0, 1, 100, 40_000, 100_000} {
			text := mixed(n)
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			for rest := text; len(rest) > 0; {
				m := min(len(rest), 30_000)
				_, _ = w.Write(rest[:m])
				_ = w.Flush()
				rest = rest[m:]
			}
			_ = w.Close()
			for _, size := range []int{3, bufSize} {
				if size == 3 && n > 40_000 {
					continue
				}
				out, err := inflate(new(Buffers).Inflater(1<<20), b.Bytes(), size)
				if !errors.Is(err, io.EOF) || !bytes.Equal(out, text) {
					t.Fatalf("level %d, %d bytes in pieces of %d: %d bytes, %v", level, n, size, len(out), err)
				}
			}
		}
	}
}

// bitWriter writes blocks with the fixed codes, in pieces that no library
// makes.
type bitWriter struct {
	out []byte
	n   int
}

func (w *bitWriter) bits(v uint, n int) {
	for ; n > 0; n-- {
		if w.n%8 == 0 {
			w.out = append(w.out, 0)
		}
		w.out[w.n/8] |= byte(v&1) << (w.n % 8)
		v >>= 1
		w.n++
	}
}

func (w *bitWriter) code(v uint, n int) {
	for ; n > 0; n-- {
		w.bits(v>>(n-1), 1)
	}
}

// block is an open block of literals; partial is what zlib's Z_PARTIAL_FLUSH
// puts behind it: an empty block, and no byte boundary.
func (w *bitWriter) block(text string) {
	w.bits(0b010, 3)
	for _, c := range []byte(text) {
		w.code(0x30+uint(c), 8)
	}
	w.code(0, 7)
}

func (w *bitWriter) partial() { w.block("") }

// mutt flushes with Z_PARTIAL_FLUSH: a command must come out although the
// input stops inside a byte, of which the next one begins in the rest.
func TestInflatePartialFlush(t *testing.T) {
	w := new(bitWriter)
	f := new(Buffers).Inflater(0)
	fed := 0
	for _, line := range []string{"a1 NOOP\r\n", "a2 SELECT INBOX\r\n", "a3 UID FETCH 1:* FLAGS\r\n", "a4 LOGOUT\r\n"} {
		w.block(line)
		w.partial()
		whole := w.n / 8
		f.Feed(w.out[fed:whole])
		fed = whole
		buf := make([]byte, 100)
		n, err := f.Read(buf)
		if string(buf[:n]) != line || err != nil {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		if f.Ready() {
			t.Error("more is waiting")
		}
	}
}

func TestInflateReady(t *testing.T) {
	w := new(bitWriter)
	w.block("ab")
	f := new(Buffers).Inflater(0)
	if f.Ready() {
		t.Error("ready before there was anything")
	}
	f.Feed(w.out)
	for _, want := range []string{"a", "b", ""} {
		if ready := f.Ready(); ready != (want != "") {
			t.Errorf("ready is %v before %q", ready, want)
		}
		var one [1]byte
		if n, err := f.Read(one[:]); string(one[:n]) != want || err != nil {
			t.Errorf("%q, %v; want %q", one[:n], err, want)
		}
	}
	if f.codes != nil || f.raw != nil {
		t.Error("it holds memory while it waits")
	}
}

func TestInflateRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"the kind of block that does not exist": "\x07",
		"a stored length that is not confirmed": "\x00\x01\x00\x00\x00",
		"a distance before the beginning":       "\x02\x01",
		"too many literal codes":                "\xf4\xff\xff",
		"no input but text":                     "a1 NOOP\r\na2 NOOP\r\n",
	} {
		if out, err := inflate(new(Buffers).Inflater(1<<20), []byte(in), 10); !errors.Is(err, ErrCompressed) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	if _, err := inflate(new(Buffers).Inflater(0), []byte("\x00\x05\x00"), 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the end inside a block: %v", err)
	}
}

func TestInflateBomb(t *testing.T) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(make([]byte, 4<<20))
	_ = w.Flush()
	f := new(Buffers).Inflater(1 << 20)
	out, err := inflate(f, b.Bytes(), bufSize)
	if !errors.Is(err, ErrExpands) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	if most := int(f.in)*maxRatio + 1<<20 + 300; len(out) > most {
		t.Errorf("%d bytes came out of %d", len(out), f.in)
	}
	if out, err = inflate(new(Buffers).Inflater(4<<20), b.Bytes(), bufSize); len(out) != 4<<20 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// The window is as large as the output so far, up to what the format needs.
func TestInflateWindow(t *testing.T) {
	for _, n := range []int{10, 600, 5000, 200_000} {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestSpeed)
		_, _ = w.Write(mixed(n))
		_ = w.Flush()
		f := new(Buffers).Inflater(0)
		if out, err := inflate(f, b.Bytes(), bufSize); !errors.Is(err, io.EOF) || len(out) != n {
			t.Fatal(len(out), err)
		}
		if most := min(max(firstWindow, 2*n), maxWindow); len(f.win) > most {
			t.Errorf("%d bytes of window after %d of output", len(f.win), n)
		}
	}
}

func TestDeflate(t *testing.T) {
	var b bytes.Buffer
	d := new(Buffers).Deflater(&b)
	var all []byte
	for _, n := range []int{1, 0, 50, 70_000, 16 << 10} {
		text := mixed(n)
		all = append(all, text...)
		if m, err := d.Write(text); m != n || err != nil {
			t.Fatal(m, err)
		}
		// Whatever was written can be read now.
		out, err := io.ReadAll(flate.NewReader(bytes.NewReader(b.Bytes())))
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(out, all) {
			t.Fatalf("%d of %d bytes, %v", len(out), len(all), err)
		}
	}
}

// However a stream ends, and in whatever pieces it comes, Leave tells whether it
// has, and what is behind it.
func TestLeave(t *testing.T) {
	const text, behind = "u UNAUTHENTICATE\r\n", "\x03\x00b LOGIN\r\n"
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = io.WriteString(w, text)
	_ = w.Flush()
	flushed := bytes.Clone(b.Bytes())
	_ = w.Close()
	closed := b.Bytes()
	for split := 1; split < len(closed); split++ {
		f := new(Buffers).Inflater(0)
		out := make([]byte, 100)
		f.Feed(closed[:split])
		n, err := f.Read(out)
		if err != nil {
			t.Fatal(err)
		}
		rest, more, err := f.Leave()
		// At the end of the flush nothing tells that there will be more.
		if err != nil || len(rest) > 0 || more == (split == len(flushed)) {
			t.Errorf("after %d of %d bytes: %q, more %v, %v", split, len(closed), rest, more, err)
		}
		f.Feed(append(bytes.Clone(closed[split:]), behind...))
		m, _ := f.Read(out[n:])
		if n+m != len(text) {
			t.Fatalf("%q", out[:n+m])
		}
		if rest, more, err = f.Leave(); string(rest) != behind || more || err != nil {
			t.Errorf("in two pieces, %d bytes first: %q, more %v, %v", split, rest, more, err)
		}
	}
	f := new(Buffers).Inflater(0)
	f.Feed(flushed)
	if _, _, err := f.Leave(); !errors.Is(err, ErrCompressed) {
		t.Errorf("what was compressed was not read: %v", err)
	}
}

// FuzzInflate takes anything through ours and the library's.
func FuzzInflate(f *testing.F) {
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level += 2 {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, level)
		_, _ = w.Write(mixed(3000))
		_ = w.Flush()
		_, _ = w.Write([]byte("a1 NOOP\r\n"))
		_ = w.Close()
		f.Add(b.Bytes(), uint8(level+3))
	}
	f.Add([]byte("\x04\x00\xfe\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		const most = 1 << 20
		theirs, terr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(in)), most))
		ours, err := inflate(new(Buffers).Inflater(most), in, int(size)+1)
		if len(theirs) == most || len(ours) > most {
			return
		}
		if terr == nil && (!errors.Is(err, io.EOF) || !bytes.Equal(ours, theirs)) {
			t.Fatalf("%d bytes, %v; the library has %d", len(ours), err, len(theirs))
		}
		if errors.Is(err, io.EOF) && terr != nil && !errors.Is(terr, io.ErrUnexpectedEOF) {
			t.Fatalf("accepted with %d bytes; the library: %v", len(ours), terr)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	var in bytes.Buffer
	text := mixed(1 << 20)
	w, _ := flate.NewWriter(&in, flate.DefaultCompression)
	_, _ = w.Write(text)
	_ = w.Close()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = inflate(new(Buffers).Inflater(1<<20), in.Bytes(), bufSize)
	}
}

func BenchmarkDeflate(b *testing.B) {
	text := bytes.Repeat([]byte("* 12 FETCH (FLAGS (\\Seen) UID 77 RFC822.SIZE 12345)\r\n"), 400)[:outSize]
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	d := new(Buffers).Deflater(io.Discard)
	for b.Loop() {
		_, _ = d.Write(text)
	}
}
