package index

import (
	"errors"
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
	for i, ch := range c.im.chunks {
		at := c.places[i]
		at.src = src
		ch.place.Store(&at)
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
	return &source{f, name}, nil
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
