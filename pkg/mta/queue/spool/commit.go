package spool

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// pending is one record on its way into the active segment.
type pending struct {
	rec     format.Record // Epoch, Seq and Durable are filled in by the leader
	env     []byte
	headers []byte
	body    []byte // nil for a body in its own file
	entry   *Entry // put into the index afterwards
	summary []byte // of entry, packed
	from    *segment
	off     int64

	err  error
	lead bool
	wake chan struct{}
}

// committer is the queue of those who want to commit. The first one leads: it
// takes all that have come, writes, syncs once, and hands over to the first
// of those who came meanwhile.
type committer struct {
	leading sync.Mutex // held by the leader while it works; Close waits for it

	mu      sync.Mutex
	waiting []*pending
	spare   []*pending
	busy    bool
	buf     []byte // the leader's
	used    sync.Pool

	syncs   atomic.Uint64
	commits atomic.Uint64
}

// maxKept caps the memory of a record's parts that is used again.
const maxKept = 4 << 10

// begin is an empty pending, with memory for its parts.
func (c *committer) begin() *pending {
	p, _ := c.used.Get().(*pending)
	if p == nil {
		p = &pending{wake: make(chan struct{}, 1), env: make([]byte, 0, 384), summary: make([]byte, 0, 128)}
	}
	return p
}

// done takes back what begin gave, once submit has returned.
func (c *committer) done(p *pending) {
	if cap(p.env) > maxKept || cap(p.summary) > maxKept {
		return
	}
	*p = pending{wake: p.wake, env: p.env[:0], summary: p.summary[:0]}
	c.used.Put(p)
}

const (
	groupBytes = 8 << 20   // a group's size; larger ones make the first wait
	writeBytes = 512 << 10 // one write
)

// submit returns after p is durable and in the index, or has failed.
func (s *Spool) submit(p *pending) error {
	c := &s.commit
	c.mu.Lock()
	c.waiting = append(c.waiting, p)
	if c.busy {
		c.mu.Unlock()
		<-p.wake
		if !p.lead {
			return p.err
		}
	} else {
		c.busy = true
		c.mu.Unlock()
		runtime.Gosched() // others that are ready to submit come along
	}
	batch := c.take()
	c.leading.Lock()
	s.commitGroup(batch)
	full := s.roll()
	c.leading.Unlock()
	c.handOver(batch, p)
	if full {
		s.cfg.warn(s.settle())
	}
	if s.log.pressed() {
		s.Flush()
	}
	return p.err
}

// take gives the leader its group.
func (c *committer) take() []*pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(c.waiting) && size < groupBytes {
		size += c.waiting[n].rec.Size()
		n++
	}
	if n == len(c.waiting) {
		batch := c.waiting
		c.waiting, c.spare = c.spare[:0], nil
		return batch
	}
	batch := append(c.spare[:0], c.waiting[:n]...)
	c.spare = nil
	c.waiting = append(c.waiting[:0], c.waiting[n:]...)
	return batch
}

// handOver wakes the next leader, then the group.
func (c *committer) handOver(batch []*pending, self *pending) {
	c.mu.Lock()
	if len(c.waiting) > 0 {
		next := c.waiting[0]
		next.lead = true
		next.wake <- struct{}{}
	} else {
		c.busy = false
	}
	c.mu.Unlock()
	for i, p := range batch {
		if p != self {
			p.wake <- struct{}{}
		}
		batch[i] = nil
	}
	c.mu.Lock()
	c.spare = batch[:0]
	c.mu.Unlock()
}

// commitGroup makes a group durable, or fails all of it.
func (s *Spool) commitGroup(batch []*pending) {
	if err := s.tryGroup(batch); err != nil {
		for _, p := range batch {
			p.err = err
		}
	}
}

func (s *Spool) tryGroup(batch []*pending) error {
	if s.closed.Load() {
		return fail.New(fail.Unavailable, "the queue is closed")
	}
	if err := s.safeAgain(); err != nil {
		return err
	}
	for _, p := range batch {
		if p.rec.Flags&format.External != 0 && p.from == nil {
			// One sync of the folder serves all large bodies of the group.
			if err := s.cfg.FS.SyncDir(s.cfg.dir(largeDir)); err != nil {
				return diskErr(err, "folder of large messages")
			}
			break
		}
	}
	g := s.activeSegment()
	if g == nil {
		var err error
		if g, err = s.openActive(); err != nil {
			return diskErr(err, "new segment")
		}
	}
	start, seq := g.size, g.seq
	if err := s.writeGroup(g, batch); err != nil {
		g.size, g.seq = start, seq
		s.failSegment(g)
		return diskErr(err, "segment %d given up", g.num)
	}
	s.indexGroup(g, batch)
	disk.Point(s.cfg.FS, "queue.commit.indexed")
	return nil
}

func (s *Spool) activeSegment() *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// writeGroup appends the records and syncs.
func (s *Spool) writeGroup(g *segment, batch []*pending) error {
	start := g.size
	buf, at := s.commit.buf[:0], start
	for _, p := range batch {
		p.rec.Epoch, p.rec.Seq, p.rec.Durable = g.epoch, g.seq, uint32(g.synced)
		p.off = g.size
		buf = p.append(buf)
		g.seq++
		g.size += p.rec.Size()
		if len(buf) >= writeBytes {
			if _, err := g.file.WriteAt(buf, at); err != nil {
				return err
			}
			buf, at = buf[:0], g.size
		}
	}
	if len(buf) > 0 {
		if _, err := g.file.WriteAt(buf, at); err != nil {
			return err
		}
	}
	if cap(buf) <= 4*writeBytes {
		s.commit.buf = buf[:0]
	}
	if err := s.writeAhead(g, start); err != nil {
		return err
	}
	disk.Point(s.cfg.FS, "queue.envelope.written")
	disk.Point(s.cfg.FS, "queue.envelope.before_sync")
	s.commit.syncs.Add(1)
	if err := g.file.Sync(); err != nil {
		return err
	}
	disk.Point(s.cfg.FS, "queue.envelope.after_sync")
	return nil
}

// aheadBytes is how far a file grows beyond a small group of records.
const aheadBytes = 256 << 10

// zeros is never written to.
var zeros [aheadBytes]byte

// writeAhead writes zeros behind a small group that makes the file longer. The
// groups after it then change data alone, and their sync takes one write to the
// disk, where a new length takes another for the inode, or a whole transaction
// of the file system's journal. What a large group would gain it would lose by
// writing everything twice.
func (s *Spool) writeAhead(g *segment, start int64) error {
	if g.size <= g.length {
		return nil
	}
	g.length = g.size
	to := min(g.size-g.size%aheadBytes+aheadBytes, s.cfg.SegmentSize)
	if g.size-start >= aheadBytes/4 || to <= g.size {
		return nil
	}
	g.length = to
	_, err := g.file.WriteAt(zeros[:to-g.size], g.size)
	return err
}

func (p *pending) append(buf []byte) []byte {
	at := len(buf)
	buf = p.rec.Append(buf)
	buf = append(buf, p.env...)
	buf = append(buf, p.headers...)
	buf = append(buf, p.body...)
	for int64(len(buf)-at) < p.rec.Size() {
		buf = append(buf, 0)
	}
	return buf
}

// indexGroup enters a durable group into the index and the state log.
func (s *Spool) indexGroup(g *segment, batch []*pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.synced = g.size
	for _, p := range batch {
		if p.from != nil {
			s.moved(p, g)
			continue
		}
		e := p.entry
		e.seg, e.off, e.length = g, uint32(p.off), uint32(p.rec.Size())
		s.put(e)
		s.commit.commits.Add(1)
		m := s.message(e, p.summary)
		s.log.append(format.TypeMessage, m.Append)
	}
}

// failSegment sees to it that nothing of the group that just failed can come
// back: the submitters are about to be told that it was not taken.
func (s *Spool) failSegment(g *segment) {
	s.mu.Lock()
	g.failed, g.active, g.limit = true, false, g.size
	s.unpin(g)
	s.active = nil
	s.unsafe = append(s.unsafe, g)
	s.mu.Unlock()
	if err := s.safeAgain(); err != nil {
		s.cfg.warn(err)
	}
}

// safeAgain makes the marks of failed segments durable, if any are not yet. A
// power failure may leave the mark and take what the log said before it: the
// mark says that the messages below need not be looked for, so they are made
// durable in the log first.
func (s *Spool) safeAgain() error {
	s.mu.Lock()
	unsafe := s.unsafe
	s.mu.Unlock()
	if len(unsafe) == 0 {
		return nil
	}
	if err := s.Sync(); err != nil {
		return diskErr(err, "before a segment is recorded as failed")
	}
	s.mu.Lock()
	for _, g := range unsafe {
		if s.segments[g.num] == g { // else it is gone for good
			s.noteSegment(g)
		}
	}
	s.mu.Unlock()
	if err := s.Sync(); err != nil {
		return diskErr(err, "recording a failed segment")
	}
	disk.Point(s.cfg.FS, "queue.abort.recorded")
	s.mu.Lock()
	s.unsafe = nil
	s.mu.Unlock()
	return nil
}

// roll ends the use of a full segment. settle seals it; should that fail, it
// is merely read at the next start.
func (s *Spool) roll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.active
	if g == nil || g.size < s.cfg.SegmentSize {
		return false
	}
	s.active, g.active = nil, false
	s.unpin(g)
	return true
}
