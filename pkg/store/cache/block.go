package cache

import (
	"encoding/binary"
	"slices"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// A block is a header of 88 bytes and the columns, one behind the other, then
// zeros up to a multiple of 8:
//
//	 0 "PCK\x01" | rows 4 | first uid 4 | last uid 4
//	16 for each of 8 columns: length 4 | crc 4
//	80 crc of the bytes before 4 | 0 4
//
// UIDs take 4 bytes each and ascend; dates 8. A column of texts is the end of
// each one, 4 bytes, and the texts.
const (
	blockMagic  = "PCK\x01"
	blockHeader = 88
	maxRows     = 1024
	maxColumn   = maxRows * (maxText + 4)
)

// block is what is known of a block without reading its columns.
type block struct {
	off         int64
	n           int
	first, last uint32
	size, crc   [numColumns]uint32
}

// length is the whole of it in the file.
func (b *block) length() int64 {
	n := int64(blockHeader)
	for _, s := range b.size {
		n += int64(s)
	}
	return (n + 7) / 8 * 8
}

// encodeBlock makes a block of rows, which are sorted by UID; of two with the
// same UID one is left out. There are at most maxRows.
func encodeBlock(rows []row) ([]byte, block) {
	slices.SortFunc(rows, func(a, b row) int { return int(int64(a.uid) - int64(b.uid)) })
	rows = slices.CompactFunc(rows, func(a, b row) bool { return a.uid == b.uid })
	b := block{n: len(rows), first: rows[0].uid, last: rows[len(rows)-1].uid}
	le := binary.LittleEndian
	out := make([]byte, blockHeader)
	for col := range numColumns {
		start := len(out)
		switch col {
		case colUID:
			for _, r := range rows {
				out = le.AppendUint32(out, r.uid)
			}
		case colSent:
			for _, r := range rows {
				out = le.AppendUint64(out, uint64(r.sent))
			}
		default:
			end := uint32(0)
			for _, r := range rows {
				end += uint32(len(r.text[col]))
				out = le.AppendUint32(out, end)
			}
			for _, r := range rows {
				out = append(out, r.text[col]...)
			}
		}
		b.size[col], b.crc[col] = uint32(len(out)-start), sum(out[start:])
	}
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	copy(out, blockMagic)
	le.PutUint32(out[4:], uint32(b.n))
	le.PutUint32(out[8:], b.first)
	le.PutUint32(out[12:], b.last)
	for col := range numColumns {
		le.PutUint32(out[16+8*col:], b.size[col])
		le.PutUint32(out[20+8*col:], b.crc[col])
	}
	le.PutUint32(out[80:], sum(out[:80]))
	return out, b
}

// parseBlock reads a block's header.
func parseBlock(h []byte, off int64) (block, bool) {
	le := binary.LittleEndian
	if len(h) < blockHeader || string(h[:4]) != blockMagic || sum(h[:80]) != le.Uint32(h[80:]) {
		return block{}, false
	}
	b := block{off: off, n: int(le.Uint32(h[4:])), first: le.Uint32(h[8:]), last: le.Uint32(h[12:])}
	if b.n < 1 || b.n > maxRows || b.first == 0 || b.last < b.first {
		return block{}, false
	}
	for col := range numColumns {
		b.size[col], b.crc[col] = le.Uint32(h[16+8*col:]), le.Uint32(h[20+8*col:])
		if b.size[col] > maxColumn || col > colSent && int(b.size[col]) < 4*b.n {
			return block{}, false
		}
	}
	return b, int(b.size[colUID]) == 4*b.n && int(b.size[colSent]) == 8*b.n
}

// column reads one column into buf, which it may replace. nil: it does not
// check.
func (b *block) column(f disk.File, col int, buf []byte) []byte {
	off := b.off + blockHeader
	for c := range col {
		off += int64(b.size[c])
	}
	n := int(b.size[col])
	buf = slices.Grow(buf[:0], n)[:n]
	if k, _ := f.ReadAt(buf, off); k != n || sum(buf) != b.crc[col] {
		return nil
	}
	if col > colSent && !b.endsFit(buf) {
		return nil
	}
	return buf
}

// endsFit proves that the ends of a column of texts ascend and lie within.
func (b *block) endsFit(data []byte) bool {
	last, most := uint32(0), uint32(len(data)-4*b.n)
	for i := range b.n {
		e := binary.LittleEndian.Uint32(data[4*i:])
		if e < last || e > most {
			return false
		}
		last = e
	}
	return last == most
}

// dense reports whether the UIDs have no gaps: then their column need not be
// read.
func (b *block) dense() bool { return b.last-b.first == uint32(b.n-1) }

// texts takes a column of texts apart: the end of text i is at ends[4*i].
func (b *block) texts(data []byte) (ends, text []byte) { return data[:4*b.n], data[4*b.n:] }

func end(ends []byte, i int) int { return int(binary.LittleEndian.Uint32(ends[4*i:])) }

// span is where text i lies.
func span(ends []byte, i int) (from, to int) {
	if i > 0 {
		from = end(ends, i-1)
	}
	return from, end(ends, i)
}

// rows reads all columns back.
func (b *block) rows(f disk.File) []row {
	out := make([]row, b.n)
	uids, sent := b.column(f, colUID, nil), b.column(f, colSent, nil)
	if uids == nil || sent == nil {
		return nil
	}
	last := uint32(0)
	for i := range out {
		uid := binary.LittleEndian.Uint32(uids[4*i:])
		if uid <= last {
			return nil
		}
		last = uid
		out[i].uid, out[i].sent = uid, int64(binary.LittleEndian.Uint64(sent[8*i:]))
	}
	for col := colSubject; col < numColumns; col++ {
		data := b.column(f, col, nil)
		if data == nil {
			return nil
		}
		ends, text := b.texts(data)
		for i := range out {
			from, to := span(ends, i)
			out[i].text[col] = text[from:to:to]
		}
	}
	return out
}
