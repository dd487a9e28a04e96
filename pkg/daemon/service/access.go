package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// verdict on one path: a mistake, or a note about what may be well later.
type verdict struct{ mistake, note string }

// reach tries what the daemon will do with a path, without changing anything.
// The kernel decides, so a read-only mount and a sandbox count like modes do.
func reach(use conf.PathUse) verdict {
	info, err := os.Stat(use.Path)
	switch {
	case err == nil:
		return reachExisting(use, info)
	case !errors.Is(err, fs.ErrNotExist):
		return verdict{mistake: because(use.Path, err)}
	}
	switch use.Use {
	case conf.UseConnect:
		return verdict{note: "does not exist; whoever serves it does not run, or it lies elsewhere"}
	case conf.UseSocket, conf.UseWrite:
		return reachFolder(use)
	case conf.UseDir: // the daemons make their own folders, one level deep
		if v := reachFolder(use); v.mistake != "" {
			return v
		}
		return verdict{note: "does not exist yet; the daemon makes it"}
	default:
		return verdict{mistake: "does not exist"}
	}
}

func reachExisting(use conf.PathUse, info fs.FileInfo) verdict {
	need := uint32(unix.R_OK)
	switch {
	case use.Use == conf.UseDir && !info.IsDir():
		return verdict{mistake: "is not a directory"}
	case use.Use == conf.UseDir:
		need = unix.R_OK | unix.W_OK | unix.X_OK
	case use.Use == conf.UseWrite && info.IsDir():
		return verdict{mistake: "is a directory"}
	case use.Use == conf.UseWrite:
		need = unix.W_OK
	case use.Use == conf.UseConnect && info.Mode()&os.ModeSocket == 0:
		return verdict{mistake: "is not a socket"}
	case use.Use == conf.UseConnect:
		need = unix.W_OK
	case use.Use == conf.UseSocket && info.Mode()&os.ModeSocket == 0:
		return verdict{mistake: "is there and is not a socket"}
	case use.Use == conf.UseSocket:
		return reachFolder(use)
	case info.IsDir():
		need |= unix.X_OK
	}
	if err := access(use.Path, need); err != nil {
		return verdict{mistake: because(use.Path, err)}
	}
	return verdict{}
}

// reachFolder checks that a file or socket can be made.
func reachFolder(use conf.PathUse) verdict {
	dir := filepath.Dir(use.Path)
	err := access(dir, unix.W_OK|unix.X_OK)
	switch {
	case err == nil:
		return verdict{}
	case errors.Is(err, fs.ErrNotExist) && under(dir, "/run"):
		return verdict{note: "cannot be made now: " + dir + " does not exist; systemd makes it at boot or at the start of the unit"}
	default:
		return verdict{mistake: "cannot be made: " + dir + " " + because(dir, err)}
	}
}

// access asks with the effective user and groups.
func access(path string, need uint32) error {
	for {
		err := unix.Faccessat(unix.AT_FDCWD, path, need, unix.AT_EACCESS)
		if err != unix.EINTR {
			return err
		}
	}
}

// because explains an error and, for permissions, names the first path on the
// way that stands in it.
func because(path string, err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return "lies on a read-only file system, or in a part that the unit's sandbox protects"
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case !errors.Is(err, fs.ErrPermission):
		var errno syscall.Errno
		if errors.As(err, &errno) {
			return "cannot be used: " + errno.Error()
		}
		return "cannot be used: " + err.Error()
	}
	at := path
	for dir := ""; dir != path; {
		dir = nextStep(dir, path)
		if dir != path && access(dir, unix.X_OK) != nil {
			at = dir
			break
		}
	}
	text := "may not be used by " + userName()
	if info, err := os.Stat(at); err == nil {
		text += ": " + at + " has " + owner(info)
	}
	return text
}

// nextStep is the next longer prefix of path that ends at a slash.
func nextStep(dir, path string) string {
	rest := strings.TrimPrefix(path[len(dir):], "/")
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return path
	}
	return path[:len(path)-len(rest)+i]
}

func owner(info fs.FileInfo) string {
	text := fmt.Sprintf("mode %04o", info.Mode().Perm())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprintf(", owner %s, group %s", nameOr(st.Uid, user.LookupId, func(u *user.User) string { return u.Username }),
			nameOr(st.Gid, user.LookupGroupId, func(g *user.Group) string { return g.Name }))
	}
	return text
}

// nameOr is the name of an id, or the id where it has none.
func nameOr[T any](id uint32, lookup func(string) (T, error), name func(T) string) string {
	text := strconv.FormatUint(uint64(id), 10)
	if found, err := lookup(text); err == nil {
		return name(found)
	}
	return text
}

func userName() string {
	return nameOr(uint32(os.Geteuid()), user.LookupId, func(u *user.User) string { return u.Username })
}
