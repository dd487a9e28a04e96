package deliverd

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// The values of the key sync.
const (
	syncAuto   = "auto"
	syncFile   = "file"
	syncVolume = "volume"
)

const (
	// several is how many copies must be on their way at a time before one
	// sync of all the volume is cheaper than those of files and folders
	// (docs/decisions/0014).
	several = 4
	// volumeRest is how long files are synced by themselves after a volume's
	// sync has failed: that finds out whose data cannot be written.
	volumeRest = time.Minute
	// maxVolumes is how many are held open.
	maxVolumes = 64
)

// volumes are the file systems that mail lies on, opened as they are met.
type volumes struct {
	fs   disk.FS
	now  func() time.Time
	note func(what string, err error, facts ...slog.Attr)

	mu     sync.Mutex
	known  map[uint64]*volume // by device
	shared map[uint64]bool    // devices that hold more than mail
}

// volume is one file system that was met.
type volume struct {
	v      *disk.Volume // nil: cannot be synced as a whole
	dir    string
	alone  bool   // holds mail only, and its device is all of it
	failed uint64 // syncs, as of the last look
	rest   time.Time
}

// sharedFolders hold what programs other than ours write to.
func sharedFolders() []string {
	return []string{"/", "/home", "/srv", "/tmp", "/usr", "/var", "/var/lib", "/var/log", "/var/spool", "/var/tmp"}
}

func newVolumes(fsys disk.FS, now func() time.Time, note func(string, error, ...slog.Attr)) *volumes {
	vs := &volumes{fs: fsys, now: now, note: note, known: map[uint64]*volume{}, shared: map[uint64]bool{}}
	for _, dir := range sharedFolders() {
		if info, err := fsys.Stat(dir); err == nil {
			vs.shared[disk.IDOf(info).Dev] = true
		}
	}
	return vs
}

// find returns the volume that holds folder root, or nil: what is stored there
// is to be synced file by file. busy is how many copies are on their way.
func (vs *volumes) find(mode, root string, busy int64) *disk.Volume {
	if mode == syncFile || mode == syncAuto && busy < several {
		return nil
	}
	info, err := vs.fs.Stat(root)
	if err != nil {
		return nil // whoever writes there meets the reason
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	dev := disk.IDOf(info).Dev
	p := vs.known[dev]
	if p == nil {
		if len(vs.known) >= maxVolumes {
			return nil
		}
		p = vs.open(root, dev)
		vs.known[dev] = p
	}
	if p.v == nil || mode == syncAuto && !p.alone || vs.resting(p) {
		return nil
	}
	return p.v
}

// open meets a volume. vs.mu is held.
func (vs *volumes) open(root string, dev uint64) *volume {
	p := &volume{dir: vs.top(root, dev)}
	var err error
	if p.v, err = disk.OpenVolume(vs.fs, p.dir); err != nil {
		vs.note("mail is synced file by file", err)
		return p
	}
	space, err := disk.Statfs(vs.fs, root)
	// The device of a btrfs subvolume or a ZFS data set tells nothing of what
	// else a sync of its file system would write.
	p.alone = err == nil && !vs.shared[dev] && (space.FSType == "ext4" || space.FSType == "xfs" || space.FSType == "f2fs")
	return p
}

// top is the highest folder above dir that is on the same device: where it is
// mounted, if we may look there.
func (vs *volumes) top(dir string, dev uint64) string {
	for {
		parent := filepath.Dir(dir)
		info, err := vs.fs.Stat(parent)
		if parent == dir || err != nil || disk.IDOf(info).Dev != dev {
			return dir
		}
		dir = parent
	}
}

// resting notices failures. vs.mu is held.
func (vs *volumes) resting(p *volume) bool {
	s := p.v.Stats()
	if s.Failed != p.failed {
		p.failed = s.Failed
		p.rest = vs.now().Add(volumeRest)
		vs.note("a volume could not be synced; mail is synced file by file for a while", s.Cause, slog.String("volume", p.dir))
	}
	return vs.now().Before(p.rest)
}

// check refuses sync: volume where it could not be kept.
func (vs *volumes) check(cfg *Config) error {
	if cfg.Sync != syncVolume {
		return nil
	}
	dir := cfg.Mail.Root
	for {
		v, err := disk.OpenVolume(vs.fs, dir)
		if err == nil {
			return v.Close()
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return fail.Wrap(fail.KindOf(err), err, "sync: volume cannot be kept for mail_root, set sync: auto or file")
		}
		dir = parent
	}
}

// state is for the status command.
func (vs *volumes) state() any {
	type line struct {
		Folder string `json:"folder"`
		Alone  bool   `json:"alone"`
		Asked  uint64 `json:"asked"`
		Syncs  uint64 `json:"syncs"`
		Failed uint64 `json:"failed"`
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	list := []line{}
	for _, p := range vs.known {
		if p.v != nil {
			s := p.v.Stats()
			list = append(list, line{p.dir, p.alone, s.Asked, s.Syncs, s.Failed})
		}
	}
	return list
}

// close gives the volumes back.
func (vs *volumes) close() {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, p := range vs.known {
		if p.v != nil {
			_ = p.v.Close() // a folder that was open for reading
		}
	}
	clear(vs.known)
}
