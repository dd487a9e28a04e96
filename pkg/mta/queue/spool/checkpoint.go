package spool

import (
	"bufio"
	"errors"
	"os"
	"strings"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// checkpointBatch is how many entries are encoded under one hold of the lock.
const checkpointBatch = 256

// checkpoint starts a new state log and writes all that is in the index
// beside it. Changes go on meanwhile, into the new log; because every change
// says what is now, replaying the log on a checkpoint that has some of them
// already gives the same. Once the checkpoint is durable the older files go.
func (s *Spool) checkpoint() error {
	s.ckpt.Lock()
	defer s.ckpt.Unlock()
	return s.checkpointLocked()
}

func (s *Spool) checkpointLocked() error {
	s.gen++ // also if what follows fails: a number is used once
	gen := s.gen
	f, err := s.log.create(gen)
	if err != nil {
		return diskErr(err, "state log %d", gen)
	}
	disk.Point(s.cfg.FS, "queue.log.created")
	s.log.succeed(f, gen)
	size, err := s.writeCheckpoint(gen)
	if err != nil {
		s.log.giveUp()
		return diskErr(err, "checkpoint %d", gen)
	}
	disk.Point(s.cfg.FS, "queue.checkpoint.done")
	s.log.mend()
	s.ckptSize.Store(size)
	s.older.Store(0)
	s.removeOlder(gen)
	return nil
}

func (s *Spool) writeCheckpoint(gen uint64) (int64, error) {
	name := s.cfg.checkpointFile(gen)
	tmp := name + ".tmp"
	f, err := s.cfg.FS.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return 0, err
	}
	size, err := s.fillCheckpoint(f, gen)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = s.cfg.FS.Remove(tmp)
		return 0, err
	}
	disk.Point(s.cfg.FS, "queue.checkpoint.written")
	if err := s.cfg.FS.Rename(tmp, name); err != nil {
		_ = s.cfg.FS.Remove(tmp)
		return 0, err
	}
	disk.Point(s.cfg.FS, "queue.checkpoint.renamed")
	if err := s.cfg.FS.SyncDir(s.cfg.dir(stateDir)); err != nil {
		// The new name may or may not be durable. Both are sound: the older
		// checkpoint and all logs since are still there.
		return 0, err
	}
	return size, nil
}

// frameWriter frames what goes into a checkpoint.
type frameWriter struct {
	w    *bufio.Writer
	gen  uint32
	seq  uint64
	size int64
	buf  []byte
}

func (w *frameWriter) frame(t format.Type, payload func([]byte) []byte) error {
	w.buf = format.AppendFrame(w.buf[:0], format.Frame{Type: t, Generation: w.gen, Seq: w.seq}, payload)
	w.seq++
	return w.flush(w.buf)
}

func (w *frameWriter) flush(b []byte) error {
	w.size += int64(len(b))
	_, err := w.w.Write(b)
	return err
}

func (s *Spool) fillCheckpoint(f disk.File, gen uint64) (int64, error) {
	w := &frameWriter{w: bufio.NewWriterSize(f, 256<<10), gen: uint32(gen)}
	if err := w.flush(format.Header{Kind: format.Checkpoint, Number: gen}.Append(nil)); err != nil {
		return 0, err
	}
	base, infos, list := s.picture()
	if err := w.frame(format.TypeBase, base.Append); err != nil {
		return 0, err
	}
	for i := range infos {
		if err := w.frame(format.TypeSegment, infos[i].Append); err != nil {
			return 0, err
		}
	}
	var messages uint64
	for len(list) > 0 {
		n := min(len(list), checkpointBatch)
		k, err := s.frameEntries(w, list[:n])
		if err != nil {
			return 0, err
		}
		messages += k
		list = list[n:]
	}
	err := w.frame(format.TypeEnd, func(b []byte) []byte { return format.AppendEnd(b, messages) })
	if err == nil {
		err = w.w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return w.size, err
}

// picture is taken after the new log began, at one moment: a segment's
// Covered must not promise messages that the list does not have.
func (s *Spool) picture() (format.Base, []format.SegmentInfo, []*Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := make([]format.SegmentInfo, 0, len(s.segments))
	for _, g := range s.segments {
		infos = append(infos, g.info())
	}
	return s.base(), infos, s.index.all()
}

// base is what no message tells. s.mu is held.
func (s *Spool) base() format.Base {
	return format.Base{LastID: s.ids.last(), LastSegment: s.lastSegment, LastEpoch: s.lastEpoch}
}

// frameEntries writes some entries; those that have gone are left out, the
// new log says so too.
func (s *Spool) frameEntries(w *frameWriter, list []*Entry) (n uint64, err error) {
	batch := w.buf[:0]
	s.mu.Lock()
	for _, e := range list {
		if e.flags&gone != 0 {
			continue
		}
		batch = format.AppendFrame(batch, format.Frame{Type: format.TypeMessage, Generation: w.gen, Seq: w.seq}, func(b []byte) []byte {
			m := s.message(e, nil)
			return s.packed(m.Append(b), e)
		})
		w.seq++
		n++
	}
	s.mu.Unlock()
	w.buf = batch
	return n, w.flush(batch)
}

// removeOlder deletes logs and checkpoints before gen. What stays behind
// after a failure is deleted next time.
func (s *Spool) removeOlder(gen uint64) {
	entries, err := s.cfg.FS.ReadDir(s.cfg.dir(stateDir))
	if err != nil {
		s.cfg.warn(diskErr(err, "old state logs"))
		return
	}
	for _, d := range entries {
		name, unfinished := strings.CutSuffix(d.Name(), ".tmp")
		n, isLog := numbered(name, logPrefix)
		if !isLog {
			n, _ = numbered(name, checkpointPrefix)
		}
		if n > 0 && (n < gen || unfinished) {
			_ = s.cfg.FS.Remove(s.cfg.dir(stateDir) + "/" + d.Name())
		}
	}
}

// Flush writes all changes; a crash of the process no longer loses them. A
// failure costs repeated deliveries at worst, and Tidy mends the log, so that
// nobody needs to know but the log.
func (s *Spool) Flush() {
	if err := s.log.flush(); err != nil && !errors.Is(err, errLogBroken) {
		s.cfg.warn(diskErr(err, "state log"))
	}
}

// Done is Flush after results of a delivery.
func (s *Spool) Done() {
	s.Flush()
	disk.Point(s.cfg.FS, "queue.recipient.done")
}

// Sync makes all changes so far durable. If the state log cannot be written
// any more, a new checkpoint is made.
func (s *Spool) Sync() error {
	err := s.log.sync(s.cfg.FS)
	if err == nil {
		return nil
	}
	s.cfg.warn(diskErr(err, "state log given up"))
	if err := s.mendLog(); err != nil {
		return err
	}
	if err := s.log.sync(s.cfg.FS); err != nil {
		return diskErr(err, "state log")
	}
	return nil
}

// mendLog makes a checkpoint unless another caller just did.
func (s *Spool) mendLog() error {
	s.ckpt.Lock()
	defer s.ckpt.Unlock()
	s.log.io.Lock()
	broken := s.log.broken != nil
	s.log.io.Unlock()
	if !broken {
		return nil
	}
	return s.checkpointLocked()
}
