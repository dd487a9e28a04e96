package cache

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

// Message is an open message, as it is stored.
type Message interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Lesson is what reading a message has shown. A negative number says nothing.
type Lesson struct {
	UID         uint32
	Size, VSize int64
	Date        time.Time // INTERNALDATE; zero: not known
	Entry       int64     // where the entry is; 0: nowhere
}

// maker reads messages, one after the other, with the same buffers.
type maker struct {
	parser message.Parser
	mem    message.Memory
	now    message.Memory // a message that somebody else holds
	parts  []byte
	fields []byte
	left   []byte

	structure []byte
	row       []byte
}

// stream reads a message from its start: where it is, if it is in memory.
func stream(f Message) io.Reader {
	if m, ok := f.(*message.Memory); ok {
		return m
	}
	return io.NewSectionReader(f, 0, f.Size())
}

// made is what one message gave.
type made struct {
	row    row
	hasRow bool
	size   int64
	vsize  int64
}

// append reads a message, or a header alone if that is all that is wanted, and
// appends its entry to dst.
func (m *maker) append(dst []byte, uid uint32, f Message, d depth) ([]byte, made, error) {
	out := made{size: -1, vsize: -1}
	root, err := m.parser.Parse(stream(f), message.DefaultLimits())
	if err != nil {
		return dst, out, err
	}
	h := m.parser.Header()
	e := Entry{Envelope: root.Envelope, fields: m.fields[:0], left: m.left[:0]}
	e.setFields(h)
	m.fields, m.left = e.fields, e.left
	if d == heads {
		e.has |= headOnly
	} else {
		out.size, out.vsize = f.Size(), root.VSize()
		m.parts = appendParts(m.parts[:0], root, 0)
		m.structure = message.AppendBodyStructure(m.structure[:0], root, true)
		e.parts, e.Structure = m.parts, m.structure
	}
	if d == full {
		id, err := digest.EmailID(io.NewSectionReader(f, 0, out.size))
		if err != nil {
			return dst, out, err
		}
		e.EmailID, e.Preview = []byte(id), []byte(digest.Preview(f, root))
		e.has |= hasPreview
	}
	if !h.Truncated {
		out.row, out.hasRow = makeRow(uid, h, &m.row)
	}
	return e.append(dst), out, nil
}

// batch is what is made together, so that it is written together.
type batch struct {
	uids    []uint32
	data    []byte
	sizes   []int
	rows    []row
	lessons []Lesson
}

// usualEntry is how many bytes an entry has.
const usualEntry = 1536

func (c *Cache) maker() *maker {
	if m, ok := c.memory.makers.Get().(*maker); ok {
		return m
	}
	return &maker{}
}

// make reads messages and keeps what they give. use gets each one's entry, or
// why there is none. again: their rows are known already.
func (c *Cache) make(ctx context.Context, uids []uint32, d depth, again bool, use func(i int, e Entry, err error)) {
	m := c.maker()
	b := batch{data: make([]byte, 0, len(uids)*usualEntry)}
	at := make([]int, len(uids)) // of each one's entry in b, or -1
	for i, uid := range uids {
		at[i] = -1
		err := ctx.Err()
		if err == nil {
			err = c.one(ctx, m, &b, uid, d)
		}
		if err != nil {
			use(i, Entry{}, err)
			continue
		}
		at[i] = len(b.uids) - 1
	}
	m.mem.Trim()
	c.memory.makers.Put(m)
	c.keep(&b, again)
	start := 0
	for i := range uids {
		if at[i] < 0 {
			continue
		}
		n := b.sizes[at[i]]
		e, _ := parseEntry(b.data[start : start+n : start+n])
		start += n
		use(i, e, nil)
	}
}

func (c *Cache) one(ctx context.Context, m *maker, b *batch, uid uint32, d depth) error {
	if d == heads {
		date, ok, err := c.src.Head(ctx, uid, &m.mem)
		end := headerEnd(m.mem.Bytes())
		switch {
		case err != nil:
			return err
		case ok && end > 0:
			m.mem.Set(m.mem.Bytes()[:end])
			return c.add(m, b, uid, &m.mem, date, heads)
		}
		d = bodies // all of it has to be read
	}
	f, date, err := c.src.Open(ctx, uid, &m.mem)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.add(m, b, uid, f, date, d)
}

// headerEnd is where the header of a message ends that begins with b; 0: not
// in b.
func headerEnd(b []byte) int {
	for pos := 0; ; {
		i := bytes.IndexByte(b[pos:], '\n')
		if i < 0 {
			return 0
		}
		pos += i + 1
		if i == 0 || i == 1 && b[pos-2] == '\r' {
			return pos
		}
	}
}

// add reads an open message and adds what it gives to the batch.
func (c *Cache) add(m *maker, b *batch, uid uint32, f Message, date time.Time, d depth) (err error) {
	before := len(b.data)
	var out made
	if b.data, out, err = m.append(b.data, uid, f, d); err != nil {
		b.data = b.data[:before]
		return ioError(err, "reading message %d", uid)
	}
	b.uids = append(b.uids, uid)
	b.sizes = append(b.sizes, len(b.data)-before)
	b.lessons = append(b.lessons, Lesson{UID: uid, Size: out.size, VSize: out.vsize, Date: date})
	if out.hasRow {
		b.rows = append(b.rows, out.row)
	}
	return nil
}

// keep writes what was made. When that fails it is made again another time.
func (c *Cache) keep(b *batch, again bool) {
	if len(b.uids) == 0 {
		return
	}
	if offs, err := c.entries.put(b.uids, b.data, b.sizes); err == nil {
		for i := range b.lessons {
			b.lessons[i].Entry = offs[i]
		}
	}
	if !again {
		_ = c.columns.add(b.rows)
	}
	c.src.Learn(b.lessons)
}
