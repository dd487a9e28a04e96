package cache

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"sync"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// A file of entries is a header of 16 bytes ("PCIXCCH\x03", 8 zeros) and entries,
// each at a multiple of 8:
//
//	"PCC\x01" | uid 4 | length 4 | crc of uid, length and bytes 4 | bytes | zeros
//
// It is never synced and may be deleted at any time: an entry that does not
// check counts as missing.
const (
	cacheName   = "cache"
	filePerm    = 0o660
	cacheMagic  = "PCIXCCH\x03"
	oldMagic    = "PCIXCCH\x02" // the same, but that each entry is Whole
	cacheHeader = 16
	entryMagic  = "PCC\x01"
	entryHeader = 16
	maxEntry    = 64 << 20
)

// entries is a mailbox's file of entries. Safe for concurrent use.
type entries struct {
	fs   disk.FS
	name string

	mu   sync.Mutex
	file disk.File // opened when it is first needed
	end  int64
}

// open makes the file usable and returns it with its length.
func (c *entries) open() (disk.File, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		return c.file, c.end, nil
	}
	f, err := c.fs.OpenFile(c.name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, 0, ioError(err, "opening cache %s", c.name)
	}
	info, err := f.Stat()
	var magic [8]byte
	if err == nil && info.Size() >= cacheHeader {
		_, err = f.ReadAt(magic[:], 0)
	}
	if err == nil && string(magic[:]) == oldMagic {
		_, err = f.WriteAt([]byte(cacheMagic), 0) // an older program begins it anew
		copy(magic[:], cacheMagic)
	}
	if err == nil && string(magic[:]) != cacheMagic {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(append([]byte(cacheMagic), make([]byte, 8)...), 0)
		}
		c.end = cacheHeader
	} else if err == nil {
		c.end = (info.Size() + 7) / 8 * 8
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, ioError(err, "opening cache %s", c.name)
	}
	c.file = f
	return f, c.end, nil
}

// put stores the bytes of some messages, given one behind the other in data
// with their lengths, and returns where each is.
func (c *entries) put(uids []uint32, data []byte, sizes []int) ([]int64, error) {
	f, _, err := c.open()
	if err != nil {
		return nil, err
	}
	offs := make([]int64, len(uids))
	e := make([]byte, 0, len(data)+len(uids)*(entryHeader+8))
	for i, uid := range uids {
		start := len(e)
		offs[i] = int64(start)
		e = append(e, entryMagic...)
		e = binary.LittleEndian.AppendUint32(e, uid)
		e = binary.LittleEndian.AppendUint32(e, uint32(sizes[i]))
		e = append(e, 0, 0, 0, 0)
		e = append(e, data[:sizes[i]]...)
		data = data[sizes[i]:]
		binary.LittleEndian.PutUint32(e[start+12:], entrySum(e[start:]))
		for len(e)%8 != 0 {
			e = append(e, 0)
		}
	}
	c.mu.Lock()
	off := c.end
	c.end += int64(len(e))
	c.mu.Unlock()
	for i := range offs {
		offs[i] += off
	}
	_, err = f.WriteAt(e, off)
	return offs, ioError(err, "writing cache %s", c.name)
}

func entrySum(e []byte) uint32 {
	return crc32.Update(sum(e[4:12]), castagnoli(), e[entryHeader:])
}

// readPiece is how much is read at a time at least: the entries of messages that
// follow each other mostly do so too.
const readPiece = 128 << 10

// get calls use with the bytes of the entry of each message, nil when it is not
// there. offs are where the index has them. The bytes are in mem, or may be kept
// if that is nil.
func (c *entries) get(uids []uint32, offs []int64, mem *room, use func(i int, data []byte)) {
	f, end, err := c.open()
	if err != nil {
		for i := range uids {
			use(i, nil)
		}
		return
	}
	var piece []byte // what is in memory, from at on
	at := int64(0)
	for i, uid := range uids {
		off := offs[i]
		if off < cacheHeader || off%8 != 0 || end-off < entryHeader {
			use(i, nil)
			continue
		}
		if off < at || off+entryHeader > at+int64(len(piece)) {
			at, piece = off, readAt(f, off, mem.take(pieceFor(offs[i:], end)))
		}
		n, ok := entrySize(piece[min(off-at, int64(len(piece))):], uid, end-off)
		if ok && off+entryHeader+n > at+int64(len(piece)) {
			at, piece = off, readAt(f, off, mem.take(max(entryHeader+n, pieceFor(offs[i:], end))))
		}
		if e := piece[off-at:]; ok && int64(len(e)) >= entryHeader+n && entrySum(e[:entryHeader+n]) == binary.LittleEndian.Uint32(e[12:]) {
			use(i, e[entryHeader:entryHeader+n:entryHeader+n])
			continue
		}
		use(i, nil)
	}
}

// pieceFor is how much to read for the first of offs: little when it stands
// alone, more when others follow close behind it.
func pieceFor(offs []int64, end int64) int64 {
	const alone = 4 << 10
	last := offs[0]
	for _, o := range offs[1:] {
		if o < last || o-last > 16<<10 || o-offs[0] > readPiece {
			break
		}
		last = o
	}
	return min(last-offs[0]+alone, end-offs[0])
}

// readAt fills b, less of it at the end of the file or after an error.
func readAt(f disk.File, off int64, b []byte) []byte {
	k, _ := f.ReadAt(b, off)
	return b[:k]
}

// room is memory that is used again for the next entries.
type room struct{ all, left []byte }

// Of a room that becomes larger than maxRoom nothing is kept.
const (
	usualRoom = 64 << 10
	maxRoom   = 512 << 10
)

// take gives n bytes, new ones if m is nil.
func (m *room) take(n int64) []byte {
	if m == nil {
		return make([]byte, n)
	}
	if n > int64(len(m.left)) {
		m.all = make([]byte, max(n, usualRoom))
		m.left = m.all
	}
	b := m.left[:n:n]
	m.left = m.left[n:]
	return b
}

// reset makes all of it free.
func (m *room) reset() {
	if len(m.all) > maxRoom {
		m.all = nil
	}
	m.left = m.all
}

// entrySize reads the header at the start of b; room is what is left of the file.
func entrySize(b []byte, uid uint32, room int64) (int64, bool) {
	if len(b) < entryHeader || string(b[:4]) != entryMagic || binary.LittleEndian.Uint32(b[4:]) != uid {
		return 0, false
	}
	n := int64(binary.LittleEndian.Uint32(b[8:]))
	return n, n <= maxEntry && n <= room-entryHeader
}

// reset begins the file anew. Offsets of entries are void afterwards; one that
// is used all the same finds another message's entry, or none.
func (c *entries) reset() error {
	f, _, err := c.open()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := f.Truncate(cacheHeader); err != nil {
		return ioError(err, "beginning cache %s anew", c.name)
	}
	c.end = cacheHeader
	return nil
}

// size is the length of the file, 0 before it was used.
func (c *entries) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// close closes the file.
func (c *entries) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

// ioError gives an error its kind. A cache that cannot be had is no reason to
// refuse anything.
func ioError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fail.Wrap(fail.Temporary, err, format, args...)
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }

// trim begins the file anew when it is far larger than its messages can need:
// entries of messages that are gone stay in it. How large it was the last time
// the messages of the mailbox were all in it nobody knows; twice the usual is
// where looking at all of it costs more than making it again.
func (c *entries) trim(messages int) (bool, error) {
	const small, usual = 8 << 20, 8 << 10
	if size := c.size(); size < small || size < int64(messages)*usual {
		return false, nil
	}
	return true, c.reset()
}
