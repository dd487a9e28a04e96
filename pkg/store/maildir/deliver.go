package maildir

import (
	"context"
	"io"
	"io/fs"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Options of a Tree. The zero value is what the daemons use.
type Options struct {
	Separator byte             // between the parts of a folder name; 0 means '.'
	Namer     *Namer           // nil means one of its own; processes share one
	Now       func() time.Time // nil means time.Now
	DirPerm   fs.FileMode      // 0 means 2770
	FilePerm  fs.FileMode      // 0 means 0660
}

// Tree is one account's Maildir++ folder tree. It has no state and needs no
// closing; making one is cheap.
type Tree struct {
	fs   disk.FS
	root string
	opts Options
}

// NewTree returns the tree at root, which need not exist yet.
func NewTree(fsys disk.FS, root string, opts Options) *Tree {
	return &Tree{fs: fsys, root: root, opts: opts}
}

// Ensure makes the folder, and the root with INBOX, where they are missing.
// Invalid: the name is not allowed.
func (t *Tree) Ensure(ctx context.Context, folder string) error {
	return fail.New(fail.Unavailable, "maildir: not usable yet")
}

// Exists reports whether the folder is there to be delivered into.
func (t *Tree) Exists(ctx context.Context, folder string) (bool, error) {
	return false, fail.New(fail.Unavailable, "maildir: not usable yet")
}

// Meta is what is delivered besides the bytes.
type Meta struct {
	Flags    Flags
	Keywords []string  // IMAP keywords; letters are allotted under the UID list's lock
	Date     time.Time // INTERNALDATE; zero means now
}

// Delivered tells where a message is.
type Delivered struct {
	Folder string // as given to Deliver
	Dir    string // "new" or "cur"
	File   string // file name within Dir, flags included
	Base   string // the name's permanent part
	Size   int64  // bytes as stored
	VSize  int64  // bytes with CRLF line ends
	Date   time.Time
}

// Delivery is a message on its way into a folder: a file in tmp/. It is an
// io.Writer of wire bytes: CRLF is stored as LF. Exactly one of Commit and
// Abort ends it; Abort after Commit does nothing.
type Delivery struct{}

// Begin opens a delivery. NotFound: no such folder; Full: no space.
func (t *Tree) Begin(ctx context.Context, folder string) (*Delivery, error) {
	return nil, fail.New(fail.Unavailable, "maildir: not usable yet")
}

// Write stores p. Full: the disk is full; the delivery can only be aborted.
func (d *Delivery) Write(p []byte) (int, error) { return len(p), nil }

// Commit makes the message durable and publishes it: new/ without flags, cur/
// with flags. When it returns an error nothing was published.
func (d *Delivery) Commit(ctx context.Context, m Meta) (Delivered, error) {
	return Delivered{}, fail.New(fail.Unavailable, "maildir: not usable yet")
}

// Abort removes what was written.
func (d *Delivery) Abort() {}

// Deliver is Begin, copy and Commit. Kinds: NotFound (no such folder, see
// Ensure), Full, Denied, Invalid (folder name); else Temporary. An error of r
// is returned wrapped and nothing stays behind.
func (t *Tree) Deliver(ctx context.Context, folder string, m Meta, r io.Reader) (Delivered, error) {
	return Delivered{}, fail.New(fail.Unavailable, "maildir: not usable yet")
}

// Link delivers the very file of an earlier delivery (of this tree or from)
// into another folder by a hard link, so that the bytes are written once for
// all recipients whose copies are the same. Where links cannot be made (other
// file system) the bytes are copied.
func (t *Tree) Link(ctx context.Context, from *Tree, d Delivered, folder string, m Meta) (Delivered, error) {
	return Delivered{}, fail.New(fail.Unavailable, "maildir: not usable yet")
}
