package expand

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxWindow is how far back a zstd stream may refer: its decoder holds so much
// in memory. 8 MiB is what RFC 8878 section 3.1.1.1.2 asks decoders to support.
const maxWindow = 8 << 20

// dovecotLZ4 begins Dovecot's own framing of LZ4 blocks.
const dovecotLZ4 = "Dovecot-LZ4\x0d\x2a\x9b\xc5"

// headLen is how many bytes tell all kinds apart.
const headLen = len(dovecotLZ4)

// kind is one compression.
type kind struct {
	name  string
	magic string
	open  func(io.Reader) (io.Reader, error)
}

func kinds() []kind {
	return []kind{
		{"gzip", "\x1f\x8b\x08", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{"zstd", "\x28\xb5\x2f\xfd", openZstd},
		{"lz4", dovecotLZ4, openDovecotLZ4},
		{"lz4", "\x04\x22\x4d\x18", func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }},
	}
}

// bzip2Magic follows "BZh" and a digit: the digits of pi.
const bzip2Magic = "\x31\x41\x59\x26\x53\x59"

// kindOf recognizes a file by its first bytes.
func kindOf(head []byte) (kind, bool) {
	for _, k := range kinds() {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k, true
		}
	}
	if len(head) >= 10 && string(head[:3]) == "BZh" && string(head[4:10]) == bzip2Magic {
		return kind{"bzip2", "", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }}, true
	}
	return kind{}, false
}

func openZstd(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// dovecotReader reads Dovecot's framing: the magic number, the largest length
// of an expanded chunk, then chunks, each a length and an LZ4 block. Numbers
// have 32 bits, the highest first.
type dovecotReader struct {
	r     io.Reader
	limit uint32
	in    []byte
	out   []byte
	left  []byte // of out
}

// maxChunk is the largest chunk that Dovecot reads.
const maxChunk = 1 << 20

func openDovecotLZ4(r io.Reader) (io.Reader, error) {
	var head [headLen + 4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	limit := binary.BigEndian.Uint32(head[headLen:])
	if limit == 0 || limit > maxChunk {
		return nil, fail.New(fail.Corrupt, "LZ4 chunks of %d bytes", limit)
	}
	return &dovecotReader{r: r, limit: limit, out: make([]byte, limit)}, nil
}

func (d *dovecotReader) Read(p []byte) (int, error) {
	for len(d.left) == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.left)
	d.left = d.left[n:]
	return n, nil
}

// next expands a chunk. A file ends before a chunk, nowhere else.
func (d *dovecotReader) next() error {
	var size [4]byte
	if _, err := io.ReadFull(d.r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > maxChunk {
		return fail.New(fail.Corrupt, "an LZ4 chunk of %d bytes", n)
	}
	if uint32(cap(d.in)) < n {
		d.in = make([]byte, n)
	}
	d.in = d.in[:n]
	if _, err := io.ReadFull(d.r, d.in); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	m, err := lz4.UncompressBlock(d.in, d.out)
	if err != nil {
		return err
	}
	d.left = d.out[:m]
	return nil
}
