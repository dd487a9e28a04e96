package wire

import (
	"io"

	"github.com/klauspost/compress/flate"
)

// Deflater compresses the output of a connection. It holds nothing between
// two writes, nor while one waits for the client to read: each is compressed
// by itself, ends at a byte, and goes out whole.
type Deflater struct {
	dst  io.Writer
	bufs *Buffers
}

// Deflater makes a deflater that writes to dst.
func (b *Buffers) Deflater(dst io.Writer) *Deflater { return &Deflater{dst, b} }

// packed is a place for compressed output: what does not shrink grows by a
// few bytes in a thousand.
type packed struct {
	buf []byte
}

func (p *packed) Write(b []byte) (int, error) {
	p.buf = append(p.buf, b...)
	return len(b), nil
}

// Write compresses b and writes it.
func (d *Deflater) Write(b []byte) (int, error) {
	out, _ := d.bufs.packed.Get().(*packed)
	if out == nil {
		out = &packed{make([]byte, 0, outSize+512)}
	}
	defer d.bufs.packed.Put(out)
	for done := 0; done < len(b); {
		piece := b[done:min(len(b), done+outSize)]
		out.buf = out.buf[:0]
		if err := flate.StatelessDeflate(out, piece, false, nil); err != nil {
			return done, err
		}
		if _, err := d.dst.Write(out.buf); err != nil {
			return done, err
		}
		done += len(piece)
	}
	return len(b), nil
}

// Close writes the final block, behind which nothing is compressed.
func (d *Deflater) Close() error {
	_, err := d.dst.Write([]byte{3, 0}) // of the fixed codes, empty
	return err
}
