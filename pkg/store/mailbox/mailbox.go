package mailbox

import (
	"context"
	"io"
	"time"

	"github.com/postcote/postcote/pkg/platform/message"
)

// Mailbox is one session's handle of an open folder. After Close, after the
// folder was deleted, or after the account was released its methods return
// NotFound or Unavailable; snapshots stay usable.
type Mailbox struct{}

// Name is the folder's current name.
func (m *Mailbox) Name() string { return "" }

// Close gives the handle up. The last one flushes.
func (m *Mailbox) Close() error { return errUnbuilt }

// Snapshot returns the newest view and pins it for this handle: messages that
// are expunged from now on stay readable while the handle has not taken a
// newer one (for a limited time).
func (m *Mailbox) Snapshot() *Snapshot { return nil }

// Changes is signalled (never closed, capacity 1, level-triggered) when there
// is a newer snapshot than the handle has taken, or when the handle is dead.
func (m *Mailbox) Changes() <-chan struct{} { return nil }

// Err is nil while the mailbox can be used: NotFound after it was deleted,
// Unavailable after Release.
func (m *Mailbox) Err() error { return nil }

// Watch asks to be told of foreign changes without calling Sync (IDLE, or a
// selected mailbox): inotify where it works, else polling. It counts; the
// returned function ends it.
func (m *Mailbox) Watch() (stop func()) { return func() {} }

// Sync looks for changes by others now. It costs three stats when there are
// none.
func (m *Mailbox) Sync(ctx context.Context) error { return errUnbuilt }

// ClaimRecent makes all messages that no session has claimed \Recent for this
// caller: those of the handle's current snapshot with UIDs >= the result. Call
// it for SELECT (not EXAMINE) and whenever messages were appended; files move
// from new/ to cur/.
func (m *Mailbox) ClaimRecent(ctx context.Context) (first uint32, err error) { return 0, errUnbuilt }

// Op is what Store does with the flags.
type Op uint8

// The operations of STORE.
const (
	Add Op = iota
	Remove
	Replace
)

// Change is one STORE.
type Change struct {
	Op             Op
	Flags          Flags
	Keywords       []string
	UnchangedSince uint64 // refuse messages with a higher MODSEQ; NoCondition for no condition
}

// NoCondition is the UnchangedSince of an unconditional Change.
const NoCondition = ^uint64(0)

// StoreResult tells what Store did.
type StoreResult struct {
	ModSeq   uint64 // of all messages that changed; 0 when none did
	Changed  Set    // messages whose flags are different now
	Modified Set    // messages that failed UnchangedSince
	Missing  Set    // asked-for messages of the handle's snapshot that are gone
}

// Store changes flags. Durable when it returns. Invalid: a keyword that cannot
// be stored (name, or too many in this mailbox).
func (m *Mailbox) Store(ctx context.Context, set Set, c Change) (StoreResult, error) {
	return StoreResult{}, errUnbuilt
}

// Expunge removes the messages of set that have \Deleted; a nil set means all.
// It returns the UIDs that are gone.
func (m *Mailbox) Expunge(ctx context.Context, set Set) (Set, error) { return nil, errUnbuilt }

// Remove removes the messages of set whatever their flags.
func (m *Mailbox) Remove(ctx context.Context, set Set) (Set, error) { return nil, errUnbuilt }

// Copied is the COPYUID of a copy or move: Source[i] became Dest[i].
type Copied struct {
	UIDValidity  uint32
	Source, Dest []uint32
}

// Copy copies messages into another folder of the same account, with flags and
// dates; all or nothing. Messages that are gone are skipped. NotFound: no such
// folder, or no message left to copy.
func (m *Mailbox) Copy(ctx context.Context, set Set, folder string) (Copied, error) {
	return Copied{}, errUnbuilt
}

// Move is Copy, then Remove of what was copied.
func (m *Mailbox) Move(ctx context.Context, set Set, folder string) (Copied, error) {
	return Copied{}, errUnbuilt
}

// Incoming is one message to append.
type Incoming struct {
	Flags    Flags
	Keywords []string
	Date     time.Time // INTERNALDATE; zero means now
	Size     int64     // announced bytes, 0 unknown: to fail early when the disk is full
}

// Append starts an append to a folder: one message for APPEND, several for
// MULTIAPPEND. NotFound: no such folder.
func (a *Account) Append(ctx context.Context, folder string) (*Append, error) {
	return nil, errUnbuilt
}

// Append collects messages and adds all of them or none.
type Append struct{}

// Add stores one message, CRLF as LF. An error of r is returned and ends the
// append. Full: no space.
func (p *Append) Add(ctx context.Context, in Incoming, r io.Reader) error { return errUnbuilt }

// Commit gives out UIDs and publishes; durable when it returns.
func (p *Append) Commit(ctx context.Context) (uidValidity uint32, uids []uint32, err error) {
	return 0, nil, errUnbuilt
}

// Abort drops everything. After Commit it does nothing.
func (p *Append) Abort() {}

// File is an open message. ReadAt reads bytes as stored.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Resolve returns message i of s with Size, VSize and Date filled in, by
// looking at the file where the index does not know, and keeps what it
// learned. NotFound: the message is gone.
func (m *Mailbox) Resolve(ctx context.Context, s *Snapshot, i int) (Message, error) {
	return Message{}, errUnbuilt
}

// OpenMessage opens a message for reading. NotFound: it is gone.
func (m *Mailbox) OpenMessage(ctx context.Context, uid uint32) (File, error) { return nil, errUnbuilt }

// Header reads a message's header block.
func (m *Mailbox) Header(ctx context.Context, uid uint32) (message.Header, error) {
	return message.Header{}, errUnbuilt
}

// Structure parses a message. The file is open and the caller closes it.
func (m *Mailbox) Structure(ctx context.Context, uid uint32) (*message.Part, File, error) {
	return nil, nil, errUnbuilt
}

// AppendEnvelope appends the message's ENVELOPE as wire bytes, from the cache
// or by parsing, which fills the cache.
func (m *Mailbox) AppendEnvelope(ctx context.Context, dst []byte, uid uint32) ([]byte, error) {
	return dst, errUnbuilt
}

// AppendBodyStructure appends BODYSTRUCTURE (extended) or BODY in the same way.
func (m *Mailbox) AppendBodyStructure(ctx context.Context, dst []byte, uid uint32, extended bool) ([]byte, error) {
	return dst, errUnbuilt
}
