package maildir

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Inbox is the name of the folder that is the root of the tree.
const Inbox = "INBOX"

// maxName is the longest directory entry of the usual file systems.
const maxName = 255

// canonical checks a folder name and returns it with INBOX in upper case. The
// rules keep names inside the root (no "/", "..", NUL, symbolic meaning of "~")
// and away from what Maildir++ and our own files mean by a leading dot.
func (t *Tree) canonical(name string) (string, error) {
	if strings.EqualFold(name, Inbox) {
		return Inbox, nil
	}
	bad := func(why string) (string, error) {
		return "", fail.New(fail.Invalid, "folder name %q: %s", name, why)
	}
	switch {
	case name == "":
		return bad("it is empty")
	case !utf8.ValidString(name):
		return bad("it is not UTF-8")
	case name[0] == '~':
		return bad(`it begins with "~"`)
	}
	sep := t.separator()
	for part := range strings.SplitSeq(name, string(sep)) {
		switch {
		case part == "":
			return bad("it has an empty part")
		case part == "." || part == "..":
			return bad("a part is . or ..")
		case !t.nested() && strings.ContainsRune(part, '.'):
			return bad("a part holds a dot, which Maildir++ uses between parts")
		}
		if t.nested() {
			if why := badPart(part); why != "" {
				return bad(why)
			}
		}
	}
	for _, r := range name {
		if r == '/' && sep != '/' || r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return bad("it holds a slash or a control character")
		}
	}
	if len(t.encode(name)) > maxName {
		return bad("it is too long")
	}
	return name, nil
}

// encode returns the directory of a canonical name below the root: ".A.B", or
// "A/B" in the nested layout.
func (t *Tree) encode(name string) string {
	if name == Inbox {
		return ""
	}
	var b strings.Builder
	for part := range strings.SplitSeq(name, string(t.separator())) {
		switch {
		case !t.nested():
			b.WriteByte('.')
		case b.Len() > 0:
			b.WriteByte(filepath.Separator)
		}
		b.WriteString(EncodeMUTF7(part))
	}
	return b.String()
}

// decode is the inverse for a directory seen from the root. ok is false for
// what is no folder of ours: it would not encode to the same directory.
func (t *Tree) decode(entry string) (name string, ok bool) {
	var parts []string
	switch {
	case t.nested():
		parts = strings.Split(entry, string(filepath.Separator))
	case len(entry) < 2 || entry[0] != '.' || entry[1] == '.':
		return "", false
	default:
		parts = strings.Split(entry[1:], ".")
	}
	for i, p := range parts {
		if parts[i], ok = DecodeMUTF7(p); !ok {
			return "", false
		}
	}
	name, err := t.canonical(strings.Join(parts, string(t.separator())))
	return name, err == nil && t.encode(name) == entry
}

func (t *Tree) separator() byte {
	switch {
	case t.opts.Separator != 0:
		return t.opts.Separator
	case t.nested():
		return '/'
	}
	return '.'
}

// Folder is one folder of a tree, which may or may not exist. It holds no
// state but its place.
type Folder struct {
	tree *Tree
	name string // canonical
	dir  string
}

// Folder returns a folder by name, or Invalid.
func (t *Tree) Folder(name string) (*Folder, error) {
	name, err := t.canonical(name)
	if err != nil {
		return nil, err
	}
	return &Folder{tree: t, name: name, dir: filepath.Join(t.root, t.encode(name))}, nil
}

// FolderAt returns the folder whose directory is dir.
func (t *Tree) FolderAt(dir string) (*Folder, error) {
	if filepath.Clean(dir) == filepath.Clean(t.root) {
		return t.Folder(Inbox)
	}
	rel, err := filepath.Rel(t.root, dir)
	name, ok := t.decode(rel)
	if err != nil || !ok {
		return nil, fail.New(fail.Invalid, "%s is no folder of %s", dir, t.root)
	}
	return t.Folder(name)
}

// Name is the canonical name.
func (f *Folder) Name() string { return f.name }

// Dir is the folder's directory.
func (f *Folder) Dir() string { return f.dir }

func (f *Folder) path(parts ...string) string {
	size := len(f.dir)
	for _, p := range parts {
		size += 1 + len(p)
	}
	path := append(make([]byte, 0, size), f.dir...)
	for _, p := range parts {
		path = append(append(path, filepath.Separator), p...)
	}
	return string(path)
}

// Exists reports whether the folder can hold messages. A symbolic link in the
// tree is no folder: it could lead anywhere.
func (f *Folder) Exists() (bool, error) {
	if link, err := f.throughLink(); err != nil {
		return false, err
	} else if link {
		return false, fail.New(fail.Denied, "%s is a symbolic link", f.dir)
	}
	info, err := f.tree.fs.Stat(f.path("cur"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, ioError(err, "looking for folder %s", f.name)
	}
	return info.IsDir(), nil
}

// isLink tells symbolic links from directories by opening without following.
func isLink(fsys disk.FS, name string) (bool, error) {
	d, err := fsys.OpenFile(name, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return false, d.Close()
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENOTDIR):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, fs.ErrPermission):
		return false, ioError(err, "opening %s", name)
	}
	return false, nil // a file system in memory that opens no directories
}

// ioError gives an error of the file system its kind.
func ioError(err error, format string, args ...any) error {
	kind := fail.Temporary
	switch {
	case err == nil:
		return nil
	case disk.IsFull(err):
		kind = fail.Full
	case errors.Is(err, fs.ErrNotExist):
		kind = fail.NotFound
	case errors.Is(err, fs.ErrPermission):
		kind = fail.Denied
	case errors.Is(err, syscall.ENAMETOOLONG):
		kind = fail.Invalid
	default:
		if k := fail.KindOf(err); k != fail.Temporary {
			kind = k
		}
	}
	return fail.Wrap(kind, err, format, args...)
}

// Create makes a UID list for a folder that has none: version 3, a new
// UIDVALIDITY, a new GUID. The lock is given up.
func (l *Lock) Create() (*UIDList, error) {
	v, err := l.folder.tree.NextUIDValidity()
	if err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	list := &UIDList{Validity: v, Next: 1, GUID: newGUID()}
	return list, l.Rewrite(list)
}
