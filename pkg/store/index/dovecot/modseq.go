package dovecot

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// maxFile caps what we read of Dovecot's files.
const maxFile = 512 << 20

// ModSeq finds out above which MODSEQ to begin in a folder that Dovecot
// has served: clients remember its HIGHESTMODSEQ, and a smaller one would make
// them miss changes. It reads the header of the "modseq" extension in
// dovecot.index and walks dovecot.index.log (and .log.2), whose header has the
// MODSEQ it begins with and each of whose transactions raises it by one at
// most, unless it sets one. The result is never below Dovecot's value and may
// be a little above. found is false when there are no such files.
//
// A file that cannot be understood to its end counts with the value it
// certainly does not exceed: its start plus one for every eight bytes, the
// least a transaction takes.
func ModSeq(fsys disk.FS, dir string) (highest uint64, found bool, err error) {
	for name, read := range map[string]func([]byte) (uint64, bool){
		"dovecot.index": readIndex, "dovecot.index.log": readLog, "dovecot.index.log.2": readLog,
	} {
		data, rerr := disk.ReadFile(fsys, filepath.Join(dir, name), maxFile)
		if errors.Is(rerr, fs.ErrNotExist) {
			continue
		}
		if rerr != nil {
			err = errors.Join(err, rerr)
			continue
		}
		if n, ok := read(data); ok {
			highest, found = max(highest, n), true
		}
	}
	return highest, found, err
}

// Wrote is when Dovecot last changed a MODSEQ in dir; zero when it never
// did.
func Wrote(fsys disk.FS, dir string) time.Time {
	info, err := fsys.Stat(filepath.Join(dir, "dovecot.index.log"))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// readIndex reads the fixed header (version 7: its size at 2, with
// extensions at 4) and then extension headers: header size 4, reset id 4,
// record offset, size, alignment and name length 2 each, the name, the
// header's bytes, each padded to 8.
func readIndex(b []byte) (uint64, bool) {
	le := binary.LittleEndian
	if len(b) < 120 || b[0] != 7 {
		return 0, false
	}
	pos, end := int(le.Uint16(b[2:])), int(le.Uint32(b[4:]))
	if end > len(b) || pos < 8 || pos > end {
		return 0, false
	}
	for pad(pos)+16 <= end {
		pos = pad(pos)
		size, nameLen := int(le.Uint32(b[pos:])), int(le.Uint16(b[pos+14:]))
		name := pos + 16
		if name+nameLen > end {
			return 0, false
		}
		data := pad(name + nameLen)
		if size > end || data+size > end {
			return 0, false
		}
		if string(b[name:name+nameLen]) == "modseq" && size >= 8 {
			return le.Uint64(b[data:]), true
		}
		pos = data + size
	}
	return 1, true // no message of it has a MODSEQ yet
}

func pad(n int) int { return (n + 7) &^ 7 }

// The parts of a log file: docs/formats/maildir.md.
const (
	logHeader = 40 // bytes that Dovecot 2.2 and 2.3 write; the size is at 2
	recHeader = 8  // of a transaction
	maxModSeq = 1 << 62

	modseqUpdate = 0x8000
	external     = 0x10000000
)

// readLog reads the log's header (its size at 2, the initial MODSEQ at 24)
// and its transactions.
func readLog(b []byte) (uint64, bool) {
	// Header and extension updates and the boundary mark raise nothing.
	const (
		quiet = 0x20 | 0x40 | 0x80 | 0x100 | 0x200 | 0x1000 | 0x10000 | 0x80000
		kinds = 0x1fffff
		guard = 0xcd90 // marks expunges
	)
	le := binary.LittleEndian
	now, ok := initial(b)
	if !ok {
		return 0, false
	}
	end := transactions(b, func(kind uint32, data []byte) {
		expunge := kind&guard == guard
		if k := kind & kinds; expunge || k&^(quiet|modseqUpdate) != 0 || k == 0 {
			now++
		}
		if !expunge && kind&modseqUpdate != 0 {
			for ; len(data) >= 12; data = data[12:] { // uid, low, high
				if set := uint64(le.Uint32(data[4:])) | uint64(le.Uint32(data[8:]))<<32; set < maxModSeq {
					now = max(now, set)
				}
			}
		}
	})
	if end < len(b) {
		now += uint64(len(b)-end)/recHeader + 1
	}
	return now, true
}

// initial is the MODSEQ that a log begins with.
func initial(b []byte) (uint64, bool) {
	le := binary.LittleEndian
	if len(b) < logHeader || b[0] != 1 {
		return 0, false
	}
	start := le.Uint64(b[24:])
	pos := int(le.Uint16(b[2:]))
	return start, pos >= 32 && pos <= len(b) && start <= maxModSeq
}

// transactions calls each with all transactions of a log whose header is good,
// and returns where those that are whole end: size 4 (in Dovecot's big-endian
// groups of 7 bits), type 4, data.
func transactions(b []byte, each func(kind uint32, data []byte)) (end int) {
	pos := int(binary.LittleEndian.Uint16(b[2:]))
	for pos+recHeader <= len(b) {
		size, ok := offset(b[pos : pos+4])
		if !ok || size < recHeader || size > len(b)-pos {
			break
		}
		each(binary.LittleEndian.Uint32(b[pos+4:]), b[pos+recHeader:pos+size])
		pos += size
	}
	return pos
}

// offset decodes mail_index_uint32_to_offset: four groups of 7 bits,
// each with its top bit set, of a number divided by 4.
func offset(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if c&0x80 == 0 {
			return 0, false
		}
		n = n<<7 | int(c&0x7f)
	}
	return n << 2, true
}

// putOffset is the inverse of offset.
func putOffset(b []byte, n int) {
	n >>= 2
	for i := range 4 {
		b[i] = 0x80 | byte(n>>(7*(3-i)))&0x7f
	}
}
