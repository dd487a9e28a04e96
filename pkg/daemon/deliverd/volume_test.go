package deliverd

import (
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// A message to ten users makes two syncs of the volume: its bytes before it
// has a name anywhere, then all ten names.
func TestVolumeRounds(t *testing.T) {
	mem := disk.NewForgetful()
	b := volumeBench(t, mem)
	var rcpts []string
	for i := range 10 {
		user := fmt.Sprintf("user%d", i)
		b.dir.known[user] = true
		rcpts = append(rcpts, user+"@example.org")
	}
	c := b.dial(t)
	send(t, c, letterText, rcpts...) // makes the folders
	v := b.a.volumes.find(syncVolume, "/mail", 1)
	before := v.Stats().Syncs
	for r, err := range send(t, c, letterText, rcpts...) {
		if err != nil {
			t.Errorf("%s: %v", r, err)
		}
	}
	if n := v.Stats().Syncs - before; n != 2 {
		t.Errorf("%d syncs, want 2", n)
	}
	after := mem.Crash()
	for _, r := range rcpts {
		user, _, _ := strings.Cut(r, "@")
		names, err := disk.FileNames(after, filepath.Join("/mail", user, "Maildir", "new"))
		if err != nil || len(names) != 2 {
			t.Errorf("%s has %v after a crash, %v", r, names, err)
		}
	}
}

// volumeBench delivers below /mail with sync: volume.
func volumeBench(t *testing.T, fsys disk.FS) *bench {
	t.Helper()
	for _, dir := range []string{"/tmp", "/mail"} {
		if err := fsys.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b := newBench(t, fsys, func(c *Config) { c.TempDir, c.Sync = "/tmp", syncVolume })
	b.dir.root = "/mail"
	t.Cleanup(b.a.volumes.close)
	return b
}

// When a volume's sync fails nobody is told that the mail is there, nothing of
// it stays, and for a while files are synced by themselves.
func TestVolumeFails(t *testing.T) {
	for nth := 1; nth <= 2; nth++ {
		mem := disk.NewForgetful()
		faulty := disk.NewFaulty(mem)
		b := volumeBench(t, faulty)
		now := time.Now()
		b.a.volumes.now = func() time.Time { return now }
		faulty.Add(disk.Fault{Op: disk.OpSyncFS, Nth: nth, Forever: true, Err: syscall.EIO})
		c := b.dial(t)
		for r, err := range send(t, c, letterText, "alice@example.org", "bob@example.org") {
			if err == nil || !strings.Contains(err.Error(), "Temporary internal error") {
				t.Errorf("sync %d fails, %s: %v", nth, r, err)
			}
		}
		if faulty.Hits() == 0 {
			t.Fatal("the fault never hit: the test shows nothing")
		}
		for _, user := range []string{"alice", "bob"} {
			for _, dir := range []string{"tmp", "new", "cur"} {
				if names, err := disk.FileNames(mem, filepath.Join("/mail", user, "Maildir", dir)); err != nil || len(names) > 0 {
					t.Errorf("sync %d fails, left in %s of %s: %v, %v", nth, dir, user, names, err)
				}
			}
		}
		hits := faulty.Hits()
		if got := send(t, c, letterText, "alice@example.org"); got["alice@example.org"] != nil || faulty.Hits() != hits {
			t.Errorf("soon after it: %v", got)
		}
		faulty.Clear()
		now = now.Add(volumeRest)
		v := b.a.volumes.find(syncVolume, "/mail", 1)
		if v == nil {
			t.Fatal("the volume is never used again")
		}
		if got := send(t, c, letterText, "alice@example.org"); got["alice@example.org"] != nil {
			t.Errorf("later: %v", got)
		}
	}
}

// devices is an FS whose folders lie on several devices.
type devices struct {
	*disk.Forgetful
	at     map[string]uint64 // by path prefix; the rest is 1
	fstype string
}

type onDevice struct {
	fs.FileInfo
	dev uint64
}

func (i onDevice) Sys() any {
	st := *i.FileInfo.Sys().(*syscall.Stat_t)
	st.Dev = i.dev
	return &st
}

func (d *devices) Stat(name string) (fs.FileInfo, error) {
	info, err := d.Forgetful.Stat(name)
	if err != nil {
		return nil, err
	}
	dev := uint64(1)
	for prefix, n := range d.at {
		if strings.HasPrefix(name+"/", prefix+"/") {
			dev = n
		}
	}
	return onDevice{info, dev}, nil
}

func (d *devices) Statfs(dir string) (disk.Space, error) {
	s, err := d.Forgetful.Statfs(dir)
	s.FSType = d.fstype
	return s, err
}

func TestWhichVolumes(t *testing.T) {
	for _, c := range []struct {
		what, mode, root, fstype string
		busy                     int64
		want                     bool
	}{
		{"a mount of its own, much to do", syncAuto, "/mail/alice", "ext4", several, true},
		{"little to do", syncAuto, "/mail/alice", "ext4", several - 1, false},
		{"the system's disk", syncAuto, "/srv/alice", "ext4", several, false},
		{"a device that says little", syncAuto, "/mail/alice", "btrfs", several, false},
		{"told to", syncVolume, "/srv/alice", "btrfs", 1, true},
		{"told not to", syncFile, "/mail/alice", "ext4", several, false},
		{"nothing there", syncVolume, "/mail/bob", "ext4", several, false},
	} {
		mem := disk.NewForgetful()
		fsys := &devices{mem, map[string]uint64{"/mail": 2}, c.fstype}
		for _, dir := range []string{"/srv", "/srv/alice", "/mail", "/mail/alice"} {
			if err := fsys.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		vs := newVolumes(fsys, time.Now, func(what string, err error, _ ...slog.Attr) { t.Errorf("%s: %s: %v", c.what, what, err) })
		if got := vs.find(c.mode, c.root, c.busy); (got != nil) != c.want {
			t.Errorf("%s: %v, want one: %v", c.what, got, c.want)
		}
		for _, v := range vs.known {
			if want := map[string]string{"/srv/alice": "/", "/mail/alice": "/mail"}[c.root]; v.dir != want {
				t.Errorf("%s: opened %s, want %s", c.what, v.dir, want)
			}
		}
		vs.close()
	}
}

func TestSyncConfig(t *testing.T) {
	// A kind of file system that cannot be synced as a whole.
	b := newBench(t, noVolumes{disk.OS()}, nil)
	cfg := *b.a.cfg.Load()
	cfg.Sync, cfg.Mail.Root = syncVolume, filepath.Join(t.TempDir(), "not", "yet")
	if err := b.a.volumes.check(&cfg); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), "set sync: auto or file") {
		t.Errorf("%v, want a refusal at the start", err)
	}
	if v := b.a.volumes.find(syncVolume, t.TempDir(), 1); v != nil {
		t.Error("it is used all the same")
	}
	cfg.Sync = syncAuto
	if err := b.a.volumes.check(&cfg); err != nil {
		t.Error(err)
	}
}

// noVolumes hides what its FS can do beyond the interface.
type noVolumes struct{ disk.FS }
