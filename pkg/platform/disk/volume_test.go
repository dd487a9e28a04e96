package disk

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// volumeOf opens the volume of a Forgetful that holds the folders /a and /b.
func volumeOf(t *testing.T, wrap func(FS) FS) (*Forgetful, *Volume) {
	t.Helper()
	m := NewForgetful()
	for _, d := range []string{"/a", "/b"} {
		if err := m.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	v, err := OpenVolume(wrap(m), "/a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return m, v
}

func plain(fsys FS) FS { return fsys }

// write makes a file and returns it unsynced.
func write(t *testing.T, fsys FS, name, text string) File {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return f
}

// One sync of a visit makes durable what the visit did and what others did:
// bytes and names in all folders. What came after it is lost in a crash.
func TestVolumeSync(t *testing.T) {
	m, v := volumeOf(t, plain)
	visit := v.Visit()
	f := write(t, visit, "/a/one", "first")
	write(t, m, "/b/other", "others")
	if err := m.Rename("/b/other", "/a/other"); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	write(t, visit, "/a/late", "late")
	after := m.Crash()
	for name, want := range map[string]string{"/a/one": "first", "/a/other": "others"} {
		if got, err := ReadFile(after, name, 100); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"/a/late", "/b/other"} {
		if ok, _ := Exists(after, name); ok {
			t.Errorf("%s is there", name)
		}
	}
}

// A crash before the sync loses what nobody was told of; one after it nothing.
func TestVolumeCrashPoints(t *testing.T) {
	for point, kept := range map[string]bool{"disk.volume.before_sync": false, "disk.volume.after_sync": true} {
		m, v := volumeOf(t, plain)
		visit := v.Visit()
		write(t, visit, "/a/one", "first")
		m.CrashAt(point)
		err := visit.SyncDir("/a")
		if !m.Crashed() || err != nil && kept || err == nil && !kept {
			t.Errorf("%s: crashed %v, sync says %v", point, m.Crashed(), err)
		}
		if ok, _ := Exists(m.Crash(), "/a/one"); ok != kept {
			t.Errorf("%s: the file is there: %v", point, ok)
		}
	}
}

// gated is a volume whose syncs wait to be let through, one answer each.
type gated struct {
	volumeFile
	began  chan struct{}
	answer chan error
}

func (g *gated) syncAll() error {
	g.began <- struct{}{}
	return <-g.answer
}

func gate(m *Forgetful) (*Volume, *gated) {
	g := &gated{began: make(chan struct{}, 100), answer: make(chan error)}
	return &Volume{fs: m, file: g}, g
}

// asked waits until so many syncs were asked for: whoever asked has joined one.
func (v *Volume) asked(n uint64) {
	for v.Stats().Asked < n {
		runtime.Gosched()
	}
}

// Those who ask while a sync runs share the next one: it began after they had
// written, the one that runs may not have.
func TestVolumeGroups(t *testing.T) {
	v, g := gate(NewForgetful())
	const waiters = 20
	verdict := make(chan error)
	ask := func() { verdict <- v.Visit().SyncDir("/") }
	go ask()
	<-g.began
	for range waiters {
		go ask()
	}
	v.asked(1 + waiters)
	for n := range 2 {
		g.answer <- nil
		for range []int{1, waiters}[n] {
			if err := <-verdict; err != nil {
				t.Error(err)
			}
		}
	}
	if s := v.Stats(); s.Syncs != 2 {
		t.Errorf("%+v, want 2 syncs", s)
	}
}

// A failed sync fails all who waited for it, and every visit that had begun:
// the next sync succeeds without what they wrote.
func TestVolumeFailure(t *testing.T) {
	v, g := gate(NewForgetful())
	early, bystander := v.Visit(), v.Visit()
	verdict := make(chan error)
	go func() { verdict <- early.SyncDir("/") }()
	<-g.began
	go func() { verdict <- bystander.SyncDir("/") }()
	v.asked(2)
	g.answer <- syscall.EIO
	if err := <-verdict; !errors.Is(err, syscall.EIO) {
		t.Errorf("who waited: %v", err)
	}
	g.answer <- nil // the bystander's own sync
	if err := <-verdict; !errors.Is(err, ErrPoisonedVisit) || !errors.Is(err, syscall.EIO) || fail.KindOf(err) != fail.Temporary {
		t.Errorf("who had written before the failure: %v", err)
	}
	if err := early.SyncDir("/"); !errors.Is(err, ErrPoisonedVisit) {
		t.Errorf("who asks again: %v", err)
	}
	if s := v.Stats(); s.Failed != 1 || s.Syncs != 2 || !errors.Is(s.Cause, syscall.EIO) {
		t.Errorf("%+v", s)
	}
	go func() { verdict <- v.Visit().SyncDir("/") }()
	g.answer <- nil
	if err := <-verdict; err != nil {
		t.Errorf("who began after it: %v", err)
	}
}

// A visit passes on what its FS can do, and a Faulty can fail its syncs.
func TestVisitIsTransparent(t *testing.T) {
	var faulty *Faulty
	m, v := volumeOf(t, func(fsys FS) FS { faulty = NewFaulty(fsys); return faulty })
	faulty.Add(Fault{Op: OpSyncFS, Path: "/a", Err: syscall.EIO})
	if err := v.Visit().SyncDir("/b"); !errors.Is(err, syscall.EIO) {
		t.Errorf("planned fault: %v", err)
	}
	visit := v.Visit()
	f := write(t, visit, "/a/one", "x")
	if err := TryLock(f, Exclusive); err != nil {
		t.Error(err)
	}
	if space, err := Statfs(visit, "/a"); err != nil || space.FSType != "forgetful" {
		t.Errorf("%+v, %v", space, err)
	}
	if names, err := FileNames(visit, "/a"); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	Point(visit, "some.point")
	if m.Points()["some.point"] != 1 {
		t.Error("a crash point was not passed on")
	}
}

func TestVolumeOfOS(t *testing.T) {
	dir := t.TempDir()
	v, err := OpenVolume(OS(), dir)
	if fail.Is(err, fail.Denied) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	visit := v.Visit()
	f := write(t, visit, dir+"/one", "first")
	if err := errors.Join(f.Sync(), f.Close(), visit.SyncDir(dir)); err != nil {
		t.Error(err)
	}
	if _, err := OpenVolume(OS(), dir+"/missing"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestParseRelease(t *testing.T) {
	for release, want := range map[string][2]int{
		"6.1.0-13-amd64": {6, 1}, "5.17": {5, 17}, "5.8-rc1": {5, 8}, "4.18.0-553.el8_10.x86_64": {4, 18}, "": {0, 0}, "x.y": {0, 0},
	} {
		if major, minor := parseRelease(release); major != want[0] || minor != want[1] {
			t.Errorf("%q is %d.%d", release, major, minor)
		}
	}
}
