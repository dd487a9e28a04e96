package spool

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Spool is an open directory of messages. Its methods may be called by many
// goroutines.
type Spool struct {
	cfg  Config
	lock disk.File

	ids     idSource
	buffers buffers
	commit  committer
	log     stateLog
	closed  atomic.Bool
	roomAt  atomic.Int64
	minFree atomic.Int64

	ckpt     sync.Mutex // one checkpoint at a time; guards gen
	gen      uint64
	ckptSize atomic.Int64
	older    atomic.Int64 // bytes of the logs between the checkpoint and the current one
	settling sync.Mutex

	mu          sync.Mutex // guards the rest
	index       table
	loaded      []*Entry // what the start found, until Restore
	segments    map[uint64]*segment
	active      *segment
	free        []*segment
	openFiles   int
	lastSegment uint64
	lastEpoch   uint64
	unsafe      []*segment // failed ones whose mark is not durable yet
	doomed      []item.ID  // large bodies to delete once their removal is durable
	held        int
	bytes       int64
	larges      int
	largeBytes  int64
	scratch     []byte
}

// Recovery is what Open found.
type Recovery struct {
	Messages int
	Salvaged int // messages that the damaged state log had lost, now on hold
	Orphans  int // bodies of submissions that were never completed, removed
	Damage   []*Damage
	Took     time.Duration
}

func (c *Config) check() error {
	switch {
	case c.Large < 0 || c.Large > format.MaxInline:
		return fail.New(fail.Invalid, "queue: a large message begins at %d bytes, more than 16 MiB", c.Large)
	case c.SegmentSize < 64<<10 || c.SegmentSize > 1<<30:
		return fail.New(fail.Invalid, "queue: segment size %d is not between 64 KiB and 1 GiB", c.SegmentSize)
	}
	return nil
}

// Open takes the directory and recovers what it holds. Damaged stretches of
// files are put aside and reported; messages whose content is affected are on
// hold. Kind Unavailable: another process has it.
func Open(_ context.Context, cfg Config) (*Spool, *Recovery, error) {
	if err := cfg.check(); err != nil {
		return nil, nil, err
	}
	began := cfg.Now()
	s := &Spool{cfg: cfg}
	s.minFree.Store(cfg.MinFree)
	for _, dir := range []string{"", segmentDir, stateDir, largeDir} {
		if err := disk.MkdirAll(cfg.FS, cfg.dir(dir), dirPerm); err != nil {
			return nil, nil, diskErr(err, "folder of the queue")
		}
	}
	if err := s.takeLock(); err != nil {
		return nil, nil, err
	}
	m, err := load(&s.cfg)
	if err == nil {
		err = s.adopt(m)
	}
	if err != nil {
		_ = s.lock.Close()
		return nil, nil, err
	}
	r := &Recovery{Messages: len(m.entries), Salvaged: m.salvage, Orphans: s.sweep(m), Damage: m.damage}
	r.Took = cfg.Now().Sub(began)
	return s, r, nil
}

func (s *Spool) takeLock() error {
	f, err := s.cfg.FS.OpenFile(s.cfg.dir(lockName), os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return diskErr(err, "lock of the queue")
	}
	if err := disk.TryLock(f, disk.Exclusive); err != nil {
		_ = f.Close()
		return fail.Wrap(fail.KindOf(err), err, "queue %s", s.cfg.Dir)
	}
	s.lock = f
	return nil
}

// adopt makes the image the spool's own: what a crash of the process left in
// the page cache is made durable, damage is put aside, and what comes goes to a
// new log, so that no file that may be torn is ever appended to. The checkpoint
// stays, unless there was damage, or none.
func (s *Spool) adopt(m *image) error {
	for _, g := range m.unsure {
		if err := s.syncFile(s.cfg.segmentFile(g.num)); err != nil {
			return diskErr(err, "segment %d", g.num)
		}
	}
	for _, d := range m.damage {
		s.putAside(d)
	}
	s.take(m)
	s.log.cfg = &s.cfg
	var err error
	if m.hadCkpt && !m.lossy && len(m.damage) == 0 {
		err = s.goOn(m)
	} else {
		err = s.checkpoint()
	}
	if err != nil && m.hadCkpt && !fail.Is(err, fail.Invalid) {
		// The old files say all of it. A full disk must not keep mail from
		// leaving; the checkpoint is made when there is room.
		s.log.breakOff(err)
		s.cfg.warn(err)
		err = nil
	}
	return err
}

// maxLogs is how many logs may be beside one checkpoint before there is a new one.
const maxLogs = 16

// goOn begins another log on the same checkpoint. What no log has yet comes
// first: messages that only their records spoke of, and that the segments
// they were found in need not be read again.
func (s *Spool) goOn(m *image) error {
	for _, gen := range m.logs {
		if err := s.syncFile(s.cfg.logFile(gen)); err != nil {
			return diskErr(err, "state log %d", gen)
		}
	}
	s.gen++
	f, err := s.log.create(s.gen)
	if err != nil {
		return diskErr(err, "state log %d", s.gen)
	}
	disk.Point(s.cfg.FS, "queue.log.created")
	s.log.succeed(f, s.gen)
	s.ckptSize.Store(m.ckpt)
	s.older.Store(m.logged)
	if len(m.logs) >= maxLogs {
		s.older.Store(math.MaxInt64 / 2) // more than enough for Tidy
	}
	s.mu.Lock()
	s.log.append(format.TypeBase, s.base().Append)
	for _, e := range m.fresh {
		msg := s.message(e, []byte(e.summary))
		s.log.append(format.TypeMessage, msg.Append)
	}
	s.mu.Unlock()
	// A power failure may take any part of what is not synced: that a segment
	// need not be read may only be said when its messages are durable here.
	if err := s.log.sync(s.cfg.FS); err != nil {
		return err
	}
	s.mu.Lock()
	for _, g := range s.segments {
		s.noteSegment(g)
	}
	s.mu.Unlock()
	return s.log.sync(s.cfg.FS)
}

// take makes the index of an image.
func (s *Spool) take(m *image) {
	s.segments = m.files
	s.lastSegment, s.lastEpoch = m.base.LastSegment, m.base.LastEpoch
	s.ids.atLeast(m.lastID)
	s.gen = m.gen
	for _, g := range s.segments {
		g.sealed, g.synced = true, g.size
	}
	sortEntries(m.order)
	s.loaded = m.order
	s.index.fill(s.loaded)
	for _, e := range s.loaded {
		s.count(e)
	}
	s.buffers.init(s.cfg.Budget, s.cfg.Large)
}

func (s *Spool) syncFile(name string) error {
	f, err := s.cfg.FS.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// putAside copies a damaged stretch to DIR/damaged, as far as it can be read.
func (s *Spool) putAside(d *Damage) {
	if d.Length <= 0 {
		return
	}
	name := filepath.Join(s.cfg.Dir, damagedDir, filepath.Base(d.File)+fmt.Sprintf(".%010d", d.Offset))
	if err := disk.MkdirAll(s.cfg.FS, s.cfg.dir(damagedDir), dirPerm); err != nil {
		s.cfg.warn(err)
		return
	}
	from, err := s.cfg.FS.OpenFile(d.File, os.O_RDONLY, 0)
	if err != nil {
		return
	}
	defer from.Close()
	err = disk.WriteFileFunc(s.cfg.FS, name, filePerm, func(w io.Writer) error {
		_, _ = io.Copy(w, io.NewSectionReader(from, d.Offset, d.Length)) // what cannot be read is the damage
		return nil
	})
	if err != nil {
		s.cfg.warn(diskErr(err, "putting damage aside"))
		return
	}
	d.Saved = name
}

// sweep removes bodies that no message has. After damage they are put aside
// instead: their message may be what was lost.
func (s *Spool) sweep(m *image) int {
	ids := m.orphans()
	for _, id := range ids {
		name := s.cfg.largeFile(id)
		var err error
		if m.lossy || len(m.damage) > 0 {
			if err = disk.MkdirAll(s.cfg.FS, s.cfg.dir(damagedDir), dirPerm); err == nil {
				err = s.cfg.FS.Rename(name, filepath.Join(s.cfg.Dir, damagedDir, "large-"+id.String()))
			}
		} else {
			err = s.cfg.FS.Remove(name)
		}
		s.cfg.warn(err)
	}
	return len(ids)
}

// Close makes all changes durable and gives the directory back.
func (s *Spool) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.commit.leading.Lock()
	defer s.commit.leading.Unlock()
	err := s.Sync()
	s.mu.Lock()
	for _, g := range s.segments {
		if g.file != nil {
			_ = g.file.Close() // all of it is synced
			g.file = nil
		}
	}
	s.mu.Unlock()
	if cerr := s.log.close(); err == nil {
		err = cerr
	}
	if cerr := s.lock.Close(); err == nil {
		err = cerr
	}
	return err
}
