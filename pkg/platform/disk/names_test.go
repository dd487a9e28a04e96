package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FileNames lists the same by system calls and by ReadDir, over several
// buffers, without folders.
func TestFileNames(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 3000 {
		name := fmt.Sprintf("%d.M%dP1.host,S=1:2,%.*s", i, i, i%9, "abcdefghi")
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "folder"), 0o700), os.Symlink("/", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	want = append(want, "link")
	slices.Sort(want)
	for name, fsys := range map[string]FS{"system calls": OS(), "ReadDir": NewFaulty(OS())} {
		got, err := FileNames(fsys, dir)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %d names, want %d: %v", name, len(got), len(want), err)
		}
		got = got[:0]
		err = EachFileName(fsys, dir, func(name []byte) { got = append(got, string(name)) })
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, one by one: %d names, want %d: %v", name, len(got), len(want), err)
		}
		if _, err := FileNames(fsys, dir+"/missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: missing folder: %v", name, err)
		}
		if _, err := FileNames(fsys, dir+"/"+want[0]); err == nil {
			t.Errorf("%s: a file was listed", name)
		}
	}
}

// A change after StampClock is not stamped earlier than it.
func TestStampClock(t *testing.T) {
	dir := t.TempDir()
	for i := range 200 {
		clock, ok := StampClock(OS(), dir)
		if !ok {
			t.Skip("a file system whose clock is not known")
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		now, err := Peek(OS(), dir)
		if err != nil || now.ModTime.Before(clock) {
			t.Fatalf("stamped %v, the clock was at %v: %v", now.ModTime, clock, err)
		}
	}
	if _, ok := StampClock(NewForgetful(), "/"); ok {
		t.Error("a clock of files in memory")
	}
}

func FuzzDirents(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x18\x00\x08abc\x00\x00"))
	f.Fuzz(func(t *testing.T, buf []byte) {
		names := 0
		err := eachDirent(buf, func(from, to int) { names += len(buf[from:to])/256 + 1 })
		if err != nil && !errors.Is(err, errors.ErrUnsupported) || names > len(buf)/19+1 {
			t.Fatal(names, err)
		}
	})
}

// What lists cheaply does so through a visit of its volume, too.
func TestVisitListsFiles(t *testing.T) {
	if _, ok := FS(&visit{FS: OS()}).(fileLister); !ok {
		t.Error("a visit lists by reading each entry")
	}
}
