package spool

import (
	"crypto/rand"
	"encoding/binary"
	"os"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// segment is one file of messages. num and epoch never change; the rest is
// guarded by Spool.mu, except that the leader of the commit alone changes
// size, synced, seq and length of the active segment.
type segment struct {
	num   uint64
	epoch uint64

	file disk.File // nil while closed; opened by the first pin
	pins int       // readers, and the commit while it is active

	size   int64 // end of the records
	synced int64 // of them durable; also covered by the index
	seq    uint32
	length int64 // of the file while it is active; see writeAhead

	live        int64 // bytes of records that are in the index
	messages    int
	least, most item.ID // between which their ids are

	active bool
	idle   bool  // in Spool.free
	sealed bool  // durable in the state log; Limit and Covered no longer matter
	failed bool  // never written again, nor used for new messages
	limit  int64 // of a failed one
	absent bool  // there is no such file (damage)
	moving bool  // compaction has taken it in hand
	stuck  bool  // and could not empty it

	headless bool // its header could not be read at the start
}

// gain counts a message whose record is in g.
func (g *segment) gain(e *Entry) {
	if g.messages == 0 {
		g.least, g.most = e.ID, e.ID
	}
	g.least, g.most = min(g.least, e.ID), max(g.most, e.ID)
	g.live += int64(e.length)
	g.messages++
}

func (g *segment) lose(e *Entry) {
	g.live -= int64(e.length)
	g.messages--
}

func (g *segment) info() format.SegmentInfo {
	i := format.SegmentInfo{Number: g.num, Epoch: g.epoch, Covered: uint32(g.synced)}
	if g.sealed {
		i.Flags |= format.SegSealed
	}
	if g.failed {
		i.Flags |= format.SegFailed
		i.Limit = uint32(g.limit)
	}
	return i
}

// noteSegment puts what is known of g into the state log. s.mu is held.
func (s *Spool) noteSegment(g *segment) {
	info := g.info()
	s.log.append(format.TypeSegment, info.Append)
}

// nextEpoch gives a number that no segment ever had: a counter above 32
// random bits, so that an incarnation that a crash wiped out, and whose number
// is given again, cannot be mistaken for its successor, and nobody can write a
// message whose text passes for a record. s.mu is held.
func (s *Spool) nextEpoch() uint64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	s.lastEpoch = (s.lastEpoch>>32+1)<<32 | uint64(binary.LittleEndian.Uint32(b[:]))
	return s.lastEpoch
}

// openActive takes a free segment or makes a new one to write to. Called by
// the leader of the commit.
func (s *Spool) openActive() (*segment, error) {
	s.mu.Lock()
	var old *segment
	g := &segment{}
	if n := len(s.free); n > 0 {
		old = s.free[n-1]
		s.free = s.free[:n-1]
		g.num, g.file, old.file = old.num, old.file, nil
	} else {
		s.lastSegment++
		g.num = s.lastSegment
	}
	if g.file == nil {
		s.openFiles++
	}
	g.epoch = s.nextEpoch()
	s.mu.Unlock()

	err := s.prepare(g, old == nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		// Whether the new header is on disk is unknown, but nothing was
		// promised. The file is not trusted again.
		if g.file == nil {
			s.openFiles--
		}
		s.closeSegment(g)
		if old != nil {
			old.failed, old.idle = true, false
		}
		return nil, err
	}
	g.active, g.pins, g.size, g.synced = true, 1, format.SegmentStart, format.SegmentStart
	s.segments[g.num] = g
	s.active = g
	s.noteSegment(g)
	return g, nil
}

// prepare gives g its file and header. The header of a segment used again
// becomes durable with its first group.
func (s *Spool) prepare(g *segment, isNew bool) error {
	name := s.cfg.segmentFile(g.num)
	if g.file == nil {
		flag := os.O_RDWR
		if isNew {
			flag |= os.O_CREATE | os.O_EXCL
		}
		f, err := s.cfg.FS.OpenFile(name, flag, filePerm)
		if err != nil {
			return err
		}
		g.file = f
	}
	head := format.Header{Kind: format.Segment, Number: g.num, Epoch: g.epoch}.Append(nil)
	if !isNew {
		info, err := g.file.Stat()
		if err == nil {
			g.length = info.Size()
			_, err = g.file.WriteAt(head, 0)
		}
		disk.Point(s.cfg.FS, "queue.segment.recycled")
		return err
	}
	err := disk.Preallocate(g.file, s.cfg.SegmentSize)
	if err == nil {
		_, err = g.file.WriteAt(head, 0)
	}
	if err == nil {
		err = s.cfg.FS.SyncDir(s.cfg.dir(segmentDir))
	}
	if err != nil {
		_ = s.cfg.FS.Remove(name)
		return err
	}
	disk.Point(s.cfg.FS, "queue.segment.created")
	return nil
}

// pin keeps g's file open and its content in place. s.mu is held on entry and
// exit, but given up for the opening of a file.
func (s *Spool) pin(g *segment) error {
	g.pins++
	if g.file != nil {
		return nil
	}
	s.mu.Unlock()
	f, err := s.cfg.FS.OpenFile(s.cfg.segmentFile(g.num), os.O_RDWR, filePerm)
	s.mu.Lock()
	switch {
	case err != nil:
		g.pins--
		return err
	case g.file == nil:
		g.file = f
		s.openFiles++
	default:
		_ = f.Close() // another reader was faster; closing a file that was only opened cannot lose anything
	}
	return nil
}

// maxIdleFiles is how many sealed segments stay open without a reader.
const maxIdleFiles = 64

// unpin ends pin. s.mu is held.
func (s *Spool) unpin(g *segment) {
	g.pins--
	if g.pins == 0 && g.sealed && s.openFiles > maxIdleFiles {
		s.closeSegment(g)
	}
}

// closeSegment closes the file of an unused segment. s.mu is held; closing a
// file that has nothing unwritten does not block.
func (s *Spool) closeSegment(g *segment) {
	if g.file != nil && g.pins == 0 {
		_ = g.file.Close()
		g.file = nil
		s.openFiles--
	}
}
