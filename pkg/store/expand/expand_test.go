package expand

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// memory is an open file.
type memory struct {
	*bytes.Reader
	closed int
}

func (m *memory) Close() error { m.closed++; return nil }

func file(data []byte) *memory { return &memory{Reader: bytes.NewReader(data)} }

// spools makes files in memory and counts them.
type spools struct {
	fs   *disk.Forgetful
	made int
	err  error
}

func (s *spools) open() (disk.File, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.made++
	if s.fs == nil {
		s.fs = disk.NewForgetful()
	}
	return s.fs.OpenFile("/spool", os.O_RDWR|os.O_CREATE, 0o600)
}

func compressed(t testing.TB, kind string, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch kind {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out)
	case "lz4 frame":
		w = lz4.NewWriter(&out)
	case "lz4 of Dovecot":
		return framed(t, text, 64<<10)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func framed(t testing.TB, text []byte, chunk int) []byte {
	out := binary.BigEndian.AppendUint32([]byte(dovecotLZ4), uint32(chunk))
	for len(text) > 0 {
		n := min(chunk, len(text))
		block := make([]byte, lz4.CompressBlockBound(n))
		m, err := lz4.CompressBlock(text[:n], block, nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(m)), block[:m]...)
		text = text[n:]
	}
	return out
}

// bzip2 of "Subject: x\n\nbody of a message\n"; nothing in Go writes it.
const bzipped = "425a6839314159265359353b937d0000045b8000104000001008003f928e602000314c9899064614d03080f281e90a545d81ab9f035d7a112180b1f8bb9229c28481a9dc9be8"

var letter = []byte("Subject: x\n\n" + strings.Repeat("A line of an ordinary message, with some words in it.\n", 40))

func TestKinds(t *testing.T) {
	large := bytes.Repeat(letter, 200) // above what is held in memory
	for _, kind := range []string{"gzip", "zstd", "lz4 frame", "lz4 of Dovecot"} {
		for _, text := range [][]byte{letter, large, large[:inMemory], large[:inMemory+1], {}} {
			if kind == "lz4 of Dovecot" && len(text) == 0 {
				continue
			}
			var s spools
			f := file(compressed(t, kind, text))
			e, err := Open(f, Options{Spool: s.open})
			if err != nil {
				t.Errorf("%s of %d bytes: %v", kind, len(text), err)
				continue
			}
			got, err := io.ReadAll(io.NewSectionReader(e, 0, e.Size()))
			if err != nil || !bytes.Equal(got, text) || e.Size() != int64(len(text)) {
				t.Errorf("%s of %d bytes: %d bytes, %v", kind, len(text), len(got), err)
			}
			if want := len(text) > inMemory; want != (s.made == 1) {
				t.Errorf("%s of %d bytes: %d files were made", kind, len(text), s.made)
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			for range 100 {
				off, p := rnd.Int64N(int64(len(text))+10), make([]byte, rnd.IntN(3000))
				n, err := e.ReadAt(p, off)
				want := min(len(p), max(0, len(text)-int(off)))
				if n != want || n < len(p) != errors.Is(err, io.EOF) || n > 0 && !bytes.Equal(p[:n], text[off:int(off)+n]) {
					t.Fatalf("%s of %d bytes: %d bytes at %d: %d %v", kind, len(text), len(p), off, n, err)
				}
			}
			if err := e.Close(); err != nil || f.closed != 1 {
				t.Errorf("closed %d times, %v", f.closed, err)
			}
		}
	}
}

func TestBzip2(t *testing.T) {
	data, err := hex.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(file(data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(e, 0, e.Size()))
	if err != nil || string(got) != "Subject: x\n\nbody of a message\n" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := Open(file(data[:40]), Options{}); !fail.Is(err, fail.Corrupt) {
		t.Errorf("cut: %v", err)
	}
}

// Messages are passed through as they are.
func TestPlain(t *testing.T) {
	for _, text := range []string{"", "S", "Subject: x\n\nbody\n", "BZh9 is how this begins: a message\n", "\x1f\x8b", "\x04\x22\x4d"} {
		f := file([]byte(text))
		e, err := Open(f, Options{})
		if err != nil || e != File(f) || f.closed != 0 {
			t.Errorf("%q: %v %v", text, e, err)
		}
	}
}

func TestDamage(t *testing.T) {
	whole := func(kind string) []byte { return compressed(t, kind, bytes.Repeat(letter, 50)) }
	cut := func(b []byte) []byte { return b[:len(b)*2/3] }
	flip := func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b }
	bomb := compressed(t, "gzip", make([]byte, 8<<20))
	for name, c := range map[string]struct {
		data []byte
		o    Options
	}{
		"gzip cut":                {cut(whole("gzip")), Options{}},
		"gzip damaged":            {flip(whole("gzip")), Options{}},
		"zstd cut":                {cut(whole("zstd")), Options{}},
		"zstd damaged":            {flip(whole("zstd")), Options{}},
		"lz4 cut":                 {cut(whole("lz4 frame")), Options{}},
		"lz4 of Dovecot cut":      {cut(whole("lz4 of Dovecot")), Options{}},
		"lz4 of Dovecot, no head": {[]byte(dovecotLZ4 + "\x00\x01"), Options{}},
		"lz4 of Dovecot, chunks":  {[]byte(dovecotLZ4 + "\x7f\x00\x00\x00"), Options{}},
		"lz4 of Dovecot, length":  {[]byte(dovecotLZ4 + "\x00\x01\x00\x00\xff\xff\xff\xff"), Options{}},
		"lz4 of Dovecot, nothing": {[]byte(dovecotLZ4 + "\x00\x01\x00\x00\x00\x00\x00\x00"), Options{}},
		"too large":               {bomb, Options{MaxSize: 4 << 20}},
		"too much for its size":   {bomb, Options{MaxRatio: 200}},
	} {
		var s spools
		c.o.Spool = s.open
		f := file(c.data)
		if _, err := Open(f, c.o); !fail.Is(err, fail.Corrupt) || f.closed != 1 {
			t.Errorf("%s: %v, closed %d times", name, err, f.closed)
		}
	}
}

// A full disk is none of the message's faults.
func TestNoSpool(t *testing.T) {
	s := spools{err: fail.New(fail.Full, "no space")}
	_, err := Open(file(compressed(t, "zstd", bytes.Repeat(letter, 200))), Options{Spool: s.open})
	if !fail.Is(err, fail.Full) {
		t.Errorf("%v, want full", err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, kind := range []string{"gzip", "zstd", "lz4 frame", "lz4 of Dovecot"} {
		f.Add(compressed(f, kind, letter))
	}
	bz, _ := hex.DecodeString(bzipped)
	f.Add(bz)
	f.Add(letter)
	f.Fuzz(func(t *testing.T, data []byte) {
		var s spools
		const limit = 4 << 20
		e, err := Open(file(data), Options{MaxSize: limit, Spool: s.open})
		if err != nil {
			if !fail.Is(err, fail.Corrupt) {
				t.Fatalf("%v, want corrupt", err)
			}
			return
		}
		got, err := io.ReadAll(io.NewSectionReader(e, 0, e.Size()))
		if err != nil || int64(len(got)) != e.Size() || e.Size() > max(limit, int64(len(data))) {
			t.Fatalf("%d bytes of %d: %v", len(got), e.Size(), err)
		}
	})
}

// Size is what Open gives, without a spool; the file stays open.
func TestSize(t *testing.T) {
	large := bytes.Repeat(letter, 200)
	for _, kind := range []string{"gzip", "zstd", "lz4 frame", "lz4 of Dovecot"} {
		for _, text := range [][]byte{letter, large} {
			f := file(compressed(t, kind, text))
			if n, err := Size(f, Options{}); err != nil || n != int64(len(text)) || f.closed != 0 {
				t.Errorf("%s: %d, %v, closed %v; want %d", kind, n, err, f.closed, len(text))
			}
		}
	}
	if n, err := Size(file(letter), Options{}); err != nil || n != int64(len(letter)) {
		t.Errorf("plain: %d, %v", n, err)
	}
	if _, err := Size(file(compressed(t, "gzip", large)), Options{MaxSize: 1000}); !fail.Is(err, fail.Corrupt) {
		t.Errorf("too large: %v", err)
	}
}
