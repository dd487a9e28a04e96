package index

import (
	"encoding/binary"
	"math"
)

// State holds the bits of a record that are no flags.
type State uint16

// The states.
const (
	InNew    State = 1 << iota // the file is in new/, else in cur/
	hasSize                    // Size is known
	hasVSize                   // VSize is known
	hasDate                    // Date is known
	Dirty                      // the file's name does not say yet what is in force
)

// kept are the states that Record shows; the others show in its fields.
const kept = InNew | Dirty

// Unknown is the Size, VSize or Date of a record that does not say.
const Unknown int64 = -1 << 39

// Record is what the index knows of a message.
type Record struct {
	UID         uint32
	Flags       uint8  // the flags in force, as bits of maildir.Flags
	FileFlags   uint8  // the flags in the file's name when we last saw or changed it
	FileLetters uint32 // the same for keyword letters
	State       State
	ModSeq      uint64
	Keywords    uint32 // keyword set, see Image.KeywordNames
	Size        int64  // bytes as stored, or Unknown
	VSize       int64  // bytes with CRLF line ends, or Unknown
	Date        int64  // INTERNALDATE in seconds since 1970, or Unknown
	Cache       int64  // offset of the message's entry in the cache, a multiple of 8; 0 for none
	Saved       int64  // when it was put into the mailbox, in seconds since 1970; 0 for unknown
	Name        string // base name
	Info        string // the file name's text from ":" on when it is not the usual one
}

// A record takes 48 bytes, little endian:
//
//	 0 uid 4 | flags 1 | file flags 1 | state 2
//	 8 modseq 8
//	16 file letters 4 | bare LFs (vsize - size) 4
//	24 size 5 | date 5 (signed) | name offset 3 | keyword set 3
//	40 cache offset / 8 4 | save date 4
const recordSize = 48

func put40(b []byte, v int64) {
	binary.LittleEndian.PutUint32(b, uint32(v))
	b[4] = byte(v >> 32)
}

func get40(b []byte) int64 {
	v := int64(binary.LittleEndian.Uint32(b)) | int64(b[4])<<32
	return v << 24 >> 24 // sign
}

func put24(b []byte, v uint32) { b[0], b[1], b[2] = byte(v), byte(v>>8), byte(v>>16) }

func get24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// rec is a record's bytes.
type rec []byte

func (r rec) uid() uint32         { return binary.LittleEndian.Uint32(r) }
func (r rec) flags() uint8        { return r[4] }
func (r rec) setFlags(f uint8)    { r[4] = f }
func (r rec) state() State        { return State(binary.LittleEndian.Uint16(r[6:])) }
func (r rec) modseq() uint64      { return binary.LittleEndian.Uint64(r[8:]) }
func (r rec) setModseq(m uint64)  { binary.LittleEndian.PutUint64(r[8:], m) }
func (r rec) nameOff() uint32     { return get24(r[34:]) }
func (r rec) setNameOff(n uint32) { put24(r[34:], n) }
func (r rec) set() uint32         { return get24(r[37:]) }
func (r rec) setSet(s uint32)     { put24(r[37:], s) }
func (r rec) saved() int64        { return int64(binary.LittleEndian.Uint32(r[44:])) }
func (r rec) setSaved(at int64)   { binary.LittleEndian.PutUint32(r[44:], uint32(at)) }

// setCache sets the offset of the entry. A file as large as offsets beyond 32
// bits is begun anew; until then its last entries are made again each time.
func (r rec) setCache(off int64) {
	if off < 0 || off%8 != 0 || off/8 > math.MaxUint32 {
		off = 0
	}
	binary.LittleEndian.PutUint32(r[40:], uint32(off/8))
}

func (r rec) cache() int64 { return int64(binary.LittleEndian.Uint32(r[40:])) * 8 }

func (r rec) setState(s State) { binary.LittleEndian.PutUint16(r[6:], uint16(s)) }

// setFile sets what the file's name says, and the states of kept.
func (r rec) setFile(flags uint8, letters uint32, s State) {
	r[5] = flags
	binary.LittleEndian.PutUint32(r[16:], letters)
	r.setState(r.state()&^kept | s&kept)
}

// setKnown sets sizes and date; Unknown leaves what is there.
func (r rec) setKnown(size, vsize, date int64) {
	s := r.state()
	if size >= 0 {
		put40(r[24:], size)
		s |= hasSize
	}
	if vsize >= 0 && s&hasSize != 0 {
		binary.LittleEndian.PutUint32(r[20:], uint32(vsize-get40(r[24:])))
		s |= hasVSize
	}
	if date > Unknown && date < -Unknown {
		put40(r[29:], date)
		s |= hasDate
	}
	r.setState(s)
}

func (r rec) size() int64 {
	if r.state()&hasSize == 0 {
		return Unknown
	}
	return get40(r[24:])
}

func (r rec) vsize() int64 {
	if r.state()&hasVSize == 0 {
		return Unknown
	}
	return get40(r[24:]) + int64(binary.LittleEndian.Uint32(r[20:]))
}

func (r rec) date() int64 {
	if r.state()&hasDate == 0 {
		return Unknown
	}
	return get40(r[29:])
}

// put writes all of x but its name.
func (r rec) put(x *Record) {
	clear(r)
	binary.LittleEndian.PutUint32(r, x.UID)
	r[4] = x.Flags
	r.setModseq(x.ModSeq)
	r.setFile(x.FileFlags, x.FileLetters, x.State)
	r.setSet(x.Keywords)
	r.setCache(x.Cache)
	r.setSaved(x.Saved)
	r.setKnown(x.Size, x.VSize, x.Date)
}

// get reads all but the name.
func (r rec) get() Record {
	return Record{
		UID: r.uid(), Flags: r[4], FileFlags: r[5], State: r.state() & kept,
		FileLetters: binary.LittleEndian.Uint32(r[16:]), ModSeq: r.modseq(),
		Keywords: r.set(), Size: r.size(), VSize: r.vsize(), Date: r.date(), Cache: r.cache(), Saved: r.saved(),
	}
}
