package queue

import (
	"iter"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
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
type EntryRecipient struct {
	Addr addr.Address
	State
}

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
func (q *Queue) List(_ Filter) iter.Seq[Entry] { return func(func(Entry) bool) {} }

// Get returns one entry and its envelope; kind fail.NotFound when it is not there.
func (q *Queue) Get(_ ID) (Entry, *Envelope, error) { return Entry{}, nil, nil }

// Open gives the content of one message, for the operator.
func (q *Queue) Open(_ ID) (*Content, error) { return nil, nil }

// Stats are the counts of the queue.
type Stats struct {
	Incoming, Active, Deferred, Held int // messages
	Recipients                       int // not final
	Bytes                            int64
	Oldest                           time.Time // arrival of the oldest message, zero when empty
	Damaged                          int

	Segments, FreeSegments int   // files of small messages
	LargeFiles             int   // messages with a file of their own
	DiskBytes              int64 // used by the two
	LogBytes               int64 // state log since the last checkpoint

	Commits, Syncs uint64 // messages made durable, and fdatasync calls for them
}

// Stats counts without opening a file.
func (q *Queue) Stats() Stats { return Stats{} }
