package mailbox

import (
	"context"

	"github.com/postcote/postcote/pkg/platform/fail"
)

var errUnbuilt = fail.New(fail.Unavailable, "mailbox: not usable yet")

// Store is the mail of one process: its open accounts and its one inotify
// instance. Safe for concurrent use, as everything in this package is.
type Store struct{}

// NewStore opens no files. Run it with Run.
func NewStore(cfg Config) (*Store, error) { return &Store{}, nil }

// Run does the work in the background (write-behind, watching, idle mailboxes)
// until ctx is done. Without it nothing is flushed before Close.
func (s *Store) Run(ctx context.Context) error { return errUnbuilt }

// Account opens a user's mail, or joins those who have it open; Close it once
// for each call. Creates the INBOX and the configured automatic folders.
// Kinds: Exists (another process owns the account; the text says which),
// Denied, NotFound (no such home), Full.
func (s *Store) Account(ctx context.Context, cfg AccountConfig) (*Account, error) {
	return nil, errUnbuilt
}

// Hint tells of a delivery by another process. It does nothing when the
// account is not open. It never blocks.
func (s *Store) Hint(user string, h Hint) {}

// Release flushes the user's mailboxes and gives the account up, so that
// another server may take over. Sessions that are still there get Unavailable
// from then on. It does nothing when the account is not open.
func (s *Store) Release(ctx context.Context, user string) error { return errUnbuilt }

// Freeze flushes the user's mailboxes and stops writing until thaw is called,
// for backups. Operations that change something wait.
func (s *Store) Freeze(ctx context.Context, user string) (thaw func(), err error) {
	return nil, errUnbuilt
}

// Accounts lists the users whose accounts are open.
func (s *Store) Accounts() []string { return nil }

// Close flushes and closes everything. The error joins what could not be
// flushed; it stays in the logs and is flushed at the next start.
func (s *Store) Close(ctx context.Context) error { return errUnbuilt }

// Hint is what deliverd says of a delivery. Nothing of it is believed: it only
// says where to look.
type Hint struct {
	Folder string // folder name with the account's separator
	File   string // base name of the message
	Size   int64
	VSize  int64
}

// Account is one user's mail.
type Account struct{}

// Close gives up this reference. After the last one the account lingers, then
// everything is flushed and the lock is given back.
func (a *Account) Close() error { return errUnbuilt }

// User is the name the account was opened under.
func (a *Account) User() string { return "" }

// Separator is the hierarchy separator.
func (a *Account) Separator() byte { return '.' }

// Shared reports whether other programs may write at the same time: then
// CONDSTORE and QRESYNC must not be announced.
func (a *Account) Shared() bool { return false }

// Folder is one line of List.
type Folder struct {
	Name        string // UTF-8; "INBOX" in upper case
	Exists      bool   // can be selected; false for a mere parent (\NoSelect) and for a subscription of nothing (\NonExistent)
	Parent      bool   // has folders below it that exist (\HasChildren)
	Subscribed  bool
	SpecialUse  string // "\\Sent" …, or empty
	NonExistent bool   // known only from the subscriptions
}

// List returns all folders that exist, their missing parents, and all
// subscribed names, sorted with INBOX first. Patterns are the caller's work.
func (a *Account) List(ctx context.Context) ([]Folder, error) { return nil, errUnbuilt }

// Create makes a folder and its UIDVALIDITY. Exists, Invalid (name), Full.
// specialUse may be empty.
func (a *Account) Create(ctx context.Context, name string) error { return errUnbuilt }

// Delete removes a folder with its messages; folders below it stay. NotFound;
// Denied for INBOX. Sessions that have it open get NotFound from then on.
func (a *Account) Delete(ctx context.Context, name string) error { return errUnbuilt }

// Rename renames a folder and all below it, keeping UIDs. Renaming INBOX moves
// its messages (RFC 3501 section 6.3.5). NotFound, Exists, Invalid.
func (a *Account) Rename(ctx context.Context, from, to string) error { return errUnbuilt }

// Subscribe adds the name to the subscriptions, or takes it away. The name
// need not exist.
func (a *Account) Subscribe(ctx context.Context, name string, on bool) error { return errUnbuilt }

// Status describes a folder for STATUS and SELECT.
type Status struct {
	Messages, Recent, Unseen, Deleted int
	UIDNext, UIDValidity              uint32
	HighestModSeq                     uint64
	Size                              int64 // sum of RFC822.SIZE; only when asked for
	GUID                              string
}

// Status looks at a folder without selecting it. withSize may have to read
// messages. NotFound.
func (a *Account) Status(ctx context.Context, name string, withSize bool) (Status, error) {
	return Status{}, errUnbuilt
}

// Open opens a folder for one session. All handles of a folder share one
// state. NotFound, Invalid; Corrupt never: a damaged index is rebuilt.
func (a *Account) Open(ctx context.Context, name string) (*Mailbox, error) { return nil, errUnbuilt }
