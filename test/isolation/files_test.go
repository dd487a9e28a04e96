//go:build isolation

package isolation

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// The table of docs/architecture.md, "Processes": who may read what. Every
// file must have at least one reader, so that a refusal is never just a
// wrong path.
func TestFiles(t *testing.T) {
	s := start(t)
	for _, f := range []struct {
		what, path string
		readers    []string
	}{
		{"a message", mailFile(s), []string{"deliverd", "imapd"}},
		{"the mail folder", s.Home("alice"), []string{"deliverd", "imapd"}},
		{"the TLS key", s.Path("etc/tls/key.pem"), []string{"mtad", "imapd-login"}},
		{"the users' passwords", fileBelow(t, s.Path("lib/authd")), []string{"authd"}},
		{"the queue", fileBelow(t, s.Path("lib/mtad")), []string{"mtad"}},
		{"the queue's folder", s.Path("lib/mtad"), []string{"mtad"}},
		{"the index folder", s.Path("lib/imapd"), []string{"imapd"}},
	} {
		for _, name := range suite.Names {
			may := contains(f.readers, name)
			out, err := as(t, name, nil, "/bin/sh", "-c", `if [ -d "$1" ]; then ls "$1"; else cat "$1"; fi`, "sh", f.path)
			switch {
			case may && err != nil:
				t.Errorf("%s must read %s (%s): %s", name, f.what, f.path, out)
			case !may && err == nil:
				t.Errorf("%s can read %s (%s)", name, f.what, f.path)
			case !may && !strings.Contains(out, "Permission denied"):
				t.Errorf("%s: %s: %s", name, f.what, out)
			}
		}
	}
}

// Nobody but the mail group can write mail, and no daemon can write its own
// configuration.
func TestWrites(t *testing.T) {
	s := start(t)
	for _, f := range []struct {
		path    string
		writers []string
	}{
		{filepath.Join(s.Home("alice"), "Maildir", "tmp", "x"), []string{"deliverd", "imapd"}},
		{s.Path("etc/mtad.yaml"), nil},
		{s.Path("etc/tls/new.pem"), nil},
		{s.Path("lib/mtad/x"), []string{"mtad"}},
		{s.Path("lib/authd/x"), []string{"authd"}},
	} {
		for _, name := range suite.Names {
			out, err := as(t, name, nil, "/bin/sh", "-c", `echo >>"$1"`, "sh", own(f.path, name))
			if may := contains(f.writers, name); may != (err == nil) {
				t.Errorf("%s writes %s: %v %s", name, f.path, err, out)
			}
		}
	}
}

// Mail files and folders have the modes of docs/architecture.md.
func TestMailModes(t *testing.T) {
	s := start(t)
	err := filepath.WalkDir(s.Path("mail"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o660)
		if d.IsDir() {
			want = fs.ModeDir | fs.ModeSetgid | 0o770
		}
		if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func fileBelow(t *testing.T, dir string) string {
	t.Helper()
	var found string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && found == "" {
			found = path
		}
		return nil
	})
	if found == "" {
		t.Fatalf("no file below %s", dir)
	}
	if _, err := os.Stat(found); err != nil {
		t.Fatal(err)
	}
	return found
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// own gives each user a new file in a folder of the suite, and leaves the
// path of a file that exists as it is.
func own(path, name string) string {
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return path + "." + name
}
