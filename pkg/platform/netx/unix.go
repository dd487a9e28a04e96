package netx

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// defaultSocketMode is for a spec that names none: the owner alone.
const defaultSocketMode = 0o600

func sockType(network string) int {
	if network == "unixpacket" {
		return unix.SOCK_SEQPACKET
	}
	return unix.SOCK_STREAM
}

// listenUnix binds, sets group and mode, and only then listens: until listen(2)
// every connect is refused, so there is no moment of wrong permissions. The
// file mode is set on the socket before bind as well, which makes Linux create
// the file with it, less the umask.
func listenUnix(spec conf.Listen, network string) (net.Listener, error) {
	path := spec.Unix()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	mode := spec.Mode.Perm()
	if spec.Mode == 0 {
		mode = defaultSocketMode
	}
	gid := -1
	if spec.Group != "" {
		var err error
		if gid, err = resolveGroup(spec.Group); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, sockType(network)|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	made, err := bindUnix(fd, path, mode, gid)
	if err != nil {
		return nil, err
	}
	l, err := net.FileListener(f)
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	return &unixListener{Listener: l, path: path, made: made}, nil
}

func bindUnix(fd int, path string, mode fs.FileMode, gid int) (made fs.FileInfo, err error) {
	if err := unix.Fchmod(fd, uint32(mode)); err != nil {
		return nil, os.NewSyscallError("fchmod", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, &fs.PathError{Op: "bind", Path: path, Err: err}
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	if gid >= 0 {
		if err := os.Lchown(path, -1, gid); err != nil {
			return nil, err
		}
	}
	made, err = os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if made.Mode().Perm() != mode { // the umask took bits away
		if err := os.Chmod(path, mode); err != nil {
			return nil, err
		}
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	return made, nil
}

// unixListener removes its socket file on Close if it is still the same one.
type unixListener struct {
	net.Listener
	path string
	made fs.FileInfo
	once sync.Once
}

func (l *unixListener) Close() error {
	l.once.Do(func() {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
			_ = os.Remove(l.path)
		}
	})
	return l.Listener.Close()
}

// removeStale removes a socket file that nobody listens on. Anything else in
// the place is an error and stays.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fail.New(fail.Exists, "%s exists and is not a socket; move it away", path)
	}
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		err = probe(path, typ)
		if !errors.Is(err, unix.EPROTOTYPE) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN): // EAGAIN: its backlog is full
		return fail.New(fail.Exists, "another process listens on %s", path)
	}
	return fail.Wrap(fail.Exists, err, "cannot tell whether another process listens on %s", path)
}

func probe(path string, typ int) error {
	fd, err := unix.Socket(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

func resolveGroup(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fail.Wrap(fail.NotFound, err, "group of the socket")
	}
	n, err := strconv.Atoi(g.Gid)
	return n, fail.Wrap(fail.Invalid, err, "group %s", name)
}

func resolveUsers(names []string) (map[uint32]bool, error) {
	uids := map[uint32]bool{}
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			uids[uint32(n)] = true
			continue
		}
		u, err := user.Lookup(name)
		if err != nil {
			return nil, fail.Wrap(fail.NotFound, err, "user allowed to connect")
		}
		n, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "uid of user %s", name)
		}
		uids[uint32(n)] = true
	}
	return uids, nil
}
