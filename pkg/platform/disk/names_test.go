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
		if _, err := FileNames(fsys, dir+"/missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: missing folder: %v", name, err)
		}
		if _, err := FileNames(fsys, dir+"/"+want[0]); err == nil {
			t.Errorf("%s: a file was listed", name)
		}
	}
}

func FuzzDirents(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x18\x00\x08abc\x00\x00"))
	f.Fuzz(func(t *testing.T, buf []byte) {
		names, err := appendNames(nil, buf)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) || len(names) > len(buf)/19+1 {
			t.Fatal(names, err)
		}
	})
}
