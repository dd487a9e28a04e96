package spool

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// errLogBroken is why nothing more is written to a state log.
var errLogBroken = errors.New("the state log is waiting for a new checkpoint")

// stateLog appends changes to the current log file. append only fills a
// buffer; flush writes it; sync makes it durable. After a failed write or sync
// the file is not touched again: changes are then only in the index, from
// which the next checkpoint writes all of them (Spool.checkpoint).
type stateLog struct {
	cfg *Config

	io      sync.Mutex // one writer or syncer at a time; guards the next five
	file    disk.File  // nil when there is none
	off     int64      // end of what is written
	written uint64     // positions in the endless stream of changes
	synced  uint64
	broken  error // set: file must not be used; written and synced stand still

	mu       sync.Mutex // guards the rest
	buf      []byte     // framed, not yet written
	spare    []byte
	gen      uint32
	seq      uint64
	appended uint64
	dropping bool // broken and no successor yet: changes need not be kept

	durable atomic.Uint32 // bytes of the file that are durable
	length  atomic.Int64  // off, for size
	syncs   atomic.Uint64
}

// bufferLimit is when append's caller is asked to flush.
const bufferLimit = 256 << 10

// append adds a change. It may be called with Spool.mu held.
func (l *stateLog) append(t format.Type, payload func([]byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropping {
		l.appended++
		return
	}
	before := len(l.buf)
	l.buf = format.AppendFrame(l.buf, format.Frame{Type: t, Generation: l.gen, Seq: l.seq, Durable: l.durable.Load()}, payload)
	l.seq++
	l.appended += uint64(len(l.buf) - before)
}

// pressed reports whether the buffer should be flushed soon.
func (l *stateLog) pressed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buf) > bufferLimit
}

// flush writes what was appended before the call. A crash of the process no
// longer loses it, a crash of the machine may.
func (l *stateLog) flush() error {
	l.mu.Lock()
	pos := l.appended
	l.mu.Unlock()
	l.io.Lock()
	defer l.io.Unlock()
	if l.broken == nil && l.written >= pos {
		return nil // another caller took it along
	}
	return l.flushLocked()
}

func (l *stateLog) flushLocked() error {
	if l.broken != nil {
		return l.broken
	}
	l.mu.Lock()
	b, pos := l.buf, l.appended
	l.buf = l.spare[:0]
	l.spare = nil
	l.mu.Unlock()
	if len(b) > 0 {
		if _, err := l.file.WriteAt(b, l.off); err != nil {
			l.breakOff(err)
			return err
		}
		l.off += int64(len(b))
		l.length.Store(l.off)
	}
	l.written = pos
	l.mu.Lock()
	if cap(b) <= 2*bufferLimit {
		l.spare = b
	}
	l.mu.Unlock()
	return nil
}

// sync makes durable what was appended before the call.
func (l *stateLog) sync(fsys disk.FS) error {
	l.mu.Lock()
	pos := l.appended
	l.mu.Unlock()
	l.io.Lock()
	defer l.io.Unlock()
	if l.broken == nil && l.synced >= pos {
		return nil
	}
	return l.syncLocked(fsys)
}

func (l *stateLog) syncLocked(fsys disk.FS) error {
	if err := l.flushLocked(); err != nil {
		return err
	}
	if l.synced == l.written {
		return nil
	}
	disk.Point(fsys, "queue.state.before_sync")
	l.syncs.Add(1)
	if err := l.file.Sync(); err != nil {
		l.breakOff(err)
		return err
	}
	disk.Point(fsys, "queue.state.after_sync")
	l.synced = l.written
	l.durable.Store(uint32(min(l.off, 1<<32-1)))
	return nil
}

// breakOff ends the use of the file. l.io is held.
func (l *stateLog) breakOff(cause error) {
	l.broken = errors.Join(errLogBroken, cause)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropping = true
	l.buf = nil
}

// create makes the log file of a generation, durable and empty.
func (l *stateLog) create(gen uint64) (disk.File, error) {
	name := l.cfg.logFile(gen)
	f, err := l.cfg.FS.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(format.Header{Kind: format.Log, Number: gen}.Append(nil), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.cfg.FS.SyncDir(l.cfg.dir(stateDir))
	}
	if err != nil {
		_ = f.Close()
		_ = l.cfg.FS.Remove(name)
		return nil, err
	}
	return disk.Guard(f, name), nil
}

// succeed goes on in another file. What the old one holds is made durable
// first, unless it is broken; then it stays broken until mend.
func (l *stateLog) succeed(f disk.File, gen uint64) {
	l.io.Lock()
	defer l.io.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil && l.file != nil {
		l.settleOld()
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file, l.off, l.gen, l.seq = f, format.HeaderSize, uint32(gen), 0
	l.buf, l.dropping = nil, false
	l.durable.Store(format.HeaderSize)
	l.length.Store(l.off)
}

// settleOld writes and syncs the rest of the old file; both locks are held.
func (l *stateLog) settleOld() {
	var err error
	if len(l.buf) > 0 {
		_, err = l.file.WriteAt(l.buf, l.off)
	}
	if err == nil && (len(l.buf) > 0 || l.synced != l.written) {
		l.syncs.Add(1)
		err = l.file.Sync()
	}
	if err != nil {
		l.broken = errors.Join(errLogBroken, err)
		return
	}
	l.written, l.synced = l.appended, l.appended
}

// mend ends the broken state: a checkpoint that has all changes up to the
// current file's beginning is durable.
func (l *stateLog) mend() {
	l.io.Lock()
	defer l.io.Unlock()
	if l.broken == nil {
		return
	}
	l.broken = nil
	l.mu.Lock()
	l.written = l.appended - uint64(len(l.buf))
	l.mu.Unlock()
	l.synced = l.written
}

// giveUp says that no checkpoint came about: a broken log stays broken, and
// what was kept since is in the index anyway.
func (l *stateLog) giveUp() {
	l.io.Lock()
	defer l.io.Unlock()
	if l.broken != nil {
		l.mu.Lock()
		l.dropping, l.buf = true, nil
		l.mu.Unlock()
	}
}

func (l *stateLog) close() error {
	l.io.Lock()
	defer l.io.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.broken = nil, errLogBroken
	return err
}

// size is the length of the current file. It does not wait for a sync.
func (l *stateLog) size() int64 { return l.length.Load() }
