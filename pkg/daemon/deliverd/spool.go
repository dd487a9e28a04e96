package deliverd

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// inMemory is how much of a body is held in memory.
const inMemory = 64 << 10

// body is a received message: its beginning in memory, the rest as a stream
// that can be read once (one recipient) or in an unlinked temporary file.
type body struct {
	head []byte
	rest io.Reader // nil: head is all
	file *os.File  // nil: rest can be read once
	size int64     // of file
}

// readBody takes the beginning of content, and all of it when it must be
// readable several times.
func readBody(content io.Reader, tempDir string, several bool) (*body, error) {
	b := &body{head: make([]byte, 4<<10)}
	n, err := io.ReadFull(content, b.head)
	if err == nil && len(b.head) < inMemory {
		more := make([]byte, inMemory)
		copy(more, b.head[:n])
		var m int
		m, err = io.ReadFull(content, more[n:])
		b.head, n = more, n+m
	}
	b.head = b.head[:n]
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return b, nil
	case err != nil:
		return nil, err
	case !several:
		b.rest = content
		return b, nil
	}
	return b, b.spool(content, tempDir)
}

// spool keeps the rest in a file that has no name any more: nothing is left
// when we die.
func (b *body) spool(content io.Reader, dir string) error {
	f, err := os.CreateTemp(dir, "postcote-deliverd-*")
	if err != nil {
		return fail.Wrap(spoolKind(err), err, "temporary file")
	}
	b.file = f
	_ = os.Remove(f.Name())
	if b.size, err = io.Copy(f, content); err != nil {
		b.close()
		return fail.Wrap(spoolKind(err), err, "temporary file in %s", dir)
	}
	return nil
}

func spoolKind(err error) fail.Kind {
	if disk.IsFull(err) {
		return fail.Full
	}
	return fail.KindOf(err)
}

// reader gives the message from its beginning.
func (b *body) reader() io.Reader {
	head := io.Reader(bytes.NewReader(b.head))
	switch {
	case b.file != nil:
		return io.MultiReader(head, io.NewSectionReader(b.file, 0, b.size))
	case b.rest != nil:
		return io.MultiReader(head, b.rest)
	}
	return head
}

func (b *body) close() {
	if b.file != nil {
		b.file.Close()
		b.file = nil
	}
}
