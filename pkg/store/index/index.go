package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	filePerm = 0o660
	dirPerm  = fs.ModeSetgid | 0o770
	baseName = "base"

	// reserveBlock is how many MODSEQs are reserved at a time. Every base has
	// such a block in its header, more than a log can use up before the next
	// checkpoint: so the bound is known even when the whole log is lost.
	reserveBlock = 1 << 20
	maxLog       = 1 << 30
)

// Index is one mailbox's index, open for its one writer. Image may be called
// by anybody at any time; everything else only by one goroutine at a time.
type Index struct {
	fs    disk.FS
	dir   string
	epoch uint64

	image atomic.Pointer[Image]
	in    *interner
	x     extra
	base  *source
	size  int64 // of the base

	seq     uint64 // of base and log
	used    uint64 // the highest that any file may have
	log     *disk.Guarded
	logEnd  int64 // where the next frame goes
	synced  int64 // up to where the log is on disk
	broken  error // why the log cannot be written; a checkpoint heals it
	dead    error // why nothing can be done any more: a chunk cannot be read
	running *Checkpoint
	marked  bool      // what was opened in good order says so no more, on disk
	last    time.Time // when the log had been written before it was opened
}

// Create makes an index in dir, replacing what is there. fill puts messages
// into it and may be nil; before it returned nil nothing is replaced. The first
// MODSEQ given out will be above m.HighestModSeq.
func Create(fsys disk.FS, dir string, epoch uint64, m Meta, owner string, fill func(*Batch) error) (*Index, error) {
	if err := disk.MkdirAll(fsys, dir, dirPerm); err != nil {
		return nil, ioError(err, "making index %s", dir)
	}
	x := &Index{fs: fsys, dir: dir, epoch: epoch, in: newInterner(tables{})}
	x.x = extra{buried: map[uint32]string{}, owner: owner, reserved: m.HighestModSeq}
	if m.UIDNext == 0 {
		m.UIDNext = 1
	}
	if m.FirstRecent == 0 {
		m.FirstRecent = 1
	}
	x.image.Store(newImage(m, nil, x.in.tables, history{since: m.HighestModSeq}))
	if fill != nil {
		im, err := x.fill(fill)
		if err != nil {
			return nil, ioError(err, "filling index %s", dir)
		}
		x.x.reserved = max(x.x.reserved, im.HighestModSeq)
		im.gone = history{since: im.HighestModSeq} // what was expunged before is not known
		x.image.Store(im)
	}
	x.used = lastSeq(fsys, dir)
	x.broken = fail.New(fail.Temporary, "index %s has no log yet", dir)
	if err := x.Checkpoint(); err != nil {
		return nil, err
	}
	if err := fsys.Remove(filepath.Join(dir, condemnedName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, ioError(err, "making index %s", dir)
	}
	return x, nil
}

// fill makes the first Image.
func (x *Index) fill(fill func(*Batch) error) (*Image, error) {
	b := x.Begin()
	b.into = &player{e: newEditor(x.Image(), x.in), x: &x.x, in: x.in, filling: true}
	defer b.into.e.settle()
	if err := fill(b); err != nil {
		return nil, err
	}
	if b.drain(); b.err != nil {
		return nil, b.err
	}
	return b.into.e.done()
}

// lastSeq is the highest sequence number of any file in dir: a new index must
// not meet a log of an old one.
func lastSeq(fsys disk.FS, dir string) uint64 {
	var last uint64
	entries, _ := fsys.ReadDir(dir)
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), "log.%d", &n); err == nil {
			last = max(last, n)
		}
	}
	return last
}

// Open reads the index in dir. NotFound: there is none. Corrupt: it is
// damaged (see Salvage), or a writer with a later epoch has been at it.
func Open(fsys disk.FS, dir string, epoch uint64) (*Index, error) {
	name := filepath.Join(dir, baseName)
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, ioError(err, "opening index %s", dir)
	}
	src := &source{fs: fsys, file: f, name: name}
	im, h, ex, err := readBase(src)
	if ok, _ := disk.Exists(fsys, filepath.Join(dir, condemnedName)); ok && err == nil {
		err = damage(name, 0, "its writer found it damaged")
	}
	if err == nil && h.epoch > epoch {
		err = damage(name, 24, "written in epoch %d, this writer's is %d", h.epoch, epoch)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	x := &Index{fs: fsys, dir: dir, epoch: epoch, seq: h.seq, used: h.seq, x: *ex, base: src, size: h.trailer + h.trailen}
	x.in = newInterner(im.tab)
	x.removeStrays()
	if err := x.replay(im); err != nil {
		_ = f.Close()
		return nil, err
	}
	return x, nil
}

// condemnedName marks an index that its writer found damaged.
const condemnedName = "damaged"

// Condemn makes every later Open fail with Corrupt, until Create: for damage
// that shows when a chunk is looked at.
func (x *Index) Condemn() {
	f, err := x.fs.OpenFile(filepath.Join(x.dir, condemnedName), os.O_WRONLY|os.O_CREATE, filePerm)
	if err == nil {
		_ = f.Close()
	}
}

// OwnerOf reads which folder the index in dir was last known to belong to,
// from its base alone. NotFound, Corrupt.
func OwnerOf(fsys disk.FS, dir string) (string, error) {
	name := filepath.Join(dir, baseName)
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return "", ioError(err, "opening index %s", dir)
	}
	defer f.Close()
	_, _, x, err := readBase(&source{file: f, name: name})
	if err != nil {
		return "", err
	}
	return x.owner, nil
}

// Dir is the folder that the index is in.
func (x *Index) Dir() string { return x.dir }

func (x *Index) logName(seq uint64) string {
	return filepath.Join(x.dir, fmt.Sprintf("log.%d", seq))
}

// removeStrays removes what an interrupted checkpoint left.
func (x *Index) removeStrays() {
	entries, _ := x.fs.ReadDir(x.dir)
	for _, e := range entries {
		n := e.Name()
		if n == baseName+".tmp" || strings.HasPrefix(n, "log.") && n != filepath.Base(x.logName(x.seq)) {
			_ = x.fs.Remove(filepath.Join(x.dir, n))
		}
	}
}

// replay applies the log to the base and gets ready to append.
func (x *Index) replay(im *Image) error {
	name := x.logName(x.seq)
	f, err := x.fs.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return damage(name, 0, "the log of the base is missing")
	}
	if err != nil {
		return ioError(err, "opening index %s", x.dir)
	}
	if info, err := f.Stat(); err == nil {
		x.last = info.ModTime()
	}
	end, err := x.readLog(name, f, im)
	if err == nil {
		// What a crash left behind the good frames must not be met again.
		if err = f.Truncate(end); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	x.log, x.logEnd, x.synced = disk.Guard(f, name), end, end
	x.marked = !x.x.clean
	if !x.x.clean {
		// MODSEQs up to the bound may have been shown and their frames lost.
		im := x.image.Load()
		m := im.Meta
		m.HighestModSeq = max(m.HighestModSeq, x.x.reserved)
		x.image.Store(newImage(m, im.list().chunks, im.tab, im.gone))
	}
	return nil
}

func (x *Index) readLog(name string, f disk.File, im *Image) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() > maxLog {
		return 0, damage(name, 0, "%d bytes are too many for a log", info.Size())
	}
	log := make([]byte, info.Size())
	if n, err := f.ReadAt(log, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	} else if n < len(log) {
		log = log[:n]
	}
	seq, epoch, err := readLogHeader(name, log)
	if err != nil {
		return 0, err
	}
	if seq != x.seq || epoch > x.epoch {
		return 0, damage(name, 8, "sequence %d epoch %d, expected %d and at most %d", seq, epoch, x.seq, x.epoch)
	}
	// One editor for all frames: what they do depends on their order only
	// where expunges are concerned, and those hit older messages.
	p := player{e: newEditor(im, x.in), x: &x.x, in: x.in}
	end, err := readFrames(name, log, func(payload []byte, off int64) error {
		p.d = decoder{b: payload}
		for len(p.d.b) > 0 {
			if !p.step(p.d.byte()) {
				return damage(name, off, "%v", errBadOp)
			}
		}
		if p.d.bad {
			return damage(name, off, "%v", errBadOp)
		}
		return p.e.err
	})
	if err != nil {
		return 0, err
	}
	now, err := p.e.done()
	if err != nil {
		return 0, err
	}
	x.image.Store(now)
	return end, nil
}

// Image is the present state.
func (x *Index) Image() *Image { return x.image.Load() }

// Begin starts a batch. One batch at a time: commit it or forget it before the
// next.
func (x *Index) Begin() *Batch {
	return &Batch{tab: x.interner(), next: x.image.Load().HighestModSeq + 1}
}

// Commit writes a batch to the log, applies it and returns the new Image. With
// durable it is on disk when Commit returns; without, a crash may lose it, but
// no part of it and none of its MODSEQs is ever given to something else. After
// an error nothing has changed, and the next Commit first writes a checkpoint;
// but an error of kind Corrupt means that the index must be rebuilt.
//
// Crash points: index.commit.before_write, .before_sync, .after_sync.
func (x *Index) Commit(b *Batch, durable bool) (*Image, error) {
	if b.Empty() {
		return x.Image(), nil
	}
	if x.dead != nil {
		return nil, x.dead
	}
	if x.broken != nil {
		if err := x.Checkpoint(); err != nil {
			return nil, err
		}
	}
	if b.modseq && b.next > x.x.reserved {
		b.op(opReserve, b.next+reserveBlock)
		durable = true
	}
	if b.modseq && !x.marked {
		durable = true // after a crash the index must not look as if it was closed
	}
	if err := x.openLog(); err != nil {
		return nil, x.breakLog(err)
	}
	frame := appendFrame(nil, b.buf, x.synced)
	disk.Point(x.fs, "index.commit.before_write")
	if _, err := x.log.WriteAt(frame, x.logEnd); err != nil {
		return nil, x.breakLog(err)
	}
	if durable {
		disk.Point(x.fs, "index.commit.before_sync")
		if err := x.log.Sync(); err != nil {
			return nil, x.breakLog(err)
		}
		disk.Point(x.fs, "index.commit.after_sync")
	}
	im, err := apply(x.Image(), &x.x, x.interner(), b.buf)
	if err != nil {
		x.dead = err
		return nil, x.breakLog(err)
	}
	x.logEnd += int64(len(frame))
	if durable {
		x.synced, x.marked = x.logEnd, true
	}
	if x.running != nil {
		x.running.tail = append(x.running.tail, b.buf)
	}
	x.image.Store(im)
	return im, nil
}

// interner is the one that goes with the present Image.
func (x *Index) interner() *interner {
	if x.in == nil {
		x.in = newInterner(x.Image().tab)
	}
	return x.in
}

// Rest drops what nobody needs while nothing happens: all that is on disk from
// memory, and the open files. What was committed is durable after it. Images
// stay usable.
func (x *Index) Rest() error {
	if x.running != nil || x.dead != nil || x.broken != nil {
		return nil
	}
	if err := x.Sync(); err != nil {
		return err
	}
	x.Image().Evict()
	x.in = nil
	x.base.rest()
	if x.log == nil {
		return nil
	}
	err := x.log.Close()
	x.log = nil
	return ioError(err, "closing index %s", x.dir)
}

// openLog opens the log again after Rest.
func (x *Index) openLog() error {
	if x.log != nil {
		return nil
	}
	name := x.logName(x.seq)
	f, err := x.fs.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < x.logEnd {
		err = damage(name, info.Size(), "the log has become shorter, it had %d bytes", x.logEnd)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	x.log = disk.Guard(f, name)
	return nil
}

// breakLog notes that the log may hold a frame that must not count.
func (x *Index) breakLog(err error) error {
	x.broken = ioError(err, "writing index %s", x.dir)
	return x.broken
}

// Sync makes all that was committed durable.
func (x *Index) Sync() error {
	if x.broken != nil {
		return x.Checkpoint()
	}
	if x.synced == x.logEnd {
		return nil
	}
	if err := x.log.Sync(); err != nil {
		return x.breakLog(err)
	}
	x.synced = x.logEnd
	return nil
}

// Stamps returns what the last Batch.Stamps recorded.
func (x *Index) Stamps() Stamps { return x.x.stamps }

// LastWritten is when the index was last written before it was opened; zero
// for a new one.
func (x *Index) LastWritten() time.Time { return x.last }

// Clean reports, of an index that was just opened, whether its last writer
// closed it. After a crash it may know less than was shown.
func (x *Index) Clean() bool { return x.x.clean }

// Owner is the folder's directory as last recorded.
func (x *Index) Owner() string { return x.x.owner }

// Buried returns the files that are still to be removed, by UID. Do not change
// the map.
func (x *Index) Buried() map[uint32]string { return x.x.buried }

// Close makes everything durable and closes. After an error the files are
// closed all the same.
func (x *Index) Close() error {
	err := x.dead
	if err == nil && x.broken != nil {
		err = x.Checkpoint()
	}
	if err == nil {
		err = x.openLog()
	}
	if err == nil {
		b := Batch{}
		b.op(opClean, x.Image().HighestModSeq)
		frame := appendFrame(nil, b.buf, x.synced)
		if _, err = x.log.WriteAt(frame, x.logEnd); err == nil {
			x.logEnd += int64(len(frame))
			err = x.log.Sync()
		}
	}
	if x.log != nil {
		err = errors.Join(err, x.log.Close())
	}
	// The base is, or stays, open for Images that are still held; the garbage
	// collector closes it.
	_ = x.base.keep() // fails when the mailbox is gone
	return ioError(err, "closing index %s", x.dir)
}

// ioError gives an error its kind.
func ioError(err error, format string, args ...any) error {
	switch {
	case err == nil:
		return nil
	case fail.KindOf(err) != fail.Temporary:
		return err
	case disk.IsFull(err):
		return fail.Wrap(fail.Full, err, format, args...)
	case errors.Is(err, fs.ErrNotExist):
		return fail.Wrap(fail.NotFound, err, format, args...)
	case errors.Is(err, fs.ErrPermission):
		return fail.Wrap(fail.Denied, err, format, args...)
	}
	return fail.Wrap(fail.Temporary, err, format, args...)
}
