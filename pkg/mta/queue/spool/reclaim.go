package spool

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Tidy makes results durable, seals full segments, frees those whose messages
// have gone, shortens the state log and empties segments that are mostly dead.
// It is called about once per second.
func (s *Spool) Tidy() error {
	err := s.settle()
	if err == nil && s.log.size()+s.older.Load() > max(s.cfg.LogSize, s.ckptSize.Load()) {
		err = s.checkpoint()
	}
	if err == nil {
		err = s.compact()
	}
	return err
}

// settle syncs the state log and then does what had to wait for that.
func (s *Spool) settle() error {
	s.settling.Lock()
	defer s.settling.Unlock()
	s.mu.Lock()
	var full, dead []*segment
	for _, g := range s.segments {
		if g.active || g.idle {
			continue
		}
		if !g.sealed {
			full = append(full, g)
		}
		if g.messages == 0 && g.pins == 0 && !g.moving {
			dead = append(dead, g)
		}
	}
	doomed := s.doomed
	s.doomed = nil
	s.mu.Unlock()
	if err := s.Sync(); err != nil {
		s.mu.Lock()
		s.doomed = append(s.doomed, doomed...)
		s.mu.Unlock()
		return err
	}
	s.seal(full)
	s.removeBodies(doomed)
	return s.freeSegments(dead)
}

func (s *Spool) seal(full []*segment) {
	if len(full) == 0 {
		return
	}
	s.mu.Lock()
	for _, g := range full {
		g.sealed = true
		s.noteSegment(g)
	}
	s.mu.Unlock()
	disk.Point(s.cfg.FS, "queue.segment.sealed")
}

func (s *Spool) removeBodies(ids []item.ID) {
	for _, id := range ids {
		_ = s.erase(s.cfg.largeFile(id))
		_ = s.cfg.FS.Remove(s.cfg.largeFile(id)) // what stays behind is removed at the next start
	}
}

// freeSegments takes segments whose messages are durably gone; some are kept
// for the next use, the others and the failed ones are deleted.
func (s *Spool) freeSegments(dead []*segment) error {
	var del []*segment
	s.mu.Lock()
	for _, g := range dead {
		switch {
		case g.pins > 0 || s.segments[g.num] != g:
		case !g.failed && len(s.free) < s.cfg.FreeKept:
			g.idle = true
			s.free = append(s.free, g)
		default:
			s.closeSegment(g)
			del = append(del, g)
		}
	}
	s.mu.Unlock()
	if len(del) == 0 {
		return nil
	}
	for _, g := range del {
		if err := s.erase(s.cfg.segmentFile(g.num)); err != nil {
			return diskErr(err, "dead segment")
		}
		if err := s.cfg.FS.Remove(s.cfg.segmentFile(g.num)); err != nil {
			return diskErr(err, "dead segment")
		}
	}
	// Only when the name is durably gone may the state log forget the
	// segment: a file that comes back unknown would be read as new.
	if err := s.cfg.FS.SyncDir(s.cfg.dir(segmentDir)); err != nil {
		return diskErr(err, "folder of segments")
	}
	s.mu.Lock()
	for _, g := range del {
		delete(s.segments, g.num)
		info := g.info()
		info.Flags |= format.SegGone
		s.log.append(format.TypeSegment, info.Append)
	}
	s.mu.Unlock()
	disk.Point(s.cfg.FS, "queue.segment.removed")
	return nil
}

// erase overwrites a file that is about to be removed, if so configured. What
// it holds is durably gone from the state log, so a crash on the way costs
// nothing.
func (s *Spool) erase(name string) error {
	if !s.cfg.Zero {
		return nil
	}
	f, err := s.cfg.FS.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for at := int64(0); at < info.Size(); at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), info.Size()-at)], at); err != nil {
			return err
		}
	}
	disk.Point(s.cfg.FS, "queue.erased")
	return f.Sync()
}

// A segment is worth emptying when less than a quarter of it lives and more
// than a few segments' worth of space would come back.
const (
	deadShare  = 4
	deadFew    = 2
	copyAtOnce = 1 << 20
)

// victim picks the segment with the least life, nil when none is worth it.
func (s *Spool) victim() *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *segment
	var waste int64
	for _, g := range s.segments {
		if g.active || g.idle || !g.sealed || g.messages == 0 || g.moving || g.stuck || g.live*deadShare > s.cfg.SegmentSize {
			continue
		}
		waste += s.cfg.SegmentSize - g.live
		if best == nil || g.live < best.live {
			best = g
		}
	}
	if waste < deadFew*s.cfg.SegmentSize {
		return nil
	}
	best.moving = true
	return best
}

// compact copies the live messages of one segment to the active one.
func (s *Spool) compact() error {
	g := s.victim()
	if g == nil {
		return nil
	}
	err := s.empty(g)
	s.mu.Lock()
	g.moving = false
	g.stuck = err == nil && g.messages > 0 // what is damaged stays where it is
	s.mu.Unlock()
	if err != nil {
		return err
	}
	disk.Point(s.cfg.FS, "queue.compact.copied")
	if err := s.Sync(); err != nil {
		return err
	}
	disk.Point(s.cfg.FS, "queue.compact.recorded")
	return nil
}

func (s *Spool) empty(g *segment) error {
	var group []*pending
	size := int64(0)
	for _, e := range s.inSegment(g) {
		p, err := s.copyOf(e, g)
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		group = append(group, p)
		if size += p.rec.Size(); size >= copyAtOnce {
			if err := s.submitAll(group); err != nil {
				return err
			}
			group, size = group[:0], 0
		}
	}
	return s.submitAll(group)
}

// walkAtOnce is how many messages are looked at under one hold of the lock.
const walkAtOnce = 10000

// inSegment lists the messages of g, which is sealed. They came about the same
// time, unless some of them are copies; then it may be a walk through the whole
// index, during which others want the lock.
func (s *Spool) inSegment(g *segment) []*Entry {
	var list []*Entry
	var next item.ID
	for more := true; more; {
		list, next, more = s.someIn(g, list, next)
	}
	return list
}

// someIn goes on with the list of inSegment from the id next.
func (s *Spool) someIn(g *segment, list []*Entry, next item.ID) (_ []*Entry, then item.ID, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := 0
	for e := range s.index.between(max(next, g.least), g.most) {
		if seen == walkAtOnce {
			return list, e.ID, true
		}
		if seen++; e.seg == g {
			list = append(list, e)
		}
	}
	return list, 0, false
}

// copyOf reads a record as it is; nil when the message has gone or is damaged.
func (s *Spool) copyOf(e *Entry, g *segment) (*pending, error) {
	st, err := s.fetch(e, false)
	if err != nil {
		return nil, mustStop(err)
	}
	defer st.release()
	if st.seg != g {
		return nil, nil
	}
	p := &pending{rec: st.rec, entry: e, from: g, wake: make(chan struct{}, 1)}
	p.env, p.headers = st.meta[:st.rec.Envelope], st.meta[st.rec.Envelope:]
	if st.rec.Flags&format.External != 0 {
		return p, nil
	}
	p.body = make([]byte, st.rec.Inline())
	if err := readFull(g.file, p.body, st.off+st.rec.Meta()); err != nil {
		return nil, mustStop(st.readErr(e, err))
	}
	if format.Sum(0, p.body) != st.rec.BodySum {
		return nil, mustStop(s.damaged(e, "body does not match its checksum"))
	}
	return p, nil
}

// mustStop leaves out what concerns one message only.
func mustStop(err error) error {
	if k := fail.KindOf(err); k == fail.Corrupt || k == fail.NotFound {
		return nil
	}
	return err
}

// submitAll commits copies together.
func (s *Spool) submitAll(group []*pending) error {
	done := make(chan error, len(group))
	for _, p := range group {
		go func() { done <- s.submit(p) }()
	}
	var first error
	for range group {
		if err := <-done; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// moved points an entry at its copy, unless it has gone meanwhile. s.mu is held.
func (s *Spool) moved(p *pending, to *segment) {
	e := p.entry
	if e.flags&gone != 0 || e.seg != p.from {
		return
	}
	e.seg.lose(e)
	e.seg, e.off, e.length = to, uint32(p.off), uint32(p.rec.Size())
	to.gain(e)
	loc := e.location()
	s.log.append(format.TypeMoved, func(b []byte) []byte { return format.AppendMoved(b, e.ID, loc) })
}

// Stats are counts of the spool.
type Stats struct {
	Messages, Large, Held  int
	Oldest                 time.Time // arrival of the message with the least id
	Bytes, LargeBytes      int64
	Segments, FreeSegments int
	SegmentBytes           int64
	LogBytes               int64
	Commits, Syncs         uint64 // messages made durable, syncs for that
	StateSyncs             uint64
	LastID                 item.ID
}

// Stats counts without touching a file.
func (s *Spool) Stats() Stats {
	log := s.log.size()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Messages: s.index.len, Large: s.larges, Bytes: s.bytes, LargeBytes: s.largeBytes,
		Segments: len(s.segments), FreeSegments: len(s.free), LogBytes: log,
		Commits: s.commit.commits.Load(), Syncs: s.commit.syncs.Load(), StateSyncs: s.log.syncs.Load(), LastID: s.ids.last(),
	}
	st.Held = s.held
	if e := s.index.first(); e != nil {
		st.Oldest = e.base()
	}
	for _, g := range s.segments {
		st.SegmentBytes += max(g.size, s.cfg.SegmentSize)
	}
	return st
}
