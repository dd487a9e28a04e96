package takeover

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// parts are the directories of tree that are mail folders.
func parts() []string {
	return []string{"", "cur", "new", "tmp", ".Sent", ".Sent/cur", ".Sent/new", ".Sent/tmp"}
}

// tree makes a Maildir as Dovecot leaves it: for its owner alone.
func tree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Maildir")
	for _, d := range append(parts(), "sieve") {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	for name, text := range map[string]string{
		"cur/1700000001.M1P1.h,S=8,W=11:2,S": "A: b\n\nx\n", "new/1700000002.M1P1.h": "A: b\n\nx\n", ".Sent/cur/1700000003.M1P1.h,S=8,W=11:2,": "A: b\n\nx\n",
		"dovecot-uidlist": "3 V1 N2 Ga18206126b160b6b1511000083ecc375\n", ".Sent/dovecot-uidlist": "1 1 2\n", "subscriptions": "V\t2\n\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	must(t, os.WriteFile(filepath.Join(dir, "dovecot-uidvalidity.00000001"), nil, 0o444))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	must(t, os.WriteFile(name, []byte(text), 0o600))
}

// modes lists what has not the mode that mail has.
func modes(t *testing.T, dir string) (wrong []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := "-rw-rw----"
		if e.IsDir() {
			want = "dgrwxrwx---"
		}
		if got := info.Mode().String(); got != want {
			wrong = append(wrong, strings.TrimPrefix(name, dir+"/")+" "+got)
		}
		return nil
	}))
	return wrong
}

func run(t *testing.T, dir string, apply bool) *Report {
	t.Helper()
	r, err := Run(context.Background(), dir, Options{UID: -1, GID: os.Getgid(), Apply: apply})
	must(t, err)
	return r
}

// A check tells what would be changed and changes nothing; what is applied is
// what it told; a second time there is nothing to do.
func TestCheckThenApply(t *testing.T) {
	dir := tree(t)
	before := fmt.Sprint(modes(t, dir))
	check := run(t, dir, false)
	if after := fmt.Sprint(modes(t, dir)); after != before {
		t.Fatalf("a check changed\n%s to\n%s", before, after)
	}
	if check.Folders != 2 || check.Messages != 3 || check.DirModes != 8 || check.FileModes != 6 || check.Applied || len(check.Problems) > 0 {
		t.Errorf("%+v", check)
	}
	done := run(t, dir, true)
	if done.Changes() != check.Changes() || !done.Applied {
		t.Errorf("said %+v\ndid %+v", check, done)
	}
	if left := strings.Join(modes(t, dir), ", "); left != "dovecot-uidvalidity.00000001 -r--r--r--, sieve drwx------" {
		t.Errorf("left: %s", left)
	}
	if again := run(t, dir, true); again.Changes() != 0 {
		t.Errorf("again: %+v", again)
	}
	notes := strings.Join(done.Notes, "\n")
	for _, want := range []string{"sieve is no mail folder", "1 messages have no sizes", ".Sent: the UID list is not of version 3"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note %q in\n%s", want, notes)
		}
	}
}

// What stands in the way is told, and left alone.
func TestProblems(t *testing.T) {
	for _, k := range []struct {
		name, want string
		harm       func(t *testing.T, dir string)
	}{
		{"a link to a file elsewhere", "symbolic link", func(t *testing.T, dir string) {
			must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "cur/1700000009.M1P1.h:2,")))
		}},
		{"a folder that is a link", "no directory", func(t *testing.T, dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, ".Sent/cur")))
			must(t, os.Symlink(t.TempDir(), filepath.Join(dir, ".Sent/cur")))
		}},
		{"LAYOUT=fs", "LAYOUT=fs", func(t *testing.T, dir string) { must(t, os.MkdirAll(filepath.Join(dir, "Lists/cur"), 0o700)) }},
		{"dbox", "dbox", func(t *testing.T, dir string) { must(t, os.Mkdir(filepath.Join(dir, "dbox-Mails"), 0o700)) }},
		{"compressed mail", "compressed by gzip", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "cur/1700000009.M1P1.h,S=8,W=11:2,"), "\x1f\x8b\x08rest")
		}},
		{"encrypted mail", "mail_crypt", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "cur/1700000009.M1P1.h,S=8,W=11:2,"), "CRYPTED\x03\x07rest")
		}},
		{"another server at work", "stop it first", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "dovecot-uidlist.lock"), "") }},
	} {
		t.Run(k.name, func(t *testing.T) {
			dir := tree(t)
			k.harm(t, dir)
			r := run(t, dir, true)
			if got := strings.Join(r.Problems, "\n"); !strings.Contains(got, k.want) {
				t.Errorf("problems %q, want %q", got, k.want)
			}
		})
	}
	if info, err := os.Stat("/etc/passwd"); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("/etc/passwd: %v %v", info.Mode(), err)
	}
}

// A hard link to somebody else's file is not given away, even by root.
func TestForeignOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a file of another")
	}
	dir := tree(t)
	for _, d := range parts() {
		must(t, os.Chown(filepath.Join(dir, d), 65534, 65534))
	}
	victim := filepath.Join(filepath.Dir(dir), "victim")
	write(t, victim, "secret")
	must(t, os.Link(victim, filepath.Join(dir, "new/1700000009.M1P1.h")))
	r, err := Run(context.Background(), dir, Options{UID: 65534, GID: 65534, Apply: true})
	must(t, err)
	known := filepath.Join(dir, "new/1700000002.M1P1.h")
	must(t, os.Chown(known, 12345, 65534))
	_, err = Run(context.Background(), dir, Options{UID: -1, GID: 65534, Apply: true, Known: []int{12345}})
	must(t, err)
	if info, _ := os.Stat(known); info.Mode().Perm() != FileMode {
		t.Errorf("a daemon's file has mode %v", info.Mode())
	}
	if info, _ := os.Stat(victim); info.Mode().Perm() != 0o600 || !strings.Contains(strings.Join(r.Problems, "\n"), "new/1700000009.M1P1.h belongs to uid 0") {
		t.Errorf("%v %q", info.Mode(), r.Problems)
	}
}

func TestNoMaildir(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(tree(t), link))
	for path, kind := range map[string]fail.Kind{filepath.Join(t.TempDir(), "none"): fail.NotFound, link: fail.Invalid} {
		if _, err := Run(context.Background(), path, Options{UID: -1, GID: -1}); !fail.Is(err, kind) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
