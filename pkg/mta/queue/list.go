package queue

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Place is where a message stands in the queue.
type Place uint8

// The places.
const (
	Incoming Place = iota // waits for its first attempt
	Active                // being worked on
	Waiting               // deferred until a time
	Held                  // on hold
)

var placeNames = [...]string{"incoming", "active", "deferred", "hold"}

// String returns the name that Postfix uses.
func (p Place) String() string { return placeNames[min(int(p), len(placeNames)-1)] }

// MarshalText gives the name.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Entry is a message as listed.
type Entry struct {
	ID         ID
	Place      Place
	Sender     addr.Address
	Arrival    time.Time
	Size       int64
	Next       time.Time // of the next attempt, zero when active or held
	Expiring   bool      // Expire was asked for
	Damaged    bool      // the stored message does not match its checksums; held
	Recipients []EntryRecipient
}

// EntryRecipient is a recipient as listed.
type EntryRecipient = item.Tracked

// Filter chooses entries. The zero value chooses all.
type Filter struct {
	Places      []Place // empty means any
	Sender      string  // address, case-insensitive; "<>" for the null sender
	Recipient   string  // address, case-insensitive
	Destination string  // domain of a recipient
	IDs         []ID
}

// List walks the queue in order of arrival. It opens no file. What changes
// meanwhile may or may not be seen.
func (q *Queue) List(f Filter) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range q.candidates(f) {
			if entry, ok := q.entry(e); ok && f.admits(&entry) && !yield(entry) {
				return
			}
		}
	}
}

func (q *Queue) candidates(f Filter) []*spool.Entry {
	if len(f.IDs) == 0 {
		return q.spool.Entries()
	}
	var list []*spool.Entry
	for _, id := range f.IDs {
		if e := q.spool.Find(id); e != nil {
			list = append(list, e)
		}
	}
	return list
}

// entry describes one message; ok is false when it has left the queue.
func (q *Queue) entry(e *spool.Entry) (Entry, bool) {
	v, ok := q.spool.View(e)
	if !ok {
		return Entry{}, false
	}
	out := Entry{
		ID: v.ID, Sender: v.Sender, Arrival: v.Arrival, Size: v.Size,
		Expiring: v.Flags&spool.Expiring != 0, Damaged: v.Flags&spool.Damaged != 0,
		Recipients: v.Recipients,
	}
	q.sched.mu.Lock()
	defer q.sched.mu.Unlock()
	if out.Place = place(e, v.Flags); out.Place == Waiting && e.Due > 0 {
		out.Next = time.Unix(e.Due, 0)
	}
	return out, true
}

// place is where a message with these flags stands. The scheduler's lock is held.
func place(e *spool.Entry, flags uint32) Place {
	switch {
	case flags&spool.Held != 0:
		return Held
	case e.Pos >= 0:
		return Waiting
	case e.Pos == posActive, e.Pos == posBacklog, e.Pos == posClaimed:
		return Active
	}
	return Incoming
}

func (q *Queue) placeOf(e *spool.Entry) Place {
	flags, _ := q.spool.Flags(e)
	q.sched.mu.Lock()
	defer q.sched.mu.Unlock()
	return place(e, flags)
}

func (f *Filter) admits(e *Entry) bool {
	if len(f.Places) > 0 && !slices.Contains(f.Places, e.Place) {
		return false
	}
	if f.Sender != "" && !strings.EqualFold(f.Sender, e.Sender.String()) && f.Sender != e.Sender.Path() {
		return false
	}
	if f.Recipient == "" && f.Destination == "" {
		return true
	}
	for i := range e.Recipients {
		a := e.Recipients[i].Addr
		if (f.Recipient == "" || strings.EqualFold(f.Recipient, a.String())) && (f.Destination == "" || strings.EqualFold(f.Destination, a.Domain)) {
			return true
		}
	}
	return false
}

// Has reports whether a message is in the queue.
func (q *Queue) Has(id ID) bool { return q.spool.Find(id) != nil }

// Get returns one entry and its envelope; kind fail.NotFound when it is not
// there. The envelope is read only.
func (q *Queue) Get(id ID) (Entry, *Envelope, error) {
	e := q.spool.Find(id)
	if e == nil {
		return Entry{}, nil, fail.New(fail.NotFound, "not in the queue: %s", id)
	}
	env, err := q.spool.Envelope(e)
	if err != nil {
		return Entry{}, nil, err
	}
	entry, ok := q.entry(e)
	if !ok {
		return Entry{}, nil, fail.New(fail.NotFound, "not in the queue: %s", id)
	}
	return entry, env, nil
}

// Open gives the content of one message, for the operator.
func (q *Queue) Open(id ID) (*Content, error) {
	e := q.spool.Find(id)
	if e == nil {
		return nil, fail.New(fail.NotFound, "not in the queue: %s", id)
	}
	return q.open(e)
}

// Stats are the counts of the queue.
type Stats struct {
	Incoming, Active, Deferred, Held int // messages
	Bytes                            int64
	Oldest                           time.Time // arrival of the oldest message, zero when empty

	Segments, FreeSegments int   // files of small messages
	LargeFiles             int   // messages with a file of their own
	DiskBytes              int64 // used by the two
	LogBytes               int64 // state log since the last checkpoint

	Commits, Syncs uint64 // messages made durable, and fdatasync calls in all
}

// Stats counts without opening a file.
func (q *Queue) Stats() Stats {
	st := q.spool.Stats()
	out := Stats{
		Bytes: st.Bytes, Oldest: st.Oldest, Segments: st.Segments, FreeSegments: st.FreeSegments, LargeFiles: st.Large,
		DiskBytes: st.SegmentBytes + st.LargeBytes, LogBytes: st.LogBytes, Commits: st.Commits, Syncs: st.Syncs + st.StateSyncs,
		Held: st.Held,
	}
	s := &q.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Deferred = s.due.len()
	out.Active = min(len(s.active), st.Messages)
	out.Incoming = max(st.Messages-out.Deferred-out.Active-out.Held, 0)
	return out
}
