package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/program"
)

// account is what the macros of forward_path need of a user.
type account struct {
	name, home string
	uid        uint32
}

// lookupUser finds a local user. ok is false if there is none.
func lookupUser(name string) (a account, ok bool, err error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return a, false, nil
	}
	if err != nil {
		return a, false, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	return account{name, u.HomeDir, uint32(uid)}, err == nil, err
}

// forwardMacros are those of forward_path.
var forwardMacros = []string{"user", "home", "extension", "domain", "local", "recipient_delimiter"}

// userName is a name that can stand in a path.
var userName = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,63}$`)

// forwarder finds the file of one recipient.
type forwarder struct {
	cfg    Config
	find   func(name string) (account, bool, error)
	who    account
	values map[string]string
}

// answer is the reply to a request that asks for a file.
func (f *forwarder) answer(r program.Request) program.Reply {
	if len(f.cfg.ForwardPath) == 0 {
		return refuse(program.ExitConfig, "this helper reads no .forward files")
	}
	ok, err := f.recipient(r.Recipients[0].Address)
	switch {
	case err != nil:
		return refuse(program.ExitTemporary, "%v", err)
	case !ok:
		return refuse(program.ExitNoInput, "")
	case r.Ask == program.AskInclude:
		return f.read(r.File, false, false)
	case r.Ask != program.AskForward:
		return refuse(program.ExitConfig, "this helper does not know %q", r.Ask)
	}
	for _, pattern := range f.cfg.ForwardPath {
		path, extension, ok := f.path(pattern)
		if !ok {
			continue
		}
		if reply := f.read(path, extension, true); reply.Exit != program.ExitNoInput {
			return reply
		}
	}
	return refuse(program.ExitNoInput, "")
}

// recipient finds the user that an address means.
func (f *forwarder) recipient(text string) (ok bool, err error) {
	a, err := addr.Parse(text)
	if err != nil {
		return false, nil
	}
	local := strings.ToLower(a.Local)
	name, detail := addr.Address{Local: local}.Split(f.cfg.Delimiter)
	if !userName.MatchString(name) {
		return false, nil
	}
	if f.who, ok, err = f.find(name); err != nil || !ok || !strings.HasPrefix(f.who.home, "/") {
		return false, err
	}
	f.values = map[string]string{"user": name, "home": f.who.home, "domain": strings.ToLower(a.Domain), "local": local}
	if len(local) > len(name) {
		f.values["extension"], f.values["recipient_delimiter"] = detail, local[len(name):len(name)+1]
	}
	return true, nil
}

// path fills in an entry of forward_path. One whose macro has no value is left
// out, as is one to which an address would lead that has a way in it.
func (f *forwarder) path(pattern string) (path string, extension, ok bool) {
	ok = true
	path = macro.ReplaceAllStringFunc(pattern, func(s string) string {
		m := macro.FindStringSubmatch(s)
		name := m[1] + m[2] + m[3]
		if name == "" {
			return "$"
		}
		v := f.values[name]
		extension = extension || name == "extension"
		if v == "" || name != "home" && strings.ContainsAny(v, "/\x00") {
			ok = false
		}
		return v
	})
	return path, extension, ok
}

// read reads a file as far as the user could: below the home it is opened
// without a way out of it, and it must be the user's own, or root's and open
// to everybody, and nobody else's to write. ours says that the path is the
// operator's, who may keep such files outside of homes.
func (f *forwarder) read(path string, extension, ours bool) program.Reply {
	file, err := f.open(path, ours)
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return refuse(program.ExitNoInput, "")
	case err != nil && (!errors.As(err, &errno) || errno == syscall.ELOOP):
		return refuse(program.ExitNoPerm, "file %s leads out of the home of %s", path, f.who.name)
	case err != nil:
		return refuse(program.ExitTemporary, "%v", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return refuse(program.ExitTemporary, "%v", err)
	}
	if why := f.judge(info); why != "" {
		return refuse(program.ExitNoPerm, "file %s %s", path, why)
	}
	text, err := io.ReadAll(io.LimitReader(file, program.MaxForward+1))
	switch {
	case err != nil:
		return refuse(program.ExitTemporary, "%v", err)
	case len(text) > program.MaxForward:
		return refuse(program.ExitNoPerm, "file %s is larger than %d bytes", path, program.MaxForward)
	}
	return program.Reply{Output: string(program.ForwardFile{Path: path, Extension: extension, Text: string(text)}.Append(nil))}
}

// judge says why a file does not count; empty if it does.
func (f *forwarder) judge(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch perm := info.Mode().Perm(); {
	case !info.Mode().IsRegular() || !ok:
		return "is not a regular file"
	case perm&0o002 != 0:
		return "is world writable"
	case st.Uid == f.who.uid:
		return ""
	case st.Uid != 0:
		return fmt.Sprintf("has bad owner uid %d", st.Uid)
	case perm&0o004 == 0:
		return "is root's, and not readable by all"
	}
	return ""
}

// open opens a path; a pipe in its place blocks nobody. The error of a way
// that leads out of the home is no system call's.
func (f *forwarder) open(path string, ours bool) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOFOLLOW
	rel, err := filepath.Rel(f.who.home, path)
	if err != nil || !filepath.IsLocal(rel) {
		if !ours {
			return nil, fmt.Errorf("%s is not in the home", path)
		}
		return os.OpenFile(path, flags, 0)
	}
	root, err := os.OpenRoot(f.who.home)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	return root.OpenFile(rel, flags, 0)
}
