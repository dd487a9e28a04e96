package spool

import (
	"cmp"
	"slices"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Entry is a message in the index. While it waits it holds its summary in
// packed form; from Load to Park it is hot and holds envelope and states.
type Entry struct {
	ID item.ID

	// Due and Pos belong to the scheduler, under its lock. Until Restore, Due is
	// what dueOf says of the summary, or dueUnread.
	Due int64
	Pos int32

	// The rest is guarded by Spool.mu.
	flags   uint32 // format.Msg..., and gone
	seg     *segment
	off     uint32
	length  uint32
	size    int64
	arrival int64
	summary string
	hot     *hot
}

// Arrival is when the message came. It never changes.
func (e *Entry) Arrival() time.Time { return e.base() }

// gone in Entry.flags: the entry has left the index. Never on disk.
const gone = 1 << 31

type hot struct {
	env    *item.Envelope
	states []item.State
	one    [1]item.State // what states is usually made of
}

func newHot(env *item.Envelope) *hot {
	h := &hot{env: env}
	if h.states = h.one[:]; len(env.Recipients) != 1 {
		h.states = make([]item.State, len(env.Recipients))
	}
	return h
}

// Flags of an entry that users of the spool know.
const (
	Held     = format.MsgHeld
	Expiring = format.MsgExpiring
	Damaged  = format.MsgDamaged
	Warned   = format.MsgWarned
)

// View is what the index knows of a message.
type View struct {
	ID      item.ID
	Flags   uint32
	Size    int64
	Arrival time.Time
	item.Summary
}

func (e *Entry) base() time.Time { return time.Unix(0, e.arrival) }

// decoded is the summary of e. s.mu is held.
func (s *Spool) decoded(e *Entry) item.Summary {
	if e.hot == nil {
		sum, err := item.DecodeSummary(e.summary, e.base())
		if err != nil { // the encoder is ours and decoding was tried at load
			return item.Summary{}
		}
		return *sum
	}
	sum := item.Summary{Sender: e.hot.env.Sender, Recipients: make([]item.Tracked, len(e.hot.states))}
	for i := range e.hot.states {
		sum.Recipients[i] = item.Tracked{Addr: e.hot.env.Recipients[i].Addr, State: e.hot.states[i]}
	}
	return sum
}

// packed is the packed summary of e. s.mu is held.
func (s *Spool) packed(dst []byte, e *Entry) []byte {
	if e.hot == nil {
		return append(dst, e.summary...)
	}
	return item.AppendOpen(dst, e.hot.env, e.hot.states, e.base())
}

// message is e as written to log and checkpoint. s.mu is held.
func (s *Spool) message(e *Entry, summary []byte) format.Message {
	return format.Message{ID: e.ID, Flags: e.flags &^ gone, Loc: e.location(), Size: e.size, Arrival: e.arrival, Summary: summary}
}

func (e *Entry) location() format.Location {
	return format.Location{Segment: e.seg.num, Epoch: e.seg.epoch, Offset: e.off, Length: e.length}
}

// Find returns the entry of a message, nil when there is none.
func (s *Spool) Find(id item.ID) *Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.find(id)
}

// Entries returns all messages in order of arrival.
func (s *Spool) Entries() []*Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.all()
}

// sortEntries puts messages in order of arrival, in which a checkpoint has them.
// What is not is sorted by ids that lie beside each other: with many messages, to
// look at each in its place costs more.
func sortEntries(list []*Entry) {
	if slices.IsSortedFunc(list, func(a, b *Entry) int { return cmp.Compare(a.ID, b.ID) }) {
		return
	}
	type keyed struct {
		id item.ID
		e  *Entry
	}
	keys := make([]keyed, len(list))
	for i, e := range list {
		keys[i] = keyed{e.ID, e}
	}
	slices.SortFunc(keys, func(a, b keyed) int { return cmp.Compare(a.id, b.id) })
	for i := range keys {
		list[i] = keys[i].e
	}
}

// Values of Entry.Due before Restore.
const (
	dueUntried = -1
	dueUnread  = -2 // the summary is to be asked
)

// dueOf is when to go on with a message, in seconds; 0 for at once.
func dueOf(o item.Outlook) int64 {
	switch {
	case !o.Tried:
		return dueUntried
	case o.Next.IsZero():
		return 0
	}
	return max(o.Next.Unix(), 0)
}

// Restored is a message as the start finds it.
type Restored struct {
	*Entry
	Flags uint32
	Tried bool  // some recipient has been attempted, or needs none
	Next  int64 // when to go on, in seconds since 1970; 0 for at once
}

// Restore visits all messages once, in order of arrival, while nobody else uses the
// spool yet. It is called once.
func (s *Spool) Restore(visit func(Restored)) {
	for _, e := range s.loaded {
		due := e.Due
		if due == dueUnread {
			o, _ := item.ReadOutlook(e.summary, e.base()) // it was sound when it was loaded
			due = dueOf(o)
		}
		e.Due = 0
		visit(Restored{Entry: e, Flags: e.flags, Tried: due != dueUntried, Next: max(due, 0)})
	}
	s.loaded = nil
}

// View describes a message; ok is false when it has left the queue.
func (s *Spool) View(e *Entry) (v View, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.flags&gone != 0 {
		return View{}, false
	}
	return View{ID: e.ID, Flags: e.flags, Size: e.size, Arrival: e.base(), Summary: s.decoded(e)}, true
}

// Flags returns the flags of a message; ok is false when it has left the queue.
func (s *Spool) Flags(e *Entry) (flags uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.flags &^ gone, e.flags&gone == 0
}

// Recipients is how many recipients a message has, final ones too.
func (s *Spool) Recipients(e *Entry) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.flags&gone != 0:
		return 0
	case e.hot != nil:
		return len(e.hot.states)
	}
	return item.CountRecipients(e.summary)
}

// Load makes e hot, reading its envelope from disk unless it is still there
// from the commit. The envelope is shared and read only, the states are a copy.
func (s *Spool) Load(e *Entry) (*item.Envelope, []item.State, error) {
	s.mu.Lock()
	for {
		if e.flags&gone != 0 {
			s.mu.Unlock()
			return nil, nil, fail.New(fail.NotFound, "message %s has left the queue", e.ID)
		}
		if e.hot != nil {
			defer s.mu.Unlock()
			return e.hot.env, slices.Clone(e.hot.states), nil
		}
		s.mu.Unlock()
		env, err := s.Envelope(e)
		if err != nil {
			return nil, nil, err
		}
		s.mu.Lock()
		if e.hot == nil {
			sum := s.decoded(e)
			if len(sum.Recipients) != len(env.Recipients) {
				s.mu.Unlock()
				return nil, nil, s.damaged(e, "envelope has another number of recipients than the state log")
			}
			h := newHot(env)
			for i := range h.states {
				h.states[i] = sum.Recipients[i].State
			}
			e.hot, e.summary = h, ""
		}
	}
}

// Park packs e again.
func (s *Spool) Park(e *Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.hot != nil && e.flags&gone == 0 {
		s.scratch = s.packed(s.scratch[:0], e)
		e.summary, e.hot = string(s.scratch), nil
	}
}

// SetStates records new states of some recipients. Nothing is written before
// Flush or Sync.
func (s *Spool) SetStates(e *Entry, states []format.IndexedState) {
	for i := range states {
		states[i].State.Clean()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.flags&gone != 0 {
		return
	}
	applyStates(e, states)
	change := format.States{ID: e.ID, States: states}
	base := e.base()
	s.log.append(format.TypeStates, func(b []byte) []byte { return change.Append(b, base) })
}

// applyStates changes the index only.
func applyStates(e *Entry, states []format.IndexedState) bool {
	sum := &item.Summary{}
	if e.hot == nil {
		var err error
		if sum, err = item.DecodeSummary(e.summary, e.base()); err != nil {
			return false
		}
	}
	for _, st := range states {
		switch {
		case e.hot != nil && st.Index < len(e.hot.states):
			e.hot.states[st.Index] = st.State
		case e.hot == nil && st.Index < len(sum.Recipients):
			sum.Recipients[st.Index].State = st.State
		default:
			return false
		}
	}
	if e.hot == nil {
		e.summary = string(item.AppendSummary(nil, sum, e.base()))
	}
	return true
}

// SetFlags sets and clears flags; it reports whether that changed anything.
func (s *Spool) SetFlags(e *Entry, set, clear uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	flags := e.flags&^clear | set
	if e.flags&gone != 0 || flags == e.flags {
		return false
	}
	s.held += held(flags) - held(e.flags)
	e.flags = flags
	s.log.append(format.TypeFlags, func(b []byte) []byte { return format.AppendFlags(b, e.ID, flags) })
	return true
}

// Remove takes e out of the index; it reports whether it was there. The space
// is reclaimed after the removal is durable.
func (s *Spool) Remove(e *Entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.flags&gone != 0 {
		return false
	}
	s.drop(e)
	s.log.append(format.TypeRemoved, func(b []byte) []byte { return format.AppendRemoved(b, e.ID) })
	if e.flags&format.MsgExternal != 0 {
		s.doomed = append(s.doomed, e.ID)
	}
	return true
}

// drop changes the index only. s.mu is held.
func (s *Spool) drop(e *Entry) {
	e.flags |= gone
	s.index.remove(e.ID)
	s.held -= held(e.flags)
	e.seg.lose(e)
	s.bytes -= e.size
	if e.flags&format.MsgExternal != 0 {
		s.larges--
		s.largeBytes -= e.size
	}
	e.hot, e.summary = nil, ""
}

// put enters e into the index. s.mu is held.
func (s *Spool) put(e *Entry) {
	s.index.put(e)
	s.count(e)
}

// count adds e to the sums. s.mu is held.
func (s *Spool) count(e *Entry) {
	s.held += held(e.flags)
	e.seg.gain(e)
	s.bytes += e.size
	if e.flags&format.MsgExternal != 0 {
		s.larges++
		s.largeBytes += e.size
	}
}

func held(flags uint32) int {
	if flags&Held != 0 {
		return 1
	}
	return 0
}
