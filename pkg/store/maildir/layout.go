package maildir

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Layout is how folder names become directories.
type Layout uint8

// The layouts, as in Dovecot's mail_location.
const (
	// PlusPlus is Maildir++: ".A.B" in the root.
	PlusPlus Layout = iota
	// Nested is LAYOUT=fs: "A/B", each directory with cur, new and tmp of its
	// own. INBOX is the root in both.
	Nested
)

// Config is the part of the configuration that says where and how mail is
// stored; deliverd and imapd must agree on it.
type Config struct {
	Root   string `yaml:"mail_root" path:"dir" example:"/var/mail/postcote" doc:"Folder that all users' mail lies below. It is looked at when the daemon starts; empty leaves that to the first use of each user's mail."`
	Layout string `yaml:"mail_layout" oneof:"maildir++|fs" doc:"How folders are directories: maildir++ is .A.B in the user's Maildir, fs is A/B as with Dovecot's LAYOUT=fs, which also makes / the separator. A userdb's mail field with LAYOUT= comes before it."`
	Pinned bool   `yaml:"pinned_to_this_node" doc:"Allow mail on a network file system (NFS, CIFS, FUSE, ...). Say yes only when each user's mail is used by this machine alone: locks and syncs hold for one machine."`
}

// DefaultConfig is the configuration without a file.
func DefaultConfig() Config { return Config{Layout: "maildir++"} }

// LayoutFor is the layout of a user whose userdb record names one, or not.
func (c Config) LayoutFor(named string) (Layout, error) {
	if named == "" {
		named = c.Layout
	}
	switch strings.ToLower(named) {
	case "", "maildir++":
		return PlusPlus, nil
	case "fs":
		return Nested, nil
	}
	return 0, fail.New(fail.Unavailable, "mailbox layout %q is not one of maildir++ and fs", named)
}

// Check refuses a mail root on a file system that other machines write to,
// unless users are pinned to this one.
func (c Config) Check(fsys disk.FS) error {
	if c.Root == "" {
		return nil
	}
	return CheckNode(fsys, c.Root, c.Pinned)
}

// CheckNode reports whether mail may lie in dir, which need not exist yet.
// Denied: it is on a network file system, and users are not pinned to this
// machine. Where nobody can tell it may.
func CheckNode(fsys disk.FS, dir string, pinned bool) error {
	if pinned {
		return nil
	}
	for {
		space, err := disk.Statfs(fsys, dir)
		if err == nil && space.Network {
			return fail.New(fail.Denied, "mail in %s is on a network file system (%s), where locks and syncs do not keep other machines out; "+
				"set pinned_to_this_node: yes if this machine alone uses it", dir, space.FSType)
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return nil
		}
		dir = parent
	}
}

// nested reports whether folders are directories in directories.
func (t *Tree) nested() bool { return t.opts.Layout == Nested }

// badPart says what keeps a part of a folder's name from being a directory of
// the nested layout; empty when nothing does.
func badPart(part string) string {
	switch {
	case part[0] == '.':
		return "a part begins with a dot"
	case slices.Contains([]string{"cur", "new", "tmp"}, part):
		return "cur, new and tmp are a Maildir's own"
	case slices.Contains([]string{"maildirfolder", "maildirsize", "postcote-modseq", "postcote-special-use", subscriptionsName}, part):
		return "a part is the name of a control file"
	}
	for _, own := range []string{"dovecot.index", "dovecot.list.index", "dovecot.mailbox.log", uidlistName, keywordsName, uidvalidityName} {
		if strings.HasPrefix(part, own) {
			return "a part is the name of a control file"
		}
	}
	return ""
}

// EntryOf is the directory of a folder as seen from the root, which is unique
// in the tree.
func (t *Tree) EntryOf(dir string) string {
	if !t.nested() {
		return filepath.Base(dir)
	}
	rel, err := filepath.Rel(t.root, dir)
	if err != nil {
		return dir
	}
	return rel
}

// DirOf is the inverse of EntryOf.
func (t *Tree) DirOf(entry string) string {
	if !t.nested() && entry == filepath.Base(t.root) {
		return t.root
	}
	return filepath.Join(t.root, entry)
}

// maxDepth is how deep folders are looked for.
const maxDepth = 64

// walk calls found with the directory, seen from the root, of everything that
// may be a folder: in the nested layout at any depth.
func (t *Tree) walk(found func(entry string)) error {
	return t.walkIn("", found, 0)
}

func (t *Tree) walkIn(in string, found func(entry string), depth int) error {
	entries, err := t.fs.ReadDir(filepath.Join(t.root, in))
	if errors.Is(err, fs.ErrNotExist) || err != nil && depth > 0 && !errors.Is(err, fs.ErrPermission) {
		return nil // renamed or removed meanwhile
	}
	if err != nil {
		return ioError(err, "listing %s", filepath.Join(t.root, in))
	}
	for _, e := range entries {
		if !e.IsDir() { // symbolic links are none
			continue
		}
		entry := filepath.Join(in, e.Name())
		if e.Name() == "cur" || !t.nested() {
			found(entry)
			continue
		}
		if badPart(e.Name()) != "" || depth == maxDepth {
			continue
		}
		if err := t.walkIn(entry, found, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// makeParents makes the directories that the folder's lies in.
func (f *Folder) makeParents() error {
	if !f.tree.nested() {
		return nil
	}
	dir := f.tree.root
	entry := f.tree.encode(f.name)
	for i, c := range entry {
		if c != filepath.Separator {
			continue
		}
		parent := dir
		dir = filepath.Join(f.tree.root, entry[:i])
		if ok, err := disk.Exists(f.tree.fs, dir); err != nil || ok {
			if err != nil {
				return ioError(err, "making %s", dir)
			}
			continue
		}
		if err := f.tree.mkdir(dir); err != nil {
			return err
		}
		if err := f.tree.fs.SyncDir(parent); err != nil {
			return ioError(err, "making %s", dir)
		}
	}
	return nil
}

// throughLink reports whether a symbolic link is on the way from the root to
// the folder: it could lead anywhere.
func (f *Folder) throughLink() (bool, error) {
	if f.name == Inbox {
		return false, nil
	}
	if f.tree.nested() {
		entry := f.tree.encode(f.name)
		for i, c := range entry {
			if c != filepath.Separator {
				continue
			}
			if link, err := isLink(f.tree.fs, filepath.Join(f.tree.root, entry[:i])); link || err != nil {
				return link, err
			}
		}
	}
	return isLink(f.tree.fs, f.dir)
}

// renameNested renames a directory with all that lies in it, at once.
func (t *Tree) renameNested(src, dst *Folder) error {
	for _, f := range []*Folder{src, dst} {
		if link, err := f.throughLink(); err != nil {
			return err
		} else if link {
			return fail.New(fail.Denied, "%s is a symbolic link, or behind one", f.dir)
		}
	}
	if err := dst.makeParents(); err != nil {
		return err
	}
	if err := t.fs.Rename(src.dir, dst.dir); err != nil {
		return ioError(err, "renaming folder %s to %s", src.name, dst.name)
	}
	disk.Point(t.fs, "maildir.rename.between")
	err := errors.Join(t.fs.SyncDir(filepath.Dir(dst.dir)), t.fs.SyncDir(filepath.Dir(src.dir)))
	return ioError(err, "renaming folder %s", src.name)
}

// deleteNested takes what makes a directory a folder, and the directory when
// no folders lie in it: those stay. cur goes first, by a rename, so that the
// folder goes at once.
func (f *Folder) deleteNested() error {
	t := f.tree
	failed := func(err error) error { return ioError(err, "deleting folder %s", f.name) }
	if err := t.fs.Rename(f.path("cur"), filepath.Join(t.root, trash)); err != nil {
		return failed(err)
	}
	disk.Point(t.fs, "maildir.delete.after_rename")
	if err := errors.Join(t.fs.SyncDir(f.dir), t.fs.SyncDir(t.root)); err != nil {
		return failed(err)
	}
	entries, err := t.fs.ReadDir(f.dir)
	if err != nil {
		return failed(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "new" && e.Name() != "tmp" {
			continue
		}
		if err := disk.RemoveAll(t.fs, f.path(e.Name())); err != nil {
			return failed(err)
		}
	}
	if err := t.fs.Remove(f.dir); err == nil {
		err = t.fs.SyncDir(filepath.Dir(f.dir))
		if err != nil {
			return failed(err)
		}
	}
	return t.EmptyTrash()
}
