package index

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// A cache file is a header of 16 bytes ("PCIXCCH\x01", 8 zeros) and entries,
// each at a multiple of 8:
//
//	"PCC\x01" | uid 4 | length 4 | crc of uid, length and bytes 4 | bytes | zeros
//
// It is never synced and may be deleted at any time: an entry that does not
// check counts as missing.
const (
	cacheName   = "cache"
	cacheMagic  = "PCIXCCH\x01"
	cacheHeader = 16
	entryMagic  = "PCC\x01"
	entryHeader = 16
	maxEntry    = 64 << 20
)

// Cache is a mailbox's file of wire bytes. Safe for concurrent use.
type Cache struct {
	fs   disk.FS
	name string

	mu   sync.Mutex
	file disk.File // opened when it is first needed
	end  int64
}

// Cache returns the cache beside the index.
func (x *Index) Cache() *Cache { return &Cache{fs: x.fs, name: filepath.Join(x.dir, cacheName)} }

// open makes the file usable and returns it with its length.
func (c *Cache) open() (disk.File, int64, error) {
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

// Put stores a message's bytes and returns where, for Batch.Cached.
func (c *Cache) Put(uid uint32, data []byte) (int64, error) {
	f, _, err := c.open()
	if err != nil {
		return 0, err
	}
	e := make([]byte, 0, entryHeader+len(data)+8)
	e = append(e, entryMagic...)
	e = binary.LittleEndian.AppendUint32(e, uid)
	e = binary.LittleEndian.AppendUint32(e, uint32(len(data)))
	e = append(e, 0, 0, 0, 0)
	e = append(e, data...)
	binary.LittleEndian.PutUint32(e[12:], entrySum(e))
	for len(e)%8 != 0 {
		e = append(e, 0)
	}
	c.mu.Lock()
	off := c.end
	c.end += int64(len(e))
	c.mu.Unlock()
	_, err = f.WriteAt(e, off)
	return off, ioError(err, "writing cache %s", c.name)
}

func entrySum(e []byte) uint32 {
	return crc32.Update(crc32.Checksum(e[4:12], castagnoli), castagnoli, e[entryHeader:])
}

// Get appends to dst what Put stored for uid at off. ok is false when it is
// not there.
func (c *Cache) Get(dst []byte, uid uint32, off int64) (_ []byte, ok bool) {
	if off < cacheHeader {
		return dst, false
	}
	f, end, err := c.open()
	if err != nil {
		return dst, false
	}
	var h [entryHeader]byte
	if _, err := f.ReadAt(h[:], off); err != nil {
		return dst, false
	}
	n := int64(binary.LittleEndian.Uint32(h[8:]))
	if string(h[:4]) != entryMagic || binary.LittleEndian.Uint32(h[4:]) != uid || n > maxEntry || n > end-off-entryHeader {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, make([]byte, n)...)
	if _, err := f.ReadAt(dst[start:], off+entryHeader); err != nil && !(n == 0 && errors.Is(err, io.EOF)) {
		return dst[:start], false
	}
	sum := crc32.Update(crc32.Checksum(h[4:12], castagnoli), castagnoli, dst[start:])
	if sum != binary.LittleEndian.Uint32(h[12:]) {
		return dst[:start], false
	}
	return dst, true
}

// Reset begins the file anew. Offsets of entries are void afterwards; one that
// is used all the same finds another message's entry, or none.
func (c *Cache) Reset() error {
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

// Size is the length of the file, 0 before it was used.
func (c *Cache) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// Close closes the file.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}
