package server

import (
	"context"
	"io"
	"iter"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

// Account is one user's mail as a session sees it. Mailbox names are UTF-8
// with Start.Delim between the levels; "INBOX" is written in upper case.
// Errors carry a kind of pkg/platform/fail; NotFound, Exists, Denied, Invalid
// and Full choose the response code, everything else is "try again later".
// All methods are safe for concurrent use.
type Account interface {
	// Folders lists every mailbox, every name that is only subscribed, and
	// every parent that exists only as a part of other names. Order is free.
	Folders(ctx context.Context) ([]Folder, error)
	// Create makes a mailbox and the parents it needs. uses become its special
	// uses (RFC 6154 section 3), which other mailboxes lose; ErrUse says that
	// it cannot have them. All or nothing.
	Create(ctx context.Context, name string, uses []imap.MailboxAttr) error
	// Delete removes a mailbox; its children stay.
	Delete(ctx context.Context, name string) error
	// Rename moves a mailbox and its children. Renaming INBOX moves its
	// messages and leaves it empty (RFC 3501 section 6.3.5).
	Rename(ctx context.Context, old, name string) error
	// Subscribe puts a name on the list of subscriptions, or takes it off.
	// The name need not exist.
	Subscribe(ctx context.Context, name string, on bool) error
	// Status answers for a mailbox without selecting it. Status.Size, which
	// may mean to look at each message, is filled in only with size.
	Status(ctx context.Context, name string, size bool) (Status, error)
	// Open returns a mailbox. The caller closes it.
	Open(ctx context.Context, name string) (Mailbox, error)
	// Append adds messages to a mailbox: all or none. It finds the mailbox
	// before it asks for the first, and reads all to their ends before it
	// takes any lock that others wait for: the bytes come from the network.
	Append(ctx context.Context, name string, m Messages) (Appended, error)
}

// Messages gives one message after the other, and nil after the last. The Body
// of each must be read to its end before the next one is asked for.
type Messages func() (*Message, error)

// QuotaKeeper is an Account whose mail is limited. Where an Account is none,
// QUOTA is not announced.
type QuotaKeeper interface {
	// QuotaRoots are the quota roots that count what is in a mailbox, which
	// need not exist.
	QuotaRoots(ctx context.Context, mailbox string) ([]QuotaRoot, error)
	// DeletedSize is what an EXPUNGE of the mailbox would free, in bytes.
	DeletedSize(ctx context.Context, mailbox string) (int64, error)
}

// Follower is an Account that tells of changes in all its mailboxes. Where an
// Account is none, NOTIFY is not announced.
type Follower interface {
	// Follow calls tell for each change, from any goroutine and maybe more than
	// once, until stop has returned. tell does not wait, and does not call the
	// Account. Changes by other programs are looked for in the mailboxes that
	// wants says, as far as it costs little.
	Follow(ctx context.Context, wants func(mailbox string) bool, tell func(Event)) (stop func())
}

// Event is a change of a mailbox. It does not say how the mailbox is now.
type Event struct {
	What    Changes
	Mailbox string
	Old     string // before it was renamed
	Own     bool   // the session that is told has done it
}

// Changes is a set of what can happen to a mailbox.
type Changes uint8

// The changes that are told of.
const (
	MessagesNew Changes = 1 << iota
	MessagesGone
	FlagsChanged
	MailboxCreated
	MailboxDeleted
	MailboxRenamed // with those below it
	SubscriptionChanged
)

// QuotaRoot is a named set of limits (RFC 9208 section 3.2). What is not among
// its Resources is not limited.
type QuotaRoot struct {
	Name      string
	Resources []QuotaResource
}

// QuotaResource is one limit and how much of it is used, in the units of RFC
// 9208 section 5: storage in KiB.
type QuotaResource struct {
	Type         imap.QuotaResourceType
	Usage, Limit int64
}

// Folder is a line of LIST.
type Folder struct {
	Name        string
	NonExistent bool // no mailbox of that name: only subscribed
	NoSelect    bool // holds no messages: a parent
	NoInferiors bool // cannot have children
	Subscribed  bool
	SpecialUse  []imap.MailboxAttr
}

// Status is what STATUS can tell.
type Status struct {
	Messages, Recent, Unseen, Deleted uint32
	UIDNext                           uint32
	UIDValidity                       uint32
	HighestModSeq                     uint64
	Size                              int64 // sum of RFC822.SIZE
	MailboxID                         string

	deletedSize int64
}

// ErrUse is Create's: a mailbox here cannot have the special use.
var ErrUse = fail.New(fail.Invalid, "special use is not supported")

// Message is a message on its way into a mailbox.
type Message struct {
	Flags []imap.Flag
	Date  time.Time // INTERNALDATE; zero: now
	Size  int64     // exact number of bytes in Body
	Body  io.Reader // CRLF lines as the client sent them
}

// Appended names the messages that Append made, in their order.
type Appended struct {
	UIDValidity uint32
	UIDs        []uint32
}

// Mailbox is one open mailbox. The state behind it is shared with every other
// session that has it open; the Mailbox itself belongs to one session, whose
// commands may use it at the same time. Close comes after all of them.
type Mailbox interface {
	Viewer
	Changer
	io.Closer
}

// Viewer is the reading half of a Mailbox.
type Viewer interface {
	// ID is the same for as long as the mailbox exists, whatever its name, and
	// no other mailbox of the account ever has it (RFC 8474 section 4.1).
	ID() string
	// Snapshot returns the newest known state without I/O. Messages that the
	// last snapshot taken has stay readable while they can.
	Snapshot() Snapshot
	// Sync looks for changes made by other programs. NotFound: the mailbox
	// was deleted; Unavailable: it was given up. Both are for good.
	Sync(ctx context.Context) error
	// Err is what Sync would say about a mailbox that is gone, without I/O.
	Err() error
	// Watch calls wake, from any goroutine and more often than needed,
	// whenever Snapshot or Err may have changed, until stop is called: the
	// caller compares snapshots itself. wake does not block.
	Watch(wake func()) (stop func())
	// ClaimRecent takes the messages that no session has claimed for this
	// one and returns the first of them: those of the newest snapshot from
	// that UID on are \Recent here.
	ClaimRecent(ctx context.Context) (first uint32, err error)
	// Open gives access to the content of a message. It does no I/O and
	// cannot fail; what it returns can.
	Open(uid uint32) Content
}

// Changer is the writing half of a Mailbox.
type Changer interface {
	// Store changes flags. UIDs that are gone are skipped. It returns those
	// of messages that c.If kept from being changed.
	Store(ctx context.Context, uids imap.UIDSet, c Change) (refused imap.UIDSet, err error)
	// Copy copies (or moves) messages to the mailbox named dest: all of them
	// or none. UIDs that are gone are skipped. NotFound is about dest.
	Copy(ctx context.Context, uids imap.UIDSet, dest string, move bool) (Copied, error)
	// Expunge removes the messages among uids that have \Deleted; nil means
	// every message of the mailbox.
	Expunge(ctx context.Context, uids imap.UIDSet) error
	// Replace adds the one message of m to the mailbox named dest, as Append
	// does, and then removes message uid: what it takes is room for the new
	// one. When it fails nothing is changed; a crash may leave both.
	Replace(ctx context.Context, uid uint32, dest string, m Messages) (Appended, error)
}

// Change is what STORE does to messages.
type Change struct {
	Op    imap.StoreFlagsOp
	Flags []imap.Flag
	If    *Unchanged // nil: in any case
}

// Unchanged is the condition of RFC 7162 section 3.1.3: the message has no
// higher MODSEQ than Since. Told is what the client was told of the flags: a
// mailbox that finds there that only other flags have changed since does not
// refuse to add or to remove some (section 3.1.12).
type Unchanged struct {
	Since uint64
	Told  Snapshot
}

// Copied is the answer to Copy: message Source[i] became Dest[i].
type Copied struct {
	UIDValidity  uint32
	Source, Dest []uint32
}

// Snapshot is an immutable state of a mailbox: rows in ascending UID order.
// It may be used from any goroutine for as long as it is referenced. Two
// Snapshots of the same state are equal (==).
type Snapshot interface {
	// Info describes the mailbox as a whole. It is cheap.
	Info() Info
	// Len is the number of messages.
	Len() int
	// At returns row i, counted from 0. It does not allocate.
	At(i int) Row
	// Find returns the index of the first row whose UID is not below uid
	// (Len() when there is none).
	Find(uid uint32) int
	// FirstUnseen returns the index of the first row without \Seen, or -1.
	FirstUnseen() int
	// ChangedSince yields the indices lo <= i < hi of rows whose MODSEQ is
	// above modseq. It costs as much as it yields.
	ChangedSince(modseq uint64, lo, hi int) iter.Seq[int]
	// Vanished returns which of uids belonged to messages that were expunged
	// with a MODSEQ above modseq, in ascending order. Those that were expunged
	// before may be among them, as far as that is not known any more; UIDs of
	// rows and those from UIDNext on may not.
	Vanished(modseq uint64, uids imap.UIDSet) imap.UIDSet
	// Changes is how old, an earlier snapshot of the same mailbox, became
	// this one. It costs as much as there is to tell.
	Changes(old Snapshot) Delta
}

// Delta is the difference between two snapshots.
type Delta struct {
	Gone    []int // indices in the older one, ascending
	Changed []int // indices in the newer one whose flags may differ, ascending; messages new in it are not among them
}

// Info describes a mailbox.
type Info struct {
	UIDValidity   uint32
	UIDNext       uint32
	LastUID       uint32 // of the last row; 0 when there is none
	HighestModSeq uint64
	Recent        int      // messages that nobody has claimed: the last ones
	Keywords      []string // known here; shared, never modified
	NewKeywords   bool     // clients may make more
	ReadOnly      bool     // nothing can be changed, however it was selected
}

// Row is one message in a snapshot. A field that the mailbox has not at hand
// is negative (Size) or zero (Date): the engine then asks Content.
type Row struct {
	UID      uint32 // 0: the row cannot be read, treat it as expunged
	System   System
	Keywords []string  // shared, never modified
	Size     int64     // RFC822.SIZE: octets with CRLF line ends
	Date     time.Time // INTERNALDATE
	ModSeq   uint64
}

// System is the set of system flags of a message, without \Recent, which
// belongs to a session.
type System uint8

// The system flags (RFC 3501 section 2.3.2), in the order they are shown.
const (
	Answered System = 1 << iota
	Flagged
	Deleted
	Seen
	Draft
)

// Content is one message opened for reading, used by one goroutine. NotFound
// means that the message was expunged and its file is gone.
type Content interface {
	// AppendEnvelope and AppendStructure append IMAP wire bytes.
	AppendEnvelope(ctx context.Context, dst []byte) ([]byte, error)
	AppendStructure(ctx context.Context, dst []byte, extended bool) ([]byte, error)
	// Size is RFC822.SIZE, Date is INTERNALDATE.
	Size(ctx context.Context) (int64, error)
	Date(ctx context.Context) (time.Time, error)
	// Section opens a part of the message, valid until Close. A part that
	// does not exist is fail.Invalid.
	Section(ctx context.Context, s message.Section) (Body, error)
	// Text streams the message for SEARCH as UTF-8 (transfer encodings and
	// charsets undone), with or without the header.
	Text(ctx context.Context, header bool) (io.Reader, error)
	// Fields returns the decoded values of every header field of that name,
	// in order, as UTF-8.
	Fields(ctx context.Context, name string) ([]string, error)

	io.Closer
}

// Details is an optional side of a Content: what SORT, THREAD, PREVIEW, BINARY,
// OBJECTID and SAVEDATE ask of one message.
type Details interface {
	// Keys are what SORT and THREAD compare.
	Keys(ctx context.Context) (Keys, error)
	// Preview is the text of RFC 8970, valid UTF-8, "" when there is none.
	Preview(ctx context.Context) (string, error)
	// Binary opens a part with its transfer encoding undone (RFC 3516);
	// an empty path is the whole message, as it is. fail.Invalid: there is no
	// such part. fail.Permanent: its encoding is unknown (UNKNOWN-CTE).
	Binary(ctx context.Context, path []int) (BinaryBody, error)
	// EmailID names the content: the same text has the same one, wherever it
	// is (RFC 8474).
	EmailID(ctx context.Context) (string, error)
	// Saved is when the message was put into this mailbox (RFC 8514); zero
	// when that is not known.
	Saved(ctx context.Context) (time.Time, error)
}

// FieldsAppender is an optional side of a Content that may have header fields
// at hand: they are sent without a Body then.
type FieldsAppender interface {
	// AppendFields appends HEADER.FIELDS of the message. false: Section has
	// them.
	AppendFields(ctx context.Context, dst []byte, names []string) ([]byte, bool, error)
}

// Keys are what SORT and THREAD compare of a message.
type Keys = digest.Keys

// Sorter is an optional side of a Mailbox: the keys of many messages at once,
// for less than asking each of them.
type Sorter interface {
	// EachKeys calls fn for the messages of uids, in ascending order, until it
	// returns false. k is valid during the call, its strings and slices may
	// be kept. Messages that are gone are left out.
	EachKeys(ctx context.Context, uids imap.UIDSet, fn func(uid uint32, k *Keys) bool) error
}

// Selector is an optional side of a Mailbox: search keys answered for all
// messages at once, for less than asking each of them.
type Selector interface {
	// Select answers q for the rows of s that are in open. It adds to hits the
	// rows that meet it, which may be others as well, and takes out of open
	// those of which that is known now: the rest is asked one by one.
	Select(ctx context.Context, s Snapshot, q Query, hits, open Bits)
	// UIDs are the UIDs of all rows, 0 for one that cannot be read.
	UIDs(s Snapshot) []uint32
}

// Bits is a set of rows: row i is bit i%64 of number i/64.
type Bits []uint64

// Query is a search key for a Selector.
type Query struct {
	Kind     QueryKind
	Flags    System    // QueryFlags: any of them
	From, To int64     // QueryReceived, QuerySize: from From on and below To
	Rel      int       // QuerySent: -1 before that day, 0 on it, 1 on it or later
	Day      time.Time // QuerySent: midnight UTC of the day that stands in the Date field
	Field    string    // QueryField: the name of a header field
	Text     string    // QueryField: what it holds, in the form of collate.String; never empty
}

// QueryKind says what a Query is about.
type QueryKind uint8

// The kinds of Query.
const (
	QueryFlags    QueryKind = iota
	QueryReceived           // INTERNALDATE, in seconds since 1970
	QuerySize               // RFC822.SIZE
	QuerySent               // the Date field
	QueryField              // a header field
)

// Reader is an optional side of a Mailbox that can read messages before they
// are opened.
type Reader interface {
	// Ahead says that a command will open these messages, in this order, for
	// their envelopes, structures and header fields. fields are those that it
	// asks for of each one, if it is always the same ones; brief: no structures.
	Ahead(ctx context.Context, uids imap.UIDSet, fields []string, brief bool) Reading
}

// Reading opens messages that were read before. It is used by one goroutine at
// a time, and a Content is closed before the next one is opened.
type Reading interface {
	Open(uid uint32) Content
	// Ready reports whether envelope, structure and the header fields of a
	// message are in memory: it can be opened for them without waiting.
	Ready(uid uint32) bool
	// Stop is called at the end of the command.
	Stop()
}

// BinaryBody is a part with its encoding undone. *message.Binary is one.
type BinaryBody interface {
	Body
	// HasNUL reports whether there is a NUL in it.
	HasNUL() bool
}

// Body is a section of a message with CRLF line ends. *message.Body is one.
type Body interface {
	// Size is the exact number of octets that are still to be read.
	Size() int64
	// Partial skips off octets and cuts what follows after n; beyond the end
	// nothing is left. It is called before Read.
	Partial(off, n int64) error
	io.Reader
}
