package deliverd

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// inMemory is how much of a body is held in memory.
const inMemory = 64 << 10

// body is a received message: its beginning in memory, the rest as a stream
// that can be read once (one recipient) or in an unlinked temporary file.
type body struct {
	a    *agent
	buf  *[]byte
	head []byte
	rest io.Reader // nil: head is all
	file disk.File // nil: rest can be read once
	size int64     // of file
}

// readBody takes the beginning of content, and all of it when it must be
// readable several times. An error of content is returned as it is; those of
// the temporary file are of kind Full or Temporary.
func (a *agent) readBody(content io.Reader, several bool) (*body, error) {
	buf := a.bufs.Get().(*[]byte)
	b := &body{a: a, buf: buf}
	n, err := io.ReadFull(content, *buf)
	b.head = (*buf)[:n]
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return b, nil
	case err == nil && !several:
		b.rest = content
		return b, nil
	case err == nil:
		err = b.spool(content, a.cfg.Load().TempDir)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// whole reports whether all of the body is in memory.
func (b *body) whole() bool { return b.rest == nil && b.file == nil }

// spool keeps the rest in a file that has no name any more: nothing is left
// when we die.
func (b *body) spool(content io.Reader, dir string) error {
	name := filepath.Join(dir, "postcote-deliverd-"+b.a.namer.Next())
	f, err := b.a.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return spoolError(err, name)
	}
	b.file = f
	if err := b.a.fs.Remove(name); err != nil {
		return spoolError(err, name)
	}
	src := &fail.Reader{R: content}
	b.size, err = io.Copy(f, src)
	if src.Err != nil {
		return src.Err
	}
	return spoolError(err, name)
}

func spoolError(err error, name string) error {
	kind := fail.Temporary
	if disk.IsFull(err) {
		kind = fail.Full
	}
	return fail.Wrap(kind, err, "temporary file %s", name)
}

// WriteTo writes the message from its beginning; it implements io.WriterTo.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.head)
	total := int64(n)
	rest := b.rest
	if b.file != nil {
		rest = io.NewSectionReader(b.file, 0, b.size)
	}
	if err == nil && rest != nil {
		var m int64
		m, err = io.Copy(w, rest)
		total += m
	}
	return total, err
}

// close gives back what the body holds; nobody may read it any more.
func (b *body) close() {
	if b.file != nil {
		_ = b.file.Close() // nothing in it is wanted
		b.file = nil
	}
	if b.buf != nil {
		b.a.bufs.Put(b.buf)
		b.buf, b.head = nil, nil
	}
}
