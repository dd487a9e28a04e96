package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// put makes a file with synced content, without syncing its name.
func put(t testing.TB, fsys FS, name, data string) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, fsys FS, name string) string {
	t.Helper()
	data, err := ReadFile(fsys, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOSFilesAndFolders(t *testing.T) {
	dir := t.TempDir()
	fsys := OS()
	a, b := filepath.Join(dir, "x", "y", "a"), filepath.Join(dir, "x", "y", "b")
	if err := MkdirAll(fsys, filepath.Dir(a), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(fsys, filepath.Dir(a), 0o700); err != nil {
		t.Fatalf("a folder that exists is fine: %v", err)
	}
	put(t, fsys, a, "hello")
	if err := fsys.Link(a, b); err != nil {
		t.Fatal(err)
	}
	ia, _ := fsys.Stat(a)
	ib, _ := fsys.Stat(b)
	if IDOf(ia) != IDOf(ib) || Links(ia) != 2 || ChangeTime(ia).IsZero() {
		t.Fatalf("two names of one file: %v %v, %d links", IDOf(ia), IDOf(ib), Links(ia))
	}
	if err := fsys.SyncDir(filepath.Dir(a)); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_700_000_000, 0)
	if err := Chtimes(fsys, a, when); err != nil {
		t.Fatal(err)
	}
	if info, _ := fsys.Stat(b); !info.ModTime().Equal(when) {
		t.Fatalf("mtime %v", info.ModTime())
	}
	if err := MkdirAll(fsys, filepath.Join(a, "z"), 0o700); err == nil {
		t.Fatal("a folder below a file")
	}
	if ok, err := Exists(fsys, a); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := RemoveAll(fsys, filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	if ok, err := Exists(fsys, a); ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := fsys.SyncDir(filepath.Join(dir, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestDescriptorThroughWrappers(t *testing.T) {
	f, err := NewFaulty(OS()).OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, ok := Fd(Guard(f, "f"))
	if !ok {
		t.Fatal("no descriptor")
	}
	if _, err := syscall.Write(int(fd), []byte("raw")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 3)
	if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "raw" {
		t.Fatalf("%q %v", buf, err)
	}
	m, err := NewForgetful().OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := Fd(m); ok {
		t.Fatal("a file in memory has no descriptor")
	}
}

func TestReadFileLimit(t *testing.T) {
	m := NewForgetful()
	put(t, m, "/f", "12345")
	if _, err := ReadFile(m, "/f", 4); err == nil {
		t.Fatal("one byte over the limit was read")
	}
	if got, err := ReadFile(m, "/f", 5); err != nil || string(got) != "12345" {
		t.Fatal(got, err)
	}
}

func TestSpace(t *testing.T) {
	s, err := Statfs(OS(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.Total == 0 || s.Free > s.Total || s.FreeInodes == 0 || s.FSType == "" {
		t.Fatalf("%+v", s)
	}
	for magic, want := range map[int64]string{0xEF53: "ext4", 0x6969: "nfs", -0x1acb2be: "smb2", 0x1234: "0x1234"} {
		if got, _ := nameFS(magic); got != want {
			t.Errorf("magic %x is %q, want %q", magic, got, want)
		}
	}
	if _, network := nameFS(0x65735546); !network {
		t.Error("FUSE must count as network")
	}
	if _, err := Statfs(OS(), "/does/not/exist"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Statfs(bareFS{OS()}, "/"); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := Chtimes(bareFS{OS()}, "/", time.Now()); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// bareFS hides the optional interfaces.
type bareFS struct{ FS }

func TestPreallocate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f, err := OS().OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Preallocate(f, 1<<20); err != nil {
		t.Fatal(err)
	}
	if info, _ := f.Stat(); info.Size() != 0 {
		t.Fatalf("length became %d", info.Size())
	}
	full := NewFaulty(NewForgetful(), Fault{Op: OpReserve, Err: syscall.ENOSPC})
	m, err := full.OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := Preallocate(Guard(m, "f"), 10); !IsFull(err) {
		t.Fatalf("want a full disk, got %v", err)
	}
	if err := Preallocate(m, 10); err != nil {
		t.Fatal(err)
	}
}

// TestCrashPointKills runs itself as a victim that appends a letter and
// passes a point, over and over.
func TestCrashPointKills(t *testing.T) {
	const key = "DISK_TEST_VICTIM"
	if name := os.Getenv(key); name != "" {
		fsys := OSWithCrash(os.Getenv(key + "_POINT"))
		for range 5 {
			f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.Write([]byte("x"))
			_ = f.Close()
			Point(fsys, "other")
			Point(fsys, "test.point")
		}
		return
	}
	for point, want := range map[string]int{"": 5, "test.point": 1, "test.point:3": 3, "test.point:9": 5, "test.point:junk": 1, "absent": 5} {
		name := filepath.Join(t.TempDir(), "f")
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashPointKills$")
		cmd.Env = append(os.Environ(), key+"="+name, key+"_POINT="+point)
		err := cmd.Run()
		killed := false
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			killed = exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		}
		if killed != (want < 5) {
			t.Errorf("%q: killed %v (%v)", point, killed, err)
		}
		if got := get(t, OS(), name); len(got) != want {
			t.Errorf("%q: passed the point %d times, want %d", point, len(got), want)
		}
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	for _, data := range []string{"one", "two, longer"} {
		if err := WriteFile(OS(), name, []byte(data), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := get(t, OS(), name); got != data {
			t.Fatal(got)
		}
	}
	broken := errors.New("source failed")
	err := WriteFileFunc(OS(), name, 0o640, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return broken
	})
	if !errors.Is(err, broken) || get(t, OS(), name) != "two, longer" {
		t.Fatalf("%v, %q", err, get(t, OS(), name))
	}
	if left, _ := OS().ReadDir(dir); len(left) != 1 {
		t.Fatalf("left behind: %v", left)
	}
}

// TestWriteFileSurvives crashes before each step of a replacement and looks
// at many of the states that a disk may be in.
func TestWriteFileSurvives(t *testing.T) {
	old, new := "old content", string(make([]byte, 3*sector))+"new"
	for n := 0; ; n++ {
		m := NewForgetful()
		put(t, m, "/f", old)
		if err := m.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		m.CrashAfter(n)
		err := WriteFile(m, "/f", []byte(new), 0o600)
		crashed := m.Crashed()
		if crashed == (err == nil) {
			t.Fatalf("after %d changes: crashed %v, error %v", n, crashed, err)
		}
		states := []*Forgetful{m.Crash()}
		for seed := range uint64(200) {
			states = append(states, m.CrashRandom(seed))
		}
		for i, s := range states {
			got := get(t, s, "/f")
			if got != new && (got != old || err == nil) {
				t.Fatalf("after %d changes, state %d: %d bytes %.20q", n, i, len(got), got)
			}
		}
		if !crashed {
			if n < 4 {
				t.Fatalf("a replacement needs more than %d changes", n)
			}
			break
		}
	}
}

func TestWriteFilePointsAreReal(t *testing.T) {
	for _, point := range []string{"disk.write.before_sync", "disk.write.before_rename", "disk.write.before_syncdir"} {
		m := NewForgetful()
		m.CrashAt(point)
		if err := WriteFile(m, "/f", []byte("x"), 0o600); !errors.Is(err, ErrCrashed) {
			t.Errorf("%s: %v", point, err)
		}
		if m.Points()[point] != 1 {
			t.Errorf("%s was not passed", point)
		}
	}
}
