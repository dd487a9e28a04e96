package disk

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The operating system's way and the one that any FS can go do the same.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, size := range map[string]int{"empty": 0, "small": 10, "full": 4096, "large": 4097} {
		if err := os.WriteFile(at(name), bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(at("small"), at("link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		size           int64
		whole, regular bool
		fails          bool
	}{
		{"empty", 0, true, true, false},
		{"small", 10, true, true, false},
		{"full", 4096, true, true, false},
		{"large", 4097, false, true, false},
		{"pipe", 0, false, false, false},
		{"link", 0, false, false, true},
		{"none", 0, false, false, true},
	} {
		for way, fsys := range map[string]FS{"by the system": OS(), "by files": NewFaulty(OS())} {
			old := []byte("what was there before")
			l, err := Load(fsys, at(c.name), 4096, old)
			if (err != nil) != c.fails {
				t.Errorf("%s %s: %v", c.name, way, err)
				continue
			}
			if l.Whole != c.whole || l.Regular != c.regular || l.Size != c.size || l.Whole && int64(bytes.Count(l.Text, []byte("x"))) != c.size {
				t.Errorf("%s %s: %+v", c.name, way, l)
			}
			if info, err := os.Stat(at(c.name)); c.whole && (err != nil || !l.ModTime.Equal(info.ModTime())) {
				t.Errorf("%s %s: of %v, is of %v", c.name, way, l.ModTime, info.ModTime())
			}
		}
	}
	for way, fsys := range map[string]FS{"by the system": OS(), "by files": NewFaulty(OS())} {
		for name, want := range map[string]int{"empty": 0, "small": 8, "large": 8} {
			l, err := LoadHead(fsys, at(name), 8, make([]byte, 0, 3))
			if err != nil || len(l.Text) != want || l.Whole != (want == 0) || !l.Regular {
				t.Errorf("the head of %s %s: %v, %+v", name, way, err, l)
			}
		}
		if l, err := LoadHead(fsys, at("pipe"), 8, nil); err != nil || l.Regular || l.Text != nil {
			t.Errorf("the head of a pipe %s: %v, %+v", way, err, l)
		}
	}
	if _, err := Load(OS(), at("none"), 1, nil); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// A file that somebody cuts while it is read is no whole one.
func TestLoadOfFileThatShrinks(t *testing.T) {
	l := Loaded{Regular: true, Size: 5}
	err := l.read(bytes.NewReader([]byte("abc")).ReadAt, "m", 10, false, nil)
	if perr, ok := err.(*fs.PathError); !ok || perr.Err.Error() != "unexpected EOF" || l.Whole { //nolint:errorlint // its own type is meant
		t.Errorf("%v, %+v", err, l)
	}
}
