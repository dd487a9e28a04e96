package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Options of a Tree. The zero value is what the daemons use.
type Options struct {
	Layout    Layout           // how folder names become directories
	Separator byte             // between the parts of a folder name; 0 means '.', in the nested layout '/'
	Namer     *Namer           // nil means one of its own; processes share one
	Buffers   *Buffers         // the same
	Now       func() time.Time // nil means time.Now
	DirPerm   fs.FileMode      // 0 means 2770
	FilePerm  fs.FileMode      // 0 means 0660
}

// Tree is one account's tree of Maildir folders. It has no state and needs no
// closing; making one is cheap.
type Tree struct {
	fs   disk.FS
	root string
	opts Options
}

// trash is where Dovecot moves a folder that is being deleted.
const trash = "..DOVECOT-TRASHED"

// NewTree returns the tree at root, which need not exist yet.
func NewTree(fsys disk.FS, root string, opts Options) *Tree {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Namer == nil {
		opts.Namer = NewNamer("", os.Getpid(), opts.Now)
	}
	if opts.Buffers == nil {
		opts.Buffers = new(Buffers)
	}
	if opts.DirPerm == 0 {
		// mkdir(2) takes setgid from the parent folder, not from us.
		opts.DirPerm = fs.ModeSetgid | 0o770
	}
	if opts.FilePerm == 0 {
		opts.FilePerm = 0o660
	}
	return &Tree{fs: fsys, root: root, opts: opts}
}

// Through is the tree seen through another FS of the same files, such as a
// visit of its volume.
func (t *Tree) Through(fsys disk.FS) *Tree {
	seen := *t
	seen.fs = fsys
	return &seen
}

// Root is the path of the tree.
func (t *Tree) Root() string { return t.root }

// Separator stands between the parts of a folder name.
func (t *Tree) Separator() byte { return t.separator() }

// Ensure makes the folders, and the root with INBOX, where they are missing,
// and syncs what they share once. Invalid: a name is not allowed. NotFound: the
// folder that should hold the root (the user's home) has no parent.
func (t *Tree) Ensure(_ context.Context, folders ...string) error {
	var missing []*Folder
	for _, name := range folders {
		f, err := t.Folder(name)
		if err != nil {
			return err
		}
		if err := t.ensureRoot(); err != nil {
			return err
		}
		if ok, err := f.Exists(); err != nil {
			return err
		} else if !ok {
			missing = append(missing, f)
		}
	}
	return t.make(missing...)
}

// ensureRoot makes home, root and INBOX.
func (t *Tree) ensureRoot() error {
	inbox := &Folder{tree: t, name: Inbox, dir: t.root}
	if ok, err := inbox.Exists(); ok || err != nil {
		return err
	}
	if err := disk.MkdirAll(t.fs, t.root, t.opts.DirPerm); err != nil {
		return ioError(err, "making %s", t.root)
	}
	return t.make(inbox)
}

// make makes folders, and syncs each when all are there: then most of them are
// on disk already with the first.
func (t *Tree) make(folders ...*Folder) error {
	for _, f := range folders {
		if err := f.build(); err != nil {
			return err
		}
	}
	for i, f := range folders {
		err := t.fs.SyncDir(f.dir)
		if parent := filepath.Dir(f.dir); err == nil && (i == len(folders)-1 || filepath.Dir(folders[i+1].dir) != parent) {
			err = t.fs.SyncDir(parent)
		}
		if err != nil {
			return ioError(err, "making folder %s", f.name)
		}
	}
	return nil
}

// build makes the folder's directories. cur comes last: it is what makes a
// directory a folder, so a crash leaves either a folder or something that the
// next build completes.
func (f *Folder) build() error {
	t := f.tree
	if f.name != Inbox {
		if err := f.makeParents(); err != nil {
			return err
		}
		if err := t.mkdir(f.dir); err != nil {
			return err
		}
	}
	mark, err := t.fs.OpenFile(f.path("maildirfolder"), os.O_WRONLY|os.O_CREATE, t.opts.FilePerm)
	if err != nil {
		return ioError(err, "making folder %s", f.name)
	}
	if err := mark.Close(); err != nil {
		return ioError(err, "making folder %s", f.name)
	}
	for _, d := range []string{"tmp", "new", "cur"} {
		disk.Point(t.fs, "maildir.create.before_"+d)
		if err := t.mkdir(f.path(d)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) mkdir(dir string) error {
	err := t.fs.Mkdir(dir, t.opts.DirPerm)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return ioError(err, "making %s", dir)
}

// Exists reports whether the folder is there to be delivered into.
func (t *Tree) Exists(_ context.Context, folder string) (bool, error) {
	f, err := t.Folder(folder)
	if err != nil {
		return false, err
	}
	return f.Exists()
}

// List returns the names of all folders that exist, sorted, INBOX first.
// Entries of the root that are no folders of ours (other names, symbolic
// links, names that do not decode) are left out.
func (t *Tree) List(_ context.Context) ([]string, error) {
	var names []string
	err := t.walk(func(entry string) {
		if entry == "cur" {
			names = append(names, Inbox)
			return
		}
		if t.nested() {
			entry = filepath.Dir(entry) // of its cur
		}
		name, ok := t.decode(entry)
		if !ok {
			return
		}
		f := &Folder{tree: t, name: name, dir: filepath.Join(t.root, entry)}
		if info, err := t.fs.Stat(f.path("cur")); err == nil && info.IsDir() {
			names = append(names, name)
		}
	})
	if err != nil {
		return nil, err
	}
	sort.Slice(names, func(i, j int) bool {
		if (names[i] == Inbox) != (names[j] == Inbox) {
			return names[i] == Inbox
		}
		return names[i] < names[j]
	})
	return names, nil
}

// Create makes a folder. Exists: it is there.
func (t *Tree) Create(_ context.Context, folder string) error {
	f, err := t.Folder(folder)
	if err != nil {
		return err
	}
	if ok, err := f.Exists(); err != nil {
		return err
	} else if ok {
		return fail.New(fail.Exists, "folder %s exists", f.name)
	}
	if err := t.ensureRoot(); err != nil || f.name == Inbox {
		return err
	}
	return t.make(f)
}

// Delete removes a folder with its messages. As in Dovecot it is first renamed
// to a name that is no folder, so that it goes at once. NotFound; Denied for
// INBOX.
func (t *Tree) Delete(_ context.Context, folder string) error {
	f, err := t.existing(folder)
	if err != nil {
		return err
	}
	if f.name == Inbox {
		return fail.New(fail.Denied, "INBOX cannot be deleted")
	}
	if err := t.EmptyTrash(); err != nil {
		return err
	}
	if t.nested() {
		return f.deleteNested()
	}
	if err := t.fs.Rename(f.dir, filepath.Join(t.root, trash)); err != nil {
		return ioError(err, "deleting folder %s", f.name)
	}
	disk.Point(t.fs, "maildir.delete.after_rename")
	if err := t.fs.SyncDir(t.root); err != nil {
		return ioError(err, "deleting folder %s", f.name)
	}
	return t.EmptyTrash()
}

// EmptyTrash removes what an interrupted Delete left.
func (t *Tree) EmptyTrash() error {
	return ioError(disk.RemoveAll(t.fs, filepath.Join(t.root, trash)), "removing a deleted folder in %s", t.root)
}

func (t *Tree) existing(folder string) (*Folder, error) {
	f, err := t.Folder(folder)
	if err != nil {
		return nil, err
	}
	ok, err := f.Exists()
	if err == nil && !ok {
		err = fail.New(fail.NotFound, "no folder %s", f.name)
	}
	return f, err
}

// Rename renames a folder and the folders below it; UIDs and UIDVALIDITY go
// along. The folder from itself may be missing when there are some below it.
// A crash between two of the renames leaves some folders under the old name.
// NotFound, Exists, Invalid; Denied for INBOX, whose messages are moved by
// package mailbox.
func (t *Tree) Rename(ctx context.Context, from, to string) error {
	src, err := t.Folder(from)
	if err != nil {
		return err
	}
	dst, err := t.Folder(to)
	if err != nil {
		return err
	}
	sep := string(t.separator())
	switch {
	case src.name == Inbox:
		return fail.New(fail.Denied, "INBOX cannot be renamed")
	case dst.name == Inbox:
		return fail.New(fail.Exists, "folder INBOX exists")
	case dst.name == src.name || strings.HasPrefix(dst.name, src.name+sep):
		return fail.New(fail.Invalid, "folder %s cannot become a part of itself", src.name)
	}
	names, err := t.List(ctx)
	if err != nil {
		return err
	}
	var moves [][2]*Folder
	for _, n := range names {
		if n == dst.name || strings.HasPrefix(n, dst.name+sep) {
			return fail.New(fail.Exists, "folder %s exists", n)
		}
		if n != src.name && !strings.HasPrefix(n, src.name+sep) {
			continue
		}
		a, err := t.Folder(n)
		if err != nil {
			return err
		}
		b, err := t.Folder(dst.name + n[len(src.name):])
		if err != nil {
			return err
		}
		moves = append(moves, [2]*Folder{a, b})
	}
	if len(moves) == 0 {
		return fail.New(fail.NotFound, "no folder %s", src.name)
	}
	if t.nested() {
		return t.renameNested(src, dst)
	}
	for _, m := range moves {
		if err := t.fs.Rename(m[0].dir, m[1].dir); err != nil {
			return ioError(err, "renaming folder %s to %s", m[0].name, m[1].name)
		}
		disk.Point(t.fs, "maildir.rename.between")
	}
	return ioError(t.fs.SyncDir(t.root), "renaming folder %s", src.name)
}

// tmpAge is when Dovecot, too, takes a file in tmp/ for left over.
const tmpAge = 36 * time.Hour

// CleanTmp removes files in tmp/ that no delivery can still be writing, and
// returns how many.
func (f *Folder) CleanTmp() (int, error) {
	t := f.tree
	entries, err := t.fs.ReadDir(f.path("tmp"))
	if err != nil {
		return 0, ioError(err, "cleaning tmp of folder %s", f.name)
	}
	removed := 0
	for _, e := range entries {
		info, err := t.fs.Stat(f.path("tmp", e.Name()))
		if err != nil || info.IsDir() {
			continue
		}
		// ctime: a delivery sets the mtime to the message's date.
		when := disk.ChangeTime(info)
		if when.IsZero() {
			when = info.ModTime()
		}
		if t.opts.Now().Sub(when) > tmpAge && t.fs.Remove(f.path("tmp", e.Name())) == nil {
			removed++
		}
	}
	return removed, nil
}
