package passwdfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxEdit caps a file that is edited whole in memory.
const maxEdit = 1 << 30

// newFileMode is for a file that does not exist yet; an existing one keeps its
// mode and owner.
const newFileMode = 0o640

// Editor is a file held still for changes. Lines that no call concerns stay
// byte for byte.
type Editor struct {
	lines []string
}

// Edit runs change under the file's lock and replaces the file by the result;
// an error of change leaves it as it was. A missing file counts as empty. The
// lock is "<path>.lock", because the file itself is replaced.
func Edit(ctx context.Context, path string, change func(*Editor) error) error {
	unlock, err := lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	data, err := disk.ReadFile(disk.OS(), path, maxEdit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail.Wrap(fail.Unavailable, err, "users file")
	}
	e := &Editor{lines: splitLines(string(data))}
	if err := change(e); err != nil {
		return err
	}
	return replace(path, []byte(strings.Join(e.lines, "")))
}

func splitLines(text string) []string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return strings.SplitAfter(text, "\n")
}

func lock(ctx context.Context, path string) (unlock func(), err error) {
	name := path + ".lock"
	f, err := disk.OS().OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, newFileMode)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "locking users file")
	}
	if of, ok := disk.OSFile(f); ok {
		_ = of.Chown(ownerOf(filepath.Dir(path))) // as root: the daemon's user must be able to lock too
	}
	if err := disk.Lock(ctx, f, disk.Exclusive); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// replace keeps mode and owner of the old file. A new one belongs to whoever
// owns the folder, so that `sudo authd user add` does not lock the daemon out.
func replace(path string, data []byte) error {
	mode := fs.FileMode(newFileMode)
	uid, gid := ownerOf(filepath.Dir(path))
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		uid, gid = ownerOf(path)
	}
	return disk.WriteFileFunc(disk.OS(), path, 0o600, func(w io.Writer) error {
		f, ok := w.(disk.File)
		if !ok {
			return fail.New(fail.Unavailable, "users file %s is not on a disk", path)
		}
		of, ok := disk.OSFile(f)
		if !ok {
			return fail.New(fail.Unavailable, "users file %s is not on a disk", path)
		}
		if err := of.Chown(uid, gid); err != nil && os.Geteuid() == 0 {
			return err
		}
		if err := of.Chmod(mode); err != nil {
			return err
		}
		_, err := io.Copy(w, bytes.NewReader(data))
		return err
	})
}

func ownerOf(path string) (uid, gid int) {
	info, err := os.Stat(path)
	if err != nil {
		return -1, -1
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(st.Uid), int(st.Gid)
}

// find returns the index of the line of the user, or -1.
func (e *Editor) find(name string) int {
	name = account.Canonical(name)
	for i, line := range e.lines {
		if user, _, ok := strings.Cut(line, ":"); ok && account.Canonical(user) == name && !strings.HasPrefix(line, "#") {
			return i
		}
	}
	return -1
}

// Add appends a user. uid, gid below 0 and an empty home are left to the
// userdb's defaults.
func (e *Editor) Add(u Entry) error {
	if err := account.CheckName(u.Name); err != nil {
		return err
	}
	if e.find(u.Name) >= 0 {
		return fail.New(fail.Exists, "user %s exists already", account.Canonical(u.Name))
	}
	fields := []string{account.Canonical(u.Name), u.Password, idText(u.UID), idText(u.GID), "", u.Home, "", extraText(u)}
	if err := checkStored(u.Password); err != nil {
		return err
	}
	line := strings.Join(fields, ":")
	if _, _, err := parseEntry(line); err != nil {
		return err
	}
	e.lines = append(e.lines, line+"\n")
	return nil
}

// Delete removes a user: every line of it, or else a second one would come
// into force.
func (e *Editor) Delete(name string) error {
	i := e.find(name)
	if i < 0 {
		return fail.New(fail.NotFound, "no user %s", account.Canonical(name))
	}
	for ; i >= 0; i = e.find(name) {
		e.lines = append(e.lines[:i], e.lines[i+1:]...)
	}
	return nil
}

// SetPassword replaces a user's stored password and nothing else.
func (e *Editor) SetPassword(name, stored string) error {
	i := e.find(name)
	if i < 0 {
		return fail.New(fail.NotFound, "no user %s", account.Canonical(name))
	}
	if err := checkStored(stored); err != nil {
		return err
	}
	line := strings.TrimRight(e.lines[i], "\r\n")
	fields := strings.SplitN(line, ":", 3)
	fields[1] = stored
	e.lines[i] = strings.Join(fields, ":") + "\n"
	return nil
}

func checkStored(stored string) error {
	if strings.ContainsAny(stored, ":\r\n\x00") {
		return fail.New(fail.Invalid, "a stored password cannot contain a colon or a line end")
	}
	return nil
}

func idText(id int) string {
	if id < 0 {
		return ""
	}
	return strconv.Itoa(id)
}

func extraText(u Entry) string {
	var words []string
	for _, list := range []struct {
		prefix string
		fields []account.Field
	}{{"", u.Passdb}, {"userdb_", u.Userdb}} {
		for _, f := range list.fields {
			if f.Flag {
				words = append(words, list.prefix+f.Key)
			} else {
				words = append(words, list.prefix+f.Key+"="+f.Value)
			}
		}
	}
	return strings.Join(words, " ")
}
