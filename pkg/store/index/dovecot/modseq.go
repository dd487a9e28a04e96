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

// readLog reads the log's header (its size at 2, the initial MODSEQ at 24)
// and its transactions: size 4 (in Dovecot's big-endian groups of 7 bits),
// type 4.
func readLog(b []byte) (uint64, bool) {
	le := binary.LittleEndian
	const (
		modseqUpdate = 0x8000
		// Header and extension updates and the boundary mark raise nothing.
		quiet = 0x20 | 0x40 | 0x80 | 0x100 | 0x200 | 0x1000 | 0x10000 | 0x80000
		kinds = 0x1fffff
		guard = 0xcd90 // marks expunges
	)
	if len(b) < 40 || b[0] != 1 {
		return 0, false
	}
	pos := int(le.Uint16(b[2:]))
	start := le.Uint64(b[24:])
	if pos < 32 || pos > len(b) || start > 1<<62 {
		return 0, false
	}
	now := start
	for pos+8 <= len(b) {
		size, ok := offset(b[pos : pos+4])
		if !ok || size < 8 || size > len(b)-pos {
			break
		}
		kind := le.Uint32(b[pos+4:])
		expunge := kind&guard == guard
		if k := kind & kinds; expunge || k&^quiet != 0 || k == 0 {
			now++
		}
		if !expunge && kind&modseqUpdate != 0 {
			for r := pos + 8; r+12 <= pos+size; r += 12 { // uid, low, high
				if set := uint64(le.Uint32(b[r+4:])) | uint64(le.Uint32(b[r+8:]))<<32; set < 1<<62 {
					now = max(now, set)
				}
			}
		}
		pos += size
	}
	if pos < len(b) {
		now += uint64(len(b)-pos)/8 + 1
	}
	return now, true
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
