package cache

import (
	"os"
	"slices"
	"sync"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// A file of columns is a header of 16 bytes ("PCIXCOL\x01", 8 zeros) and
// blocks. It ends where a block does not check.
const (
	columnsName   = "columns"
	columnsMagic  = "PCIXCOL\x01"
	columnsHeader = 16
)

// columns is a mailbox's file of columns and the rows that are not in it yet.
// Safe for concurrent use.
type columns struct {
	fs   disk.FS
	name string

	mu     sync.Mutex
	file   disk.File
	end    int64
	blocks []block // replaced, never changed in place: searches hold on to it
	tail   []row
	size   int // bytes of text in tail
}

// maxTail is how many bytes of text wait in memory for a block to be full.
const maxTail = 1 << 20

// open reads the headers of the blocks, c.mu held.
func (c *columns) open() error {
	if c.file != nil {
		return nil
	}
	f, err := c.fs.OpenFile(c.name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return ioError(err, "opening cache %s", c.name)
	}
	var head [blockHeader]byte
	n, _ := f.ReadAt(head[:columnsHeader], 0)
	c.end, c.blocks = columnsHeader, nil
	if n < columnsHeader || string(head[:8]) != columnsMagic {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(append([]byte(columnsMagic), make([]byte, 8)...), 0)
		}
		if err != nil {
			_ = f.Close()
			return ioError(err, "opening cache %s", c.name)
		}
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return ioError(err, "opening cache %s", c.name)
	}
	for {
		n, _ := f.ReadAt(head[:], c.end)
		b, ok := parseBlock(head[:n], c.end)
		if !ok || c.end+b.length() > info.Size() {
			break
		}
		c.blocks = append(c.blocks, b)
		c.end += b.length()
	}
	c.file = f
	return nil
}

// view is what a search looks at.
func (c *columns) view() (f disk.File, blocks []block, tail []row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return nil, nil, slices.Clone(c.tail)
	}
	return c.file, c.blocks, slices.Clone(c.tail)
}

// add puts rows behind the others; they get to the file when they are many.
func (c *columns) add(rows []row) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rows {
		c.tail = append(c.tail, r)
		for _, t := range r.text {
			c.size += len(t)
		}
		if len(c.tail) == maxRows || c.size > maxTail {
			if err := c.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the rows that wait.
func (c *columns) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write()
}

// write makes the tail a block, c.mu held. Small blocks at the end of the file
// become one with it, so that a message written by itself each time costs
// little: a row is written again when its block at least doubles by it, or
// nearly so.
func (c *columns) write() error {
	if len(c.tail) == 0 {
		return nil
	}
	if err := c.open(); err != nil {
		return err
	}
	rows, keep, at := c.tail, len(c.blocks), c.end
	for keep > 0 {
		b := &c.blocks[keep-1]
		if b.n > 2*len(rows) || b.n+len(rows) > maxRows {
			break
		}
		rows = append(b.rows(c.file), rows...)
		keep, at = keep-1, b.off
	}
	data, b := encodeBlock(rows)
	b.off = at
	c.blocks = append(slices.Clone(c.blocks[:keep]), b)
	c.tail, c.size = nil, 0
	_, err := c.file.WriteAt(data, at)
	c.end = at + int64(len(data))
	if err == nil {
		err = c.file.Truncate(c.end)
	}
	return ioError(err, "writing cache %s", c.name)
}

// rowsKept is how many rows there are, those of messages that are gone
// included.
func (c *columns) rowsKept() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.tail)
	for _, b := range c.blocks {
		n += b.n
	}
	return n
}

// reset begins the file anew.
func (c *columns) reset() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tail, c.size = nil, 0
	if err := c.open(); err != nil {
		return err
	}
	c.blocks, c.end = nil, columnsHeader
	return ioError(c.file.Truncate(columnsHeader), "beginning cache %s anew", c.name)
}

func (c *columns) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tail, c.size, c.blocks = nil, 0, nil
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}
