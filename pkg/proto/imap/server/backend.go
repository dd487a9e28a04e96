package server

import (
	"context"
	"io"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/message"
)

// Account is one user's mail as a session sees it. Mailbox names are UTF-8
// with Options.Delim between the levels; "INBOX" is written in upper case.
// Errors carry a kind of pkg/platform/fail; NotFound, Exists, Denied, Invalid
// and Full choose the response code, everything else is "try again later".
// All methods are safe for concurrent use.
type Account interface {
	// Folders lists every mailbox, every name that is only subscribed, and
	// every parent that exists only as a part of other names. Order is free.
	Folders(ctx context.Context) ([]Folder, error)
	// Create makes a mailbox and the parents it needs.
	Create(ctx context.Context, name string, use []imap.MailboxAttr) error
	// Delete removes a mailbox; its children stay.
	Delete(ctx context.Context, name string) error
	// Rename moves a mailbox and its children. Renaming INBOX moves its
	// messages and leaves it empty (RFC 3501 section 6.3.5).
	Rename(ctx context.Context, old, name string) error
	// Subscribe puts a name on the list of subscriptions, or takes it off.
	// The name need not exist.
	Subscribe(ctx context.Context, name string, on bool) error
	// Status answers for a mailbox without selecting it.
	Status(ctx context.Context, name string) (Status, error)
	// Open returns a mailbox. The caller closes it.
	Open(ctx context.Context, name string) (Mailbox, error)
	// Append adds a message to a mailbox. It reads m.Body to its end before
	// it takes any lock that others wait for: the bytes come from the
	// network. Nothing is kept when it fails.
	Append(ctx context.Context, name string, m Message) (Appended, error)
}

// Folder is a line of LIST.
type Folder struct {
	Name        string
	NonExistent bool // no mailbox of that name: a parent, or only subscribed
	NoSelect    bool // exists but holds no messages
	NoInferiors bool // cannot have children
	Subscribed  bool
	SpecialUse  []imap.MailboxAttr
}

// Status is what STATUS can tell.
type Status struct {
	Messages, Recent, Unseen uint32
	UIDNext                  imap.UID
	UIDValidity              uint32
	HighestModSeq            uint64
}

// Message is a message on its way into a mailbox.
type Message struct {
	Flags []imap.Flag
	Date  time.Time // INTERNALDATE; zero: now
	Size  int64     // exact number of bytes in Body
	Body  io.Reader // CRLF lines as the client sent them
}

// Appended names the message that Append made.
type Appended struct {
	UIDValidity uint32
	UID         imap.UID
}

// Mailbox is one open mailbox, shared with every other session that has it
// open. All methods are safe for concurrent use.
type Mailbox interface {
	Viewer
	Changer
	io.Closer
}

// Viewer is the reading half of a Mailbox.
type Viewer interface {
	// Snapshot returns the newest known state. It does no I/O.
	Snapshot() Snapshot
	// Sync looks for changes made by other programs and returns the state
	// after that.
	Sync(ctx context.Context) (Snapshot, error)
	// Watch calls wake (from any goroutine, more often than needed, never
	// blocking on it) whenever Snapshot may have changed, until stop is
	// called. Level-triggered: the caller compares snapshots itself.
	Watch(wake func()) (stop func())
	// Recent takes over the \Recent messages below next for this session
	// and returns the first of them; a later call by anybody starts at next.
	// With next 0 nothing is taken over (EXAMINE).
	Recent(next imap.UID) (first imap.UID)
	// Open gives access to the content of a message; NotFound when it has
	// been expunged and its file is gone. The caller closes it.
	Open(ctx context.Context, uid imap.UID) (Content, error)
}

// Changer is the writing half of a Mailbox.
type Changer interface {
	// Store changes flags. UIDs that are gone are skipped.
	Store(ctx context.Context, uids imap.UIDSet, op imap.StoreFlagsOp, flags []imap.Flag) error
	// Copy copies (or moves) messages to the mailbox named dest: all of them
	// or none. UIDs that are gone are skipped. NotFound is about dest.
	Copy(ctx context.Context, uids imap.UIDSet, dest string, move bool) (Copied, error)
	// Expunge removes the messages among uids that have \Deleted; nil means
	// every message of the mailbox.
	Expunge(ctx context.Context, uids imap.UIDSet) error
}

// Copied is the answer to Copy. SourceUIDs and DestUIDs have the same number
// of members, the i-th of one being the copy of the i-th of the other.
type Copied struct {
	UIDValidity uint32
	SourceUIDs  imap.UIDSet
	DestUIDs    imap.UIDSet
}

// Snapshot is an immutable state of a mailbox: rows in ascending UID order.
// It may be used from any goroutine for as long as it is referenced.
type Snapshot interface {
	// Info describes the mailbox as a whole. It is cheap.
	Info() Info
	// Len is the number of messages.
	Len() int
	// At returns row i, counted from 0. It does not allocate.
	At(i int) Row
	// Find returns the index of the first row whose UID is not below uid
	// (Len() when there is none).
	Find(uid imap.UID) int
	// Changes reports what happened between old, an earlier snapshot of the
	// same mailbox, and the receiver, cheaply when little did: it calls gone
	// with the index (in old) of every row that is no longer there and
	// changed with the index (in the receiver) of every row that was in old
	// and has other flags now, both in ascending order. Rows with a UID
	// beyond old's last are new and are not reported.
	Changes(old Snapshot, gone, changed func(i int))
}

// Info describes a mailbox.
type Info struct {
	UIDValidity   uint32
	UIDNext       imap.UID
	HighestModSeq uint64
	// Keywords are those in use. NewKeywords says that clients may add some.
	Keywords    []string
	NewKeywords bool
	// ReadOnly forbids every change, whatever the client selected with.
	ReadOnly bool
}

// Row is one message in a snapshot. A field that the mailbox has not at hand
// is negative (Size) or zero (Date): the engine then asks Content.
type Row struct {
	UID      imap.UID
	System   System
	Keywords []string // shared: never modified
	Size     int64    // RFC822.SIZE: octets with CRLF line ends
	Date     int64    // INTERNALDATE, seconds since 1970
	ModSeq   uint64
}

// System is the set of system flags of a message, without \Recent, which
// belongs to a session.
type System uint8

// The system flags (RFC 3501 section 2.3.2).
const (
	Answered System = 1 << iota
	Flagged
	Deleted
	Seen
	Draft
)

// Content is one message opened for reading. It is used by one goroutine.
type Content interface {
	// Envelope and Structure return IMAP wire bytes, ready to be sent. The
	// caller does not modify them.
	Envelope(ctx context.Context) ([]byte, error)
	Structure(ctx context.Context, extended bool) ([]byte, error)
	// Size is RFC822.SIZE, Date is INTERNALDATE.
	Size(ctx context.Context) (int64, error)
	Date(ctx context.Context) (time.Time, error)
	// Section opens a part of the message. A part that does not exist is
	// NotFound. The Body is valid until the Content is closed.
	Section(ctx context.Context, s message.Section) (Body, error)
	// Text streams the message for SEARCH: decoded (RFC 2047, transfer
	// encodings, charsets) as UTF-8, with or without the header.
	Text(ctx context.Context, header bool) (io.Reader, error)
	// Fields returns the decoded values of every header field of that name,
	// in order, as UTF-8.
	Fields(ctx context.Context, name string) ([]string, error)

	io.Closer
}

// Body is a section of a message with CRLF line ends. message.Body is one.
type Body interface {
	// Size is the exact number of octets that are still to be read.
	Size() int64
	// Partial skips off octets and cuts what follows after n; beyond the end
	// nothing is left. It is called before Read.
	Partial(off, n int64) error
	io.Reader
}
