package spool

import (
	"errors"
	"io"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// apply replays one change. Changes of messages that are not there any more
// are none: a checkpoint may leave out what the log before it still names.
func (m *image) apply(f format.Frame) error {
	switch f.Type {
	case format.TypeBase:
		b, err := format.ParseBase(f.Payload)
		m.base.LastID = max(m.base.LastID, b.LastID)
		m.base.LastSegment = max(m.base.LastSegment, b.LastSegment)
		m.base.LastEpoch = max(m.base.LastEpoch, b.LastEpoch)
		return err
	case format.TypeSegment:
		return m.applySegment(f.Payload)
	case format.TypeMessage:
		return m.applyMessage(f.Payload)
	case format.TypeStates:
		return m.applyStates(f.Payload)
	case format.TypeFlags:
		id, flags, err := format.ParseFlags(f.Payload)
		if e := m.entries[id]; err == nil && e != nil {
			e.flags = flags
		}
		return err
	case format.TypeRemoved:
		ids, err := format.ParseRemoved(f.Payload)
		for _, id := range ids {
			m.leave(id)
		}
		return err
	case format.TypeMoved:
		id, loc, err := format.ParseMoved(f.Payload)
		if e := m.entries[id]; err == nil && e != nil {
			m.locate(e, loc)
		}
		return err
	}
	return nil // of a newer version of the same format
}

func (m *image) locate(e *Entry, loc format.Location) {
	if g := m.last; g == nil || g.num != loc.Segment || g.epoch != loc.Epoch {
		m.last = m.segment(loc.Segment, loc.Epoch)
	}
	e.seg, e.off, e.length = m.last, loc.Offset, loc.Length
}

func (m *image) applySegment(p []byte) error {
	info, err := format.ParseSegmentInfo(p)
	if err != nil {
		return err
	}
	m.base.LastSegment = max(m.base.LastSegment, info.Number)
	m.base.LastEpoch = max(m.base.LastEpoch, info.Epoch)
	if info.Flags&format.SegGone != 0 {
		delete(m.table, info.Number)
		return nil
	}
	g := m.segment(info.Number, info.Epoch)
	g.sealed = info.Flags&format.SegSealed != 0
	g.failed, g.limit = info.Flags&format.SegFailed != 0, int64(info.Limit)
	g.synced = int64(info.Covered)
	m.table[info.Number] = g
	return nil
}

func (m *image) applyMessage(p []byte) error {
	msg, summary, outlook, err := format.ParseMessage(p)
	if err != nil {
		return err
	}
	e := m.entries[msg.ID]
	if e == nil {
		e = &Entry{ID: msg.ID}
		m.enter(e)
	}
	*e = Entry{ID: msg.ID, Due: dueOf(outlook), Pos: -1, flags: msg.Flags &^ gone, size: msg.Size, arrival: msg.Arrival, summary: summary}
	m.locate(e, msg.Loc)
	if len(m.removed) > 0 {
		delete(m.removed, msg.ID)
	}
	return nil
}

func (m *image) applyStates(p []byte) error {
	id, err := format.StatesID(p)
	e := m.entries[id]
	if err != nil || e == nil {
		return err
	}
	st, err := format.ParseStates(p, e.base())
	e.Due = dueUnread
	if err == nil && !applyStates(e, st.States) {
		err = fail.New(fail.Corrupt, "state of a recipient that message %s does not have", id)
	}
	return err
}

// readSegments decides what each file holds and reads those that may hold
// messages that the state log does not know.
func (m *image) readSegments() error {
	for num, size := range m.sizes {
		if err := m.readSegment(num, size); err != nil {
			return err
		}
	}
	for num, g := range m.table {
		if m.files[num] == nil && !g.sealed && g.synced > format.SegmentStart {
			m.hurt(&Damage{File: m.cfg.segmentFile(num), What: "the file is missing"})
		}
	}
	return nil
}

func (m *image) readSegment(num uint64, size int64) error {
	name := m.cfg.segmentFile(num)
	f, _, err := m.open(name)
	if err != nil {
		return diskErr(err, "segment %d", num)
	}
	defer f.Close()
	var head [format.SegmentStart + format.RecordHeader]byte
	n, err := f.ReadAt(head[:], 0)
	if n < len(head) && !errors.Is(err, io.EOF) {
		m.hurt(&Damage{File: name, What: err.Error()})
	}
	epoch, headed, err := m.epochOf(num, head[:n])
	if err != nil {
		return err
	}
	g := m.segment(num, epoch)
	g.absent, g.size, g.headless = false, size, !headed
	m.files[num] = g
	m.base.LastEpoch = max(m.base.LastEpoch, epoch)

	// What lies below doubtful is done with, or else in the state log. Only if
	// that has lost something is it read, and what is found there kept on hold.
	known := m.table[num]
	doubtful := int64(format.SegmentStart)
	switch {
	case known == g && g.sealed:
		doubtful = size
	case known == g:
		doubtful = max(doubtful, g.synced)
	case known == nil && m.lossy:
		doubtful = size
	case known != nil && known.epoch > epoch:
		// It was about to be used again, and the new header did not arrive.
		// What it holds is from before, and all of it is done with.
		if known.synced > format.SegmentStart {
			m.hurt(&Damage{File: name, What: "holds an earlier use than the state log says"})
		}
		g.sealed = true
		return nil
	}
	if g.sealed && !m.lossy {
		return nil
	}
	return m.scanSegment(g, f, size, doubtful)
}

// epochOf reads the header, and if that is torn or damaged looks at the first
// record.
func (m *image) epochOf(num uint64, head []byte) (epoch uint64, headed bool, err error) {
	h, err := format.ParseHeader(format.Segment, head)
	if err == nil && h.Number == num {
		return h.Epoch, true, nil
	}
	if fail.Is(err, fail.Invalid) {
		return 0, false, fail.Wrap(fail.Invalid, err, "%s", m.cfg.segmentFile(num))
	}
	if len(head) > format.SegmentStart {
		if rec, ok := format.ParseRecord(head[format.SegmentStart:]); ok {
			epoch = rec.Epoch
		}
	}
	if known := m.table[num]; known != nil {
		epoch = max(epoch, known.epoch)
	}
	return epoch, false, nil
}

// scanSegment reads the records of a segment that nobody has sealed, or all
// of them when the state log is not to be relied on.
func (m *image) scanSegment(g *segment, f io.ReaderAt, size, doubtful int64) error {
	name := m.cfg.segmentFile(g.num)
	start, limit := doubtful, int64(0)
	if m.lossy {
		start = format.SegmentStart
	}
	if g.failed {
		limit = g.limit
	}
	scan, err := format.ScanSegment(f, size, g.epoch, start, limit, 0, func(off int64, rec format.Record, meta []byte) error {
		m.record(g, off, rec, meta, off < doubtful)
		return nil
	})
	if err != nil {
		return err
	}
	if g.headless && scan.Durable > format.SegmentStart {
		// Header and first group are synced together.
		m.hurt(&Damage{File: name, Length: format.HeaderSize, What: "file header is damaged"})
	}
	for _, gap := range scan.Damaged() {
		m.hurt(&Damage{File: name, Offset: gap.From, Length: gap.To - gap.From, What: gapText(gap)})
	}
	if !g.sealed {
		m.unsure = append(m.unsure, g)
	}
	return nil
}

// record takes one sound record of a segment.
func (m *image) record(g *segment, off int64, rec format.Record, meta []byte, salvaging bool) {
	m.lastID = max(m.lastID, rec.ID)
	if m.entries[rec.ID] != nil {
		return
	}
	if _, ok := m.removed[rec.ID]; ok {
		return
	}
	env, err := item.DecodeEnvelope(meta[:rec.Envelope])
	if err != nil || len(env.Recipients) == 0 {
		m.hurt(&Damage{File: m.cfg.segmentFile(g.num), Offset: off, Length: rec.Size(), What: "message " + rec.ID.String() + ": envelope cannot be read"})
		return
	}
	if size, ok := m.larges[rec.ID]; rec.Flags&format.External != 0 && (!ok || size != int64(rec.Body)) && salvaging {
		return // done with long ago
	}
	e := m.found(g, off, rec, env)
	if salvaging {
		e.flags |= Held
		m.salvage++
	}
}
