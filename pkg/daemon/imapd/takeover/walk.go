package takeover

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// walk goes through one tree.
type walk struct {
	root    *os.Root
	dir     string // the tree's path, for texts
	opt     Options
	rep     *Report
	owner   int // of the tree before anything is changed
	folders []string
	seen    int64
}

// tree visits the INBOX, which is the tree itself, and the folders in it.
func (w *walk) tree(ctx context.Context, info fs.FileInfo) error {
	w.owner, _ = disk.Owner(info)
	if err := w.folder(ctx, "."); err != nil {
		return err
	}
	entries, err := w.list(".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.IsDir() || isPart(name):
		case strings.HasPrefix(name, "."):
			if err := w.folder(ctx, name); err != nil {
				return err
			}
		case w.isFolder(name):
			w.rep.problem(fmt.Sprintf("%s is a folder beside the Maildir++ layout (LAYOUT=fs): rename it to .%s", name, name))
		default:
			w.foreign(name)
		}
	}
	return nil
}

func isPart(name string) bool { return name == "cur" || name == "new" || name == "tmp" }

func (w *walk) isFolder(name string) bool {
	info, err := w.root.Lstat(path.Join(name, "cur"))
	return err == nil && info.IsDir()
}

// foreign is a directory that is no folder.
func (w *walk) foreign(name string) {
	switch name {
	case "mailboxes", "storage", "dbox-Mails", "mdbox", "sdbox":
		w.rep.problem(name + " looks like mdbox or sdbox: convert it with doveadm to Maildir first")
	default:
		w.rep.note(name + " is no mail folder and is left alone")
	}
}

func (w *walk) list(dir string) ([]fs.DirEntry, error) {
	f, err := w.root.Open(dir)
	if err != nil {
		return nil, fail.Wrap(fail.Denied, err, "Maildir %s", w.dir)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	return entries, fail.Wrap(fail.Temporary, err, "Maildir %s", w.dir)
}

// folder visits one folder: its own files and cur, new, tmp.
func (w *walk) folder(ctx context.Context, dir string) error {
	w.rep.Folders++
	w.folders = append(w.folders, dir)
	if err := w.visit(ctx, dir, false); err != nil {
		return err
	}
	for _, part := range []string{"cur", "new", "tmp"} {
		if err := w.visit(ctx, path.Join(dir, part), part != "tmp"); err != nil {
			return err
		}
	}
	return nil
}

// visit sees to a directory and the files in it.
func (w *walk) visit(ctx context.Context, dir string, messages bool) error {
	info, err := w.root.Lstat(dir)
	if err != nil {
		w.rep.note(fmt.Sprintf("%s is missing; it is made at the first opening", dir))
		return nil
	}
	if !info.IsDir() {
		w.rep.problem(dir + " is no directory")
		return nil
	}
	w.entry(dir, info)
	entries, err := w.list(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, e.Name())
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			w.rep.problem(name + " is a symbolic link, which is not followed: put in its place what it points to")
			continue
		case e.IsDir():
			continue
		case !e.Type().IsRegular():
			w.rep.problem(name + " is neither file nor directory")
			continue
		}
		if w.seen++; w.opt.Progress != nil && w.seen%256 == 0 {
			w.opt.Progress(w.seen)
		}
		if messages {
			w.message(name)
		}
		info, err := e.Info()
		if err != nil {
			continue // it has been moved meanwhile
		}
		w.entry(name, info)
	}
	return nil
}

// entry compares one file or directory with what it should be, and makes it so.
func (w *walk) entry(name string, info fs.FileInfo) {
	uid, gid := disk.Owner(info)
	if uid != w.owner && uid != w.opt.UID && !slices.Contains(w.opt.Known, uid) {
		w.rep.problem(fmt.Sprintf("%s belongs to uid %d and not, as the rest, to %d: it is left alone", name, uid, w.owner))
		return
	}
	want, modes := FileMode, &w.rep.FileModes
	if info.IsDir() {
		want, modes = DirMode, &w.rep.DirModes
	}
	if strings.HasPrefix(path.Base(name), "dovecot-uidvalidity.") {
		want = info.Mode() // Dovecot's counter, which nobody writes
	}
	// Owner and group first: to change them takes setgid away.
	newUID, newGID := -1, -1
	if w.opt.UID >= 0 && uid != w.opt.UID {
		newUID = w.opt.UID
		w.rep.Owners++
	}
	if w.opt.GID >= 0 && gid != w.opt.GID {
		newGID = w.opt.GID
		w.rep.Groups++
	}
	mode := info.Mode() & (fs.ModePerm | fs.ModeSetgid | fs.ModeSetuid | fs.ModeSticky)
	wrong := mode != want&(fs.ModePerm|fs.ModeSetgid|fs.ModeSetuid|fs.ModeSticky)
	if wrong {
		*modes++
	}
	if !w.opt.Apply {
		return
	}
	if newUID >= 0 || newGID >= 0 {
		if err := w.root.Lchown(name, newUID, newGID); err != nil {
			w.rep.problem(err.Error())
			return
		}
	}
	if wrong || newUID >= 0 || newGID >= 0 {
		if err := w.root.Chmod(name, want.Perm()|want&fs.ModeSetgid); err != nil {
			w.rep.problem(err.Error())
		}
	}
}
