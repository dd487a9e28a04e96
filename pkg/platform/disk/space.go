package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Space describes the file system that holds a folder.
type Space struct {
	Total      uint64 // bytes
	Free       uint64 // bytes an ordinary user may still write
	FreeInodes uint64 // files that may still be made; math.MaxUint64 where they are not counted
	FSType     string // "ext4", "xfs", "nfs", ...; "0x..." for an unknown one
	Network    bool   // shared with other machines or served by a process: no inotify, doubtful locks and syncs
}

type fsKind struct {
	magic   int64
	name    string
	network bool
}

// StampClock is the clock with which the file system of dir stamps changes from
// now on, as it stands at the moment; false where nobody can tell. It moves in
// steps of milliseconds: a change that is stamped earlier than it is older than
// this call.
func StampClock(fsys FS, dir string) (time.Time, bool) {
	if s, ok := fsys.(interface {
		stampClock(dir string) (time.Time, bool)
	}); ok {
		return s.stampClock(dir)
	}
	return time.Time{}, false
}

// stampClock knows the local file systems that use the kernel's coarse clock as
// it is. Their stamps may still be cut to seconds, by how they were made.
func (f osFS) stampClock(dir string) (time.Time, bool) {
	s, err := f.Statfs(dir)
	if err != nil {
		return time.Time{}, false
	}
	switch s.FSType {
	case "ext4", "xfs", "btrfs", "tmpfs", "f2fs":
	default:
		return time.Time{}, false
	}
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now) != nil {
		return time.Time{}, false
	}
	return time.Unix(now.Unix()), true
}

// fsKinds is statfs(2)'s f_type. FUSE counts as network because sshfs and
// GlusterFS hide behind it and nothing tells them from a local one.
func fsKinds() []fsKind {
	return []fsKind{
		{0xEF53, "ext4", false},
		{0x58465342, "xfs", false},
		{0x9123683E, "btrfs", false},
		{0x01021994, "tmpfs", false},
		{0x2FC12FC1, "zfs", false},
		{0xF2F52010, "f2fs", false},
		{0x794C7630, "overlay", false},
		{0xCA451A4E, "bcachefs", false},
		{0x4D44, "vfat", false},
		{0x6969, "nfs", true},
		{0x517B, "smb", true},
		{0xFF534D42, "cifs", true},
		{0xFE534D42, "smb2", true},
		{0x00C36400, "ceph", true},
		{0x65735546, "fuse", true},
		{0x01021997, "9p", true},
		{0x6A656A63, "virtiofs", true},
		{0x5346414F, "afs", true},
		{0x0BD00BD0, "lustre", true},
		{0x01161970, "gfs2", true},
		{0x7461636F, "ocfs2", true},
		{0x73757245, "coda", true},
	}
}

func nameFS(magic int64) (name string, network bool) {
	magic &= 0xFFFFFFFF // the field is signed and 32 bits wide on some targets
	for _, k := range fsKinds() {
		if k.magic == magic {
			return k.name, k.network
		}
	}
	return fmt.Sprintf("0x%x", magic), false
}

func statfs(dir string) (Space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return Space{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
		}
		break
	}
	block := uint64(st.Bsize)
	s := Space{Total: st.Blocks * block, Free: st.Bavail * block, FreeInodes: st.Ffree}
	if st.Files == 0 { // btrfs and others make inodes as they need them
		s.FreeInodes = math.MaxUint64
	}
	s.FSType, s.Network = nameFS(int64(st.Type))
	return s, nil
}

// preallocator is a File that plays along with Preallocate in its own way.
type preallocator interface{ preallocate(size int64) error }

// Preallocate reserves size bytes for f from its start without changing its
// length, so that later writes cannot meet a full disk. Where the file system
// cannot reserve, nothing happens and no error is returned.
func Preallocate(f File, size int64) error {
	if size <= 0 {
		return nil
	}
	for layer := f; ; {
		if p, ok := layer.(preallocator); ok {
			return p.preallocate(size)
		}
		w, ok := layer.(wrapper)
		if !ok {
			break
		}
		layer = w.Unwrap()
	}
	fd, ok := Fd(f)
	if !ok {
		return nil
	}
	for {
		err := unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil, errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		}
		return &fs.PathError{Op: "fallocate", Path: nameOf(f), Err: err}
	}
}

// nameOf is a file's name for an error text.
func nameOf(f File) string {
	if osf, ok := OSFile(f); ok {
		return osf.Name()
	}
	if n, ok := f.(interface{ Name() string }); ok {
		return n.Name()
	}
	return "file"
}
