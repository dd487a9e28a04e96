package cache

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

// Query is a search for a text in a header field or, without a field, for a
// day that stands in the Date field.
type Query struct {
	Field  string // header field
	Needle []byte // as collate.String has it
	Rel    int    // -1 before the day, 0 on it, 1 on it or later
	Day    int64  // days since 1970
}

// column is where the query looks, 0 when no column can tell.
func (q *Query) column() int {
	switch {
	case q.Field == "":
		return colSent
	case bytes.IndexByte(q.Needle, '\n') >= 0:
		return 0 // it may match across two fields
	}
	return columnOf(q.Field)
}

// day compares moments, the zone of the message taken for ours: that needs no
// division for each message.
func (q *Query) day(sent int64) bool {
	if sent == noSent {
		return false
	}
	at, begin := sentLocal(sent), q.Day*86400
	if q.Rel < 0 {
		return at < begin
	}
	return at >= begin && (q.Rel > 0 || at < begin+86400)
}

// has reports whether a row's text holds the needle. A field that is not there
// holds none, not even the empty one; such a row has a nil text only in memory,
// so that a search for nothing looks at the messages.
func (q *Query) has(r *row, col int) bool {
	if col == colSent {
		return q.day(r.sent)
	}
	return bytes.Contains(r.text[col], q.Needle)
}

// Bits is a set of rows.
type Bits = []uint64

func set(b Bits, i int) { b[i/64] |= 1 << (i % 64) }

func clearBit(b Bits, i int) { b[i/64] &^= 1 << (i % 64) }

func isSet(b Bits, i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// scan is one look over the columns.
type scan struct {
	file   disk.File
	uids   []uint32 // of the rows, ascending
	needle needle   // of a query that has one

	buf, buf2 []byte
	rows      []int32 // of a block's UIDs in uids, -1 for none
}

// place finds the rows of a block's UIDs. false: there are none, or the block
// does not check.
func (s *scan) place(b *block) bool {
	at, ok := slices.BinarySearch(s.uids, b.first)
	if !ok && (at == len(s.uids) || s.uids[at] > b.last) {
		return false
	}
	s.rows = slices.Grow(s.rows[:0], b.n)[:b.n]
	if end := at + b.n; ok && b.dense() && end <= len(s.uids) && s.uids[end-1] == b.last {
		for i := range s.rows { // no gaps on either side
			s.rows[i] = int32(at + i)
		}
		return true
	}
	data := b.column(s.file, colUID, s.buf)
	if data == nil {
		return false
	}
	s.buf = data
	return s.match(data, at)
}

// match finds the rows of the UIDs in data, the first of which is not before
// at. false: there are none, or the UIDs do not ascend.
func (s *scan) match(data []byte, at int) (found bool) {
	last := uint32(0)
	for i := range s.rows {
		uid := binary.LittleEndian.Uint32(data[4*i:])
		if uid <= last {
			return false
		}
		last = uid
		for at < len(s.uids) && s.uids[at] < uid {
			at++
		}
		s.rows[i] = -1
		if at < len(s.uids) && s.uids[at] == uid {
			s.rows[i] = int32(at)
			at++
			found = true
		}
	}
	return found
}

// run evaluates q for the rows of a block.
func (s *scan) run(b *block, q *Query, col int, hits, open Bits) {
	if !s.place(b) {
		return
	}
	data := b.column(s.file, col, s.buf2)
	if data == nil {
		return
	}
	s.buf2 = data
	for _, r := range s.rows {
		if r >= 0 {
			clearBit(open, int(r))
		}
	}
	if col == colSent {
		for i, r := range s.rows {
			if r >= 0 && q.day(int64(binary.LittleEndian.Uint64(data[8*i:]))) {
				set(hits, int(r))
			}
		}
		return
	}
	ends, text := b.texts(data)
	i := 0
	for at := 0; ; {
		n := s.needle.index(text[at:])
		if n < 0 {
			return
		}
		at += n
		for end(ends, i) <= at {
			i++
		}
		if to := end(ends, i); at+len(q.Needle) <= to {
			if r := s.rows[i]; r >= 0 {
				set(hits, int(r))
			}
			at = to // one hit is enough
			continue
		}
		at++ // it reaches into the next text
	}
}

// search evaluates q for the messages with these UIDs: hits are those that
// meet it, open loses those of which that is known.
func (c *columns) search(q *Query, uids []uint32, hits, open Bits) {
	col := q.column()
	if col == 0 || col != colSent && len(q.Needle) == 0 {
		return
	}
	f, blocks, tail := c.view()
	s := scan{file: f, uids: uids, needle: newNeedle(q.Needle)}
	for i := range blocks {
		s.run(&blocks[i], q, col, hits, open)
	}
	for i := range tail {
		if at, ok := slices.BinarySearch(uids, tail[i].uid); ok {
			clearBit(open, at)
			if q.has(&tail[i], col) {
				set(hits, at)
			}
		}
	}
}

// keys calls use with the keys of each of uids that the columns have; in
// blocks, not in order. known loses nothing of what it is told twice.
func (c *columns) keys(uids []uint32, use func(i int, k *digest.Keys)) {
	f, blocks, tail := c.view()
	s := scan{file: f, uids: uids}
	var k digest.Keys
	for b := range blocks {
		b := &blocks[b]
		if !s.place(b) {
			continue
		}
		sent := b.column(f, colSent, s.buf2)
		data := b.column(f, colKeys, s.buf)
		if sent == nil || data == nil {
			continue
		}
		s.buf, s.buf2 = data, sent
		ends, text := b.texts(data)
		all := string(text) // the keys keep parts of it
		for i, r := range s.rows {
			from, to := span(ends, i)
			if r >= 0 && parseKeys(all[from:to], int64(binary.LittleEndian.Uint64(sent[8*i:])), &k) {
				use(int(r), &k)
			}
		}
	}
	for i := range tail {
		t := &tail[i]
		if at, ok := slices.BinarySearch(uids, t.uid); ok && parseKeys(string(t.text[colKeys]), t.sent, &k) {
			use(at, &k)
		}
	}
}
