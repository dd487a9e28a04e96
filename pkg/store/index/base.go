package index

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// Checkpoint is a base being written: Start and Finish under the writer's
// lock, Write without it, while the mailbox goes on.
type Checkpoint struct {
	x      *Index
	im     *Image
	ex     extra
	seq    uint64
	tail   [][]byte // frames since the start
	places []place
	size   int64
}

// NeedsCheckpoint reports whether the log has grown enough to be worth it: a
// quarter of the base, so that each byte of the base is rewritten for four
// bytes of changes at most, and opening stays quick.
func (x *Index) NeedsCheckpoint() bool {
	return x.broken != nil || x.logEnd > max(256<<10, x.size/4)
}

// Start begins a checkpoint of the present state; nil while another runs.
func (x *Index) Start() *Checkpoint {
	if x.running != nil {
		return nil
	}
	x.used++
	x.running = &Checkpoint{x: x, im: x.Image(), ex: x.x.clone(), seq: x.used}
	x.running.ex.reserved = max(x.x.reserved, x.Image().HighestModSeq+reserveBlock)
	return x.running
}

// Write writes the new base beside the old one.
func (c *Checkpoint) Write() error {
	h := head{seq: c.seq, epoch: c.x.epoch, meta: c.im.Meta, reserved: c.ex.reserved}
	var err error
	c.places, err = writeBase(c.x.fs, c.tmp(), h, c.im, &c.ex)
	return ioError(err, "writing index %s", c.x.dir)
}

func (c *Checkpoint) tmp() string { return filepath.Join(c.x.dir, baseName+".tmp") }

// Finish makes the new base the one that counts, with a new log that begins
// with what happened since Start. Before Write returned nil it only ends the
// checkpoint.
//
// Crash points: index.checkpoint.before_sync, .before_log, .before_rename,
// .before_syncdir, .before_remove. Until the rename the old base and log
// count, after it the new ones.
func (c *Checkpoint) Finish() error {
	x := c.x
	x.running = nil
	if c.places == nil {
		_ = x.fs.Remove(c.tmp())
		return nil
	}
	log, end, err := c.newLog()
	if err != nil {
		_ = x.fs.Remove(c.tmp())
		return ioError(err, "writing index %s", x.dir)
	}
	src, err := c.publish()
	if err != nil {
		_ = log.Close()
		// Which of the two counts is not known before the next start; both
		// say the same up to here, and nothing is written to either.
		return x.breakLog(err)
	}
	if x.log != nil {
		_ = x.log.Close()
	}
	old := x.logName(x.seq)
	x.seq = c.seq
	x.log, x.logEnd, x.synced, x.broken = disk.Guard(log, x.logName(x.seq)), end, end, nil
	x.base, x.size = src, c.size
	x.x.reserved = max(x.x.reserved, c.ex.reserved)
	i := 0
	for p := range c.im.parts() {
		at := c.places[i]
		at.src = src
		p.place.Store(&at)
		i++
	}
	disk.Point(x.fs, "index.checkpoint.before_remove")
	_ = x.fs.Remove(old)
	return nil
}

// newLog writes the log that goes with the new base.
func (c *Checkpoint) newLog() (disk.File, int64, error) {
	x := c.x
	buf := appendLogHeader(nil, c.seq, x.epoch)
	buf = appendFrame(buf, c.pendings(), 0)
	for _, payload := range c.tail {
		buf = appendFrame(buf, payload, 0)
	}
	name := x.logName(c.seq)
	f, err := x.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return nil, 0, err
	}
	_, err = f.WriteAt(buf, 0)
	if err == nil {
		disk.Point(x.fs, "index.checkpoint.before_log")
		err = f.Sync()
	}
	if err == nil {
		err = x.fs.SyncDir(x.dir)
	}
	if err != nil {
		_ = f.Close()
		_ = x.fs.Remove(name)
		return nil, 0, err
	}
	return f, int64(len(buf)), nil
}

// publish renames the new base into place.
func (c *Checkpoint) publish() (*source, error) {
	x, name := c.x, filepath.Join(c.x.dir, baseName)
	if err := x.base.keep(); err != nil { // older Images read what has no name any more
		return nil, err
	}
	disk.Point(x.fs, "index.checkpoint.before_rename")
	if err := x.fs.Rename(c.tmp(), name); err != nil {
		return nil, err
	}
	disk.Point(x.fs, "index.checkpoint.before_syncdir")
	if err := x.fs.SyncDir(x.dir); err != nil {
		return nil, err
	}
	f, err := x.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c.size = info.Size()
	return &source{fs: x.fs, file: f, name: name}, nil
}

// pendings lists the flag changes that are not in file names yet, so that they
// survive a damaged base, and the keywords that they need.
func (c *Checkpoint) pendings() []byte {
	b := &Batch{}
	b.op(opReserve, c.ex.reserved)
	for i, k := range c.im.tab.keywords {
		b.op(opKeyword, uint64(i))
		b.text(k)
	}
	for uid, base := range c.ex.buried {
		b.Bury(uid, base)
	}
	for _, x := range c.im.Range(0, c.im.Len()) {
		if diff := x.Flags ^ x.FileFlags; diff != 0 {
			b.op(opPending, uint64(x.UID), uint64(diff&x.Flags), uint64(diff&x.FileFlags), 0, 0)
		}
	}
	return b.buf
}

// Checkpoint does all of it at once.
func (x *Index) Checkpoint() error {
	c := x.Start()
	if c == nil {
		return ioError(x.broken, "writing index %s", x.dir)
	}
	err := c.Write()
	return errors.Join(err, c.Finish())
}

// A base is a header of 96 bytes, the data of chunks and history, and a
// trailer: where they are, the tables, and what else the index keeps.
//
//	 0 "PCIXBAS\x02" | crc of the rest of the header 4 | 0 4
//	16 seq 8 | epoch 8
//	32 uidvalidity 4 | uidnext 4 | first recent 4 | 0 4
//	48 highest modseq 8 | reserved bound 8
//	64 trailer offset 8 | trailer length 8
//	80 trailer crc 4 | 0 12
const (
	baseMagic  = "PCIXBAS" // and the version
	baseHeader = 96
	version    = 2 // 1 had neither the chunks' MODSEQs nor a history
	maxTrailer = 1 << 30
)

// head is a base's header.
type head struct {
	version          uint8
	seq, epoch       uint64
	meta             Meta
	reserved         uint64
	trailer, trailen int64
	trailcrc         uint32
}

func (h *head) append(dst []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, baseHeader)
	copy(b, baseMagic)
	b[7] = version
	le.PutUint64(b[16:], h.seq)
	le.PutUint64(b[24:], h.epoch)
	le.PutUint32(b[32:], h.meta.UIDValidity)
	le.PutUint32(b[36:], h.meta.UIDNext)
	le.PutUint32(b[40:], h.meta.FirstRecent)
	le.PutUint64(b[48:], h.meta.HighestModSeq)
	le.PutUint64(b[56:], h.reserved)
	le.PutUint64(b[64:], uint64(h.trailer))
	le.PutUint64(b[72:], uint64(h.trailen))
	le.PutUint32(b[80:], h.trailcrc)
	le.PutUint32(b[8:], crc32.Checksum(b[16:], castagnoli))
	return append(dst, b...)
}

func readHead(file string, b []byte) (head, error) {
	le := binary.LittleEndian
	if len(b) < baseHeader || string(b[:7]) != baseMagic || b[7] < 1 || b[7] > version {
		return head{}, damage(file, 0, "no index of this version")
	}
	if crc32.Checksum(b[16:baseHeader], castagnoli) != le.Uint32(b[8:]) {
		return head{}, damage(file, 8, "checksum of the header")
	}
	return head{
		version: b[7], seq: le.Uint64(b[16:]), epoch: le.Uint64(b[24:]),
		meta: Meta{
			UIDValidity: le.Uint32(b[32:]), UIDNext: le.Uint32(b[36:]), FirstRecent: le.Uint32(b[40:]),
			HighestModSeq: le.Uint64(b[48:]),
		},
		reserved: le.Uint64(b[56:]), trailer: int64(le.Uint64(b[64:])), trailen: int64(le.Uint64(b[72:])),
		trailcrc: le.Uint32(b[80:]),
	}, nil
}

// writeBase writes a whole Image to a new file, synced. It returns the places
// of its parts.
func writeBase(fsys disk.FS, name string, h head, im *Image, x *extra) ([]place, error) {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 256<<10)
	_, _ = w.Write(make([]byte, baseHeader)) // errors stay in w until Flush
	off := int64(baseHeader)
	places := make([]place, 0, len(im.list().chunks)+len(im.gone.blocks))
	for p := range im.parts() {
		data, err := p.read()
		if err != nil {
			return nil, err
		}
		places = append(places, place{off: off, size: len(data), crc: crc32.Checksum(data, castagnoli)})
		_, _ = w.Write(data)
		off += int64(len(data))
	}
	trailer := appendTrailer(nil, im, places, x)
	_, _ = w.Write(trailer)
	if err := w.Flush(); err != nil {
		return nil, err
	}
	h.trailer, h.trailen, h.trailcrc = off, int64(len(trailer)), crc32.Checksum(trailer, castagnoli)
	if _, err := f.WriteAt(h.append(nil), 0); err != nil {
		return nil, err
	}
	disk.Point(fsys, "index.checkpoint.before_sync")
	return places, f.Sync()
}

func appendTrailer(dst []byte, im *Image, places []place, x *extra) []byte {
	u := func(n ...uint64) {
		for _, v := range n {
			dst = binary.AppendUvarint(dst, v)
		}
	}
	text := func(s string) {
		u(uint64(len(s)))
		dst = append(dst, s...)
	}
	chunks := im.list().chunks
	u(uint64(len(chunks)))
	for i, c := range chunks {
		dst = places[i].append(c.summary.append(dst))
	}
	u(uint64(len(im.tab.keywords)))
	for _, k := range im.tab.keywords {
		text(k)
	}
	u(uint64(len(im.tab.sets)))
	for _, s := range im.tab.sets {
		u(uint64(len(s)))
		for _, k := range s {
			u(uint64(k))
		}
	}
	u(uint64(len(im.tab.hosts)))
	for _, h := range im.tab.hosts {
		text(h)
	}
	u(uint64(len(x.buried)))
	for uid, name := range x.buried {
		u(uint64(uid))
		text(name)
	}
	text(x.owner)
	b := Batch{buf: dst}
	b.Stamps(x.stamps)
	dst = b.buf
	u(im.gone.since, uint64(len(im.gone.blocks)))
	for i, b := range im.gone.blocks {
		u(uint64(b.n), b.first, b.last)
		dst = places[len(chunks)+i].append(dst)
	}
	return dst
}

// readBase reads header and trailer; chunks are read when they are looked at.
func readBase(src *source) (*Image, head, *extra, error) {
	name, f := src.name, src.file
	info, err := f.Stat()
	if err != nil {
		return nil, head{}, nil, err
	}
	buf := make([]byte, baseHeader)
	if n, err := f.ReadAt(buf, 0); err != nil && err != io.EOF { //nolint:errorlint // ReaderAt returns it bare
		return nil, head{}, nil, err
	} else if n < baseHeader {
		return nil, head{}, nil, damage(name, int64(n), "the file ends in its header")
	}
	h, err := readHead(name, buf)
	if err != nil {
		return nil, h, nil, err
	}
	if h.trailer < baseHeader || h.trailen < 0 || h.trailen > maxTrailer || h.trailer > info.Size()-h.trailen {
		return nil, h, nil, damage(name, 64, "the trailer lies outside the file")
	}
	buf = make([]byte, h.trailen)
	if _, err := f.ReadAt(buf, h.trailer); err != nil {
		return nil, h, nil, damage(name, h.trailer, "reading the trailer: %v", err)
	}
	if crc32.Checksum(buf, castagnoli) != h.trailcrc {
		return nil, h, nil, damage(name, h.trailer, "checksum of the trailer")
	}
	t := trailerReader{d: decoder{b: buf}, src: src, end: h.trailer}
	im, x := t.read(h.version, h.meta)
	if t.d.bad {
		return nil, h, nil, damage(name, h.trailer, "the trailer makes no sense")
	}
	x.reserved = h.reserved
	return im, h, x, nil
}

type trailerReader struct {
	d   decoder
	src *source
	end int64 // of the parts
}

func (t *trailerReader) read(version uint8, m Meta) (*Image, *extra) {
	chunks := t.chunks(version, m)
	tab := t.tables()
	x := &extra{buried: map[uint32]string{}}
	for n := t.d.uint(); n > 0 && !t.d.bad; n-- {
		uid := t.d.uid()
		x.buried[uid] = t.d.text(maxNameLen)
	}
	x.owner = t.d.text(maxNameLen)
	if t.d.byte() != opStamps {
		t.d.fail()
	}
	p := player{d: t.d, x: x}
	p.stamps()
	t.d = p.d
	gone := history{since: m.HighestModSeq}
	if version >= 2 {
		gone = t.history()
	}
	return newImage(m, chunks, tab, gone), x
}

// place reads where a part of at least least and at most most bytes is.
func (t *trailerReader) place(least, most uint64) *place {
	off, size, crc := t.d.uint(), t.d.uint(), t.d.uint()
	if size < least || size > most || off > uint64(t.end) || size > uint64(t.end)-off {
		t.d.fail()
		return nil
	}
	return &place{src: t.src, off: int64(off), size: int(size), crc: uint32(crc)}
}

func (t *trailerReader) chunks(version uint8, m Meta) []*chunk {
	var out []*chunk
	last, total := uint32(0), uint64(0)
	for n := t.d.uint(); n > 0 && !t.d.bad; n-- {
		c := &chunk{}
		c.modseq = m.HighestModSeq
		count := c.parse(&t.d, version)
		total += count
		if count == 0 || count > maxChunk || c.first <= last || c.last < c.first || total > math.MaxInt32 {
			t.d.fail()
		}
		c.place.Store(t.place(count*recordSize, count*recordSize+maxArena))
		last = c.last
		out = append(out, c)
	}
	return out
}

// append writes a chunk's summary as it is in a trailer.
func (s *summary) append(dst []byte) []byte {
	for _, v := range [...]uint64{
		uint64(s.n), uint64(s.first), uint64(s.last), uint64(s.or), uint64(s.and), uint64(s.unseen), uint64(s.deleted),
		uint64(s.vsize), uint64(s.unsized), uint64(s.dirty), uint64(s.fresh), s.modseq,
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

// parse is the opposite; it returns the number of records that is written there.
func (s *summary) parse(d *decoder, version uint8) (count uint64) {
	count = d.uint()
	s.first, s.last = d.uid(), d.uid()
	s.or, s.and = uint8(d.uint()), uint8(d.uint())
	upTo := func(most uint64) int { return int(min(d.uint(), most)) }
	s.n = int(min(count, maxChunk))
	s.unseen, s.deleted = upTo(count), upTo(count)
	s.vsize = int64(min(d.uint(), math.MaxInt64/2))
	s.unsized, s.dirty, s.fresh = upTo(count), upTo(count), upTo(count)
	if version >= 2 {
		s.modseq = d.uint()
	}
	return count
}

func (t *trailerReader) tables() tables {
	var tab tables
	for n := t.d.uint(); n > 0 && !t.d.bad; n-- {
		tab.keywords = append(tab.keywords, t.d.text(maxText))
	}
	if len(tab.keywords) > MaxKeywords {
		t.d.fail()
	}
	for n := t.d.uint(); n > 0 && !t.d.bad; n-- {
		var set []uint16
		for k := t.d.uint(); k > 0 && !t.d.bad; k-- {
			id := t.d.uint()
			if id >= uint64(len(tab.keywords)) || len(set) > 0 && id <= uint64(set[len(set)-1]) {
				t.d.fail()
			}
			set = append(set, uint16(id&0xffff))
		}
		tab.sets = append(tab.sets, set)
		tab.names = append(tab.names, tab.namesOf(set))
	}
	for n := t.d.uint(); n > 0 && !t.d.bad; n-- {
		tab.hosts = append(tab.hosts, t.d.text(maxText))
	}
	if len(tab.sets) > 0 && len(tab.sets[0]) != 0 {
		t.d.fail()
	}
	return tab
}
