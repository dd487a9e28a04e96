package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// image is what a directory holds, read without changing it.
type image struct {
	cfg *Config

	gen     uint64 // the highest number of a log or checkpoint
	hadCkpt bool
	ckpt    int64    // bytes of the checkpoint
	logs    []uint64 // that were replayed
	logged  int64    // bytes of those
	base    format.Base
	entries map[item.ID]*Entry
	order   []*Entry // as they came; also what has gone since
	removed map[item.ID]struct{}
	lastID  item.ID

	segs   map[segKey]*segment // every incarnation that something speaks of
	last   *segment            // that was asked for
	table  map[uint64]*segment // of each number the latest, by the state log
	files  map[uint64]*segment // of each number the one that the file holds
	sizes  map[uint64]int64    // lengths of the files
	larges map[item.ID]int64   // files of large bodies

	unsure  []*segment // read because not sealed: to be synced before it is trusted
	fresh   []*Entry   // found there, unknown to the state log
	damage  []*Damage
	lossy   bool // the state log has lost something: unknown messages may be real ones
	salvage int  // messages that only their records speak of, put on hold
}

type segKey struct{ num, epoch uint64 }

func (m *image) hurt(d *Damage) { m.damage = append(m.damage, d) }

// load reads the directory. Damage is collected; an error means that the disk
// does not answer or that a newer program wrote the files.
func load(cfg *Config) (*image, error) {
	m := &image{cfg: cfg}
	m.reset()
	if err := m.readState(); err != nil {
		return nil, err
	}
	if err := m.listFiles(); err != nil {
		return nil, err
	}
	if err := m.readSegments(); err != nil {
		return nil, err
	}
	m.checkEntries()
	return m, nil
}

func (m *image) reset() {
	m.base = format.Base{}
	m.entries, m.order, m.removed = map[item.ID]*Entry{}, nil, map[item.ID]struct{}{}
	m.segs, m.table, m.last = map[segKey]*segment{}, map[uint64]*segment{}, nil
}

// segment returns the object of one incarnation.
func (m *image) segment(num, epoch uint64) *segment {
	k := segKey{num, epoch}
	g := m.segs[k]
	if g == nil {
		g = &segment{num: num, epoch: epoch, absent: true}
		m.segs[k] = g
	}
	return g
}

// readState replays the newest complete checkpoint and the logs since.
func (m *image) readState() error {
	names, err := m.cfg.FS.ReadDir(m.cfg.dir(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diskErr(err, "state of the queue")
	}
	var ckpts, logs []uint64
	for _, d := range names {
		if n, ok := numbered(d.Name(), checkpointPrefix); ok {
			ckpts = append(ckpts, n)
		} else if n, ok := numbered(d.Name(), logPrefix); ok {
			logs = append(logs, n)
		} else {
			continue
		}
	}
	slices.Sort(ckpts)
	slices.Sort(logs)
	if len(logs) > 0 {
		m.gen = logs[len(logs)-1]
	}
	from, err := m.readCheckpoints(ckpts)
	if err != nil {
		return err
	}
	m.gen = max(m.gen, from)
	if from > 0 && !slices.Contains(logs, from) {
		m.lossy = true
		m.hurt(&Damage{File: m.cfg.logFile(from), What: "the state log that belongs to the checkpoint is missing"})
	}
	for _, gen := range logs {
		if gen >= from {
			size, err := m.walkFrames(m.cfg.logFile(gen), format.Log, gen, m.apply)
			if err != nil {
				return err
			}
			m.logs, m.logged = append(m.logs, gen), m.logged+size
		}
	}
	return nil
}

// readCheckpoints takes the newest complete one, or else what is sound of the
// newest. It returns its generation, 0 when there is none.
func (m *image) readCheckpoints(gens []uint64) (uint64, error) {
	m.hadCkpt = len(gens) > 0
	for i := len(gens) - 1; i >= 0; i-- {
		before := len(m.damage)
		m.reset()
		ended, err := m.readCheckpoint(gens[i])
		if err != nil {
			return 0, err
		}
		if ended && len(m.damage) == before {
			return gens[i], nil
		}
		m.lossy = true
		if len(m.damage) == before {
			m.hurt(&Damage{File: m.cfg.checkpointFile(gens[i]), What: "incomplete"})
		}
		if i == 0 {
			return gens[i], nil
		}
	}
	return 0, nil
}

// usualEntry is about what a message takes in a checkpoint, in bytes, so that
// the index is made in one go.
const usualEntry = 192

func (m *image) readCheckpoint(gen uint64) (ended bool, err error) {
	var messages, want uint64
	if f, size, err := m.open(m.cfg.checkpointFile(gen)); err == nil {
		_ = f.Close()
		m.entries, m.order = make(map[item.ID]*Entry, size/usualEntry), make([]*Entry, 0, size/usualEntry)
	}
	count := func(f format.Frame) error {
		switch f.Type {
		case format.TypeMessage:
			messages++
		case format.TypeEnd:
			n, err := format.ParseEnd(f.Payload)
			want, ended = n, err == nil
			return err
		}
		return m.apply(f)
	}
	m.ckpt, err = m.walkFrames(m.cfg.checkpointFile(gen), format.Checkpoint, gen, count)
	return ended && messages == want, err
}

// walkFrames reads one file of frames, notes its damage and returns its length.
func (m *image) walkFrames(name string, kind format.Kind, gen uint64, visit func(format.Frame) error) (int64, error) {
	f, size, err := m.open(name)
	if err != nil {
		return 0, diskErr(err, "state of the queue")
	}
	defer f.Close()
	var head [format.HeaderSize]byte
	if err := readFull(f, head[:], 0); err != nil && !errors.Is(err, os.ErrNotExist) && size >= format.HeaderSize {
		return 0, diskErr(err, "%s", name)
	}
	if h, err := format.ParseHeader(kind, head[:]); err != nil || h.Number != gen {
		if fail.Is(err, fail.Invalid) {
			return 0, fail.Wrap(fail.Invalid, err, "%s", name)
		}
		// A log is synced before anything relies on it; one that ends within
		// its header was never used.
		if kind == format.Checkpoint || size > format.HeaderSize {
			m.lossy = true
			m.hurt(&Damage{File: name, Length: format.HeaderSize, What: "file header is damaged"})
		}
	}
	known := int64(0)
	if kind == format.Checkpoint {
		known = size // it was complete before it got its name
	}
	scan, err := format.ScanFrames(f, size, uint32(gen), known, func(_ int64, f format.Frame) error { return visit(f) })
	if err != nil {
		return 0, fail.Wrap(fail.KindOf(err), err, "%s", name)
	}
	for _, g := range scan.Damaged() {
		m.lossy = true
		m.hurt(&Damage{File: name, Offset: g.From, Length: g.To - g.From, What: gapText(g)})
	}
	return size, nil
}

func gapText(g format.Gap) string {
	if g.Err != nil {
		return g.Err.Error()
	}
	return "no sound record where there was one"
}

func (m *image) open(name string) (disk.File, int64, error) {
	f, err := m.cfg.FS.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// listFiles finds segments and files of large bodies.
func (m *image) listFiles() error {
	m.files, m.sizes, m.larges = map[uint64]*segment{}, map[uint64]int64{}, map[item.ID]int64{}
	segs, err := m.cfg.FS.ReadDir(m.cfg.dir(segmentDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskErr(err, "segments")
	}
	for _, d := range segs {
		n, ok := numbered(d.Name(), segmentPrefix)
		if !ok {
			continue
		}
		info, err := d.Info()
		if err != nil {
			return diskErr(err, "segments")
		}
		m.sizes[n] = info.Size()
		m.base.LastSegment = max(m.base.LastSegment, n)
	}
	bodies, err := m.cfg.FS.ReadDir(m.cfg.dir(largeDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskErr(err, "large messages")
	}
	for _, d := range bodies {
		id, err := item.ParseID(d.Name())
		if err != nil {
			continue // not ours
		}
		info, err := d.Info()
		if err != nil {
			return diskErr(err, "large messages")
		}
		m.larges[id] = info.Size()
		m.lastID = max(m.lastID, id)
	}
	return nil
}

// checkEntries marks messages whose content cannot be there, and leaves those
// that are there in m.order.
func (m *image) checkEntries() {
	m.order = slices.DeleteFunc(m.order, func(e *Entry) bool { return e.flags&gone != 0 })
	for _, e := range m.order {
		id := e.ID
		m.lastID = max(m.lastID, id)
		what := ""
		switch {
		case m.files[e.seg.num] != e.seg:
			what = "the segment is missing or was used again"
		case int64(e.off)+int64(e.length) > m.sizes[e.seg.num]:
			what = "the segment ends too early"
		case e.flags&format.MsgExternal != 0:
			if _, ok := m.larges[id]; !ok {
				what = "the file of the body is missing"
			}
		}
		if what != "" && e.flags&Damaged == 0 {
			e.flags |= Damaged | Held
			m.hurt(&Damage{
				File: m.cfg.segmentFile(e.seg.num), Offset: int64(e.off), Length: int64(e.length),
				What: fmt.Sprintf("message %s: %s", id, what),
			})
		}
	}
	for id := range m.removed {
		m.lastID = max(m.lastID, id)
	}
	m.lastID = max(m.lastID, m.base.LastID)
}

// orphans are bodies that belong to no message: submissions that a crash cut
// off, or removed messages whose file was still to be deleted.
func (m *image) orphans() []item.ID {
	var ids []item.ID
	for id := range m.larges {
		if m.entries[id] == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// found makes an entry of a record that the state log does not know.
func (m *image) found(g *segment, off int64, rec format.Record, env *item.Envelope) *Entry {
	if env.Arrival.IsZero() {
		env.Arrival = rec.ID.Time()
	}
	sum := item.Summary{Sender: env.Sender, Recipients: make([]item.Tracked, len(env.Recipients))}
	for i := range env.Recipients {
		sum.Recipients[i].Addr = env.Recipients[i].Addr
	}
	e := &Entry{ID: rec.ID, Due: dueUnread, Pos: -1, seg: g, off: uint32(off), length: uint32(rec.Size()), size: rec.Sent(), arrival: env.Arrival.UnixNano()}
	e.summary = string(item.AppendSummary(nil, &sum, time.Unix(0, e.arrival)))
	if env.Hold {
		e.flags |= Held
	}
	if rec.Flags&format.External != 0 {
		e.flags |= format.MsgExternal
	}
	m.enter(e)
	m.fresh = append(m.fresh, e)
	return e
}

// enter adds a message that is not there yet.
func (m *image) enter(e *Entry) {
	m.entries[e.ID] = e
	m.order = append(m.order, e)
}

// leave takes a message out that is there no more.
func (m *image) leave(id item.ID) {
	if e := m.entries[id]; e != nil {
		e.flags |= gone
		e.summary = ""
		delete(m.entries, id)
	}
	m.removed[id] = struct{}{}
}
