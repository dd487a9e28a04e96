package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func nestedTree(t *testing.T) *Tree {
	t.Helper()
	tree := NewTree(disk.OS(), filepath.Join(t.TempDir(), "Maildir"), Options{Layout: Nested})
	if err := tree.Ensure(bg, Inbox); err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestNestedNames(t *testing.T) {
	tree := NewTree(disk.OS(), "/m", Options{Layout: Nested})
	for _, c := range []struct{ name, dir string }{
		{"INBOX", "/m"},
		{"inbox", "/m"},
		{"Work", "/m/Work"},
		{"Work/2026.Q1", "/m/Work/2026.Q1"},
		{"Täst/x&y", "/m/T&AOQ-st/x&-y"},
		{"INBOX/sub", "/m/INBOX/sub"},
		{"a..b", "/m/a..b"},
		{"dovecot-users", "/m/dovecot-users"},
		{"", ""},
		{"/etc", ""},
		{"a//b", ""},
		{"a/", ""},
		{"../x", ""},
		{"a/../b", ""},
		{"a/./b", ""},
		{".hidden", ""},
		{"a/.b", ""},
		{"~joe/x", ""},
		{"a/cur", ""},
		{"new", ""},
		{"a/tmp/b", ""},
		{"subscriptions", ""},
		{"a/dovecot-uidlist", ""},
		{"dovecot-uidlist.lock", ""},
		{"dovecot.index.log", ""},
		{"maildirfolder", ""},
		{"a\x00b", ""},
		{strings.Repeat("ä", 100), ""},
	} {
		f, err := tree.Folder(c.name)
		if c.dir == "" {
			if !fail.Is(err, fail.Invalid) {
				t.Errorf("%q: %v, want invalid", c.name, err)
			}
			continue
		}
		if err != nil || f.Dir() != c.dir {
			t.Errorf("%q: %v, want %s", c.name, err, c.dir)
			continue
		}
		back, err := tree.FolderAt(c.dir)
		if err != nil || back.Name() != f.Name() {
			t.Errorf("%s: %v", c.dir, err)
		}
		if dir := tree.DirOf(tree.EntryOf(c.dir)); dir != c.dir {
			t.Errorf("%s came back as %s", c.dir, dir)
		}
	}
}

func TestNestedTree(t *testing.T) {
	tree := nestedTree(t)
	list := func(want string) {
		t.Helper()
		names, err := tree.List(bg)
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Fatalf("folders %q (%v), want %q", got, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tree.Create(bg, "A/B/C.d"))
	list("INBOX A/B/C.d") // A and A/B are mere directories
	must(tree.Create(bg, "A"))
	must(tree.Create(bg, "A/B"))
	list("INBOX A A/B A/B/C.d")
	if err := tree.Create(bg, "A/B"); !fail.Is(err, fail.Exists) {
		t.Errorf("again: %v", err)
	}
	if _, err := tree.Deliver(bg, "A/B", Meta{}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	// Folders below stay when one is deleted; its messages and control files go.
	if err := os.WriteFile(tree.Root()+"/A/B/dovecot-uidlist", []byte("3 V1 N1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(tree.Delete(bg, "A/B"))
	list("INBOX A A/B/C.d")
	if entries, _ := os.ReadDir(tree.Root() + "/A/B"); len(entries) != 1 {
		t.Errorf("left of A/B: %v", entries)
	}
	must(tree.Rename(bg, "A", "X/Y"))
	list("INBOX X/Y X/Y/B/C.d")
	must(tree.Rename(bg, "X/Y/B", "B")) // one that is no folder itself
	list("INBOX B/C.d X/Y")
	if err := tree.Rename(bg, "X/Y", "B"); !fail.Is(err, fail.Exists) {
		t.Errorf("over another: %v", err)
	}
	must(tree.Delete(bg, "X/Y"))
	must(tree.Delete(bg, "B/C.d"))
	list("INBOX")
	if _, err := os.Stat(tree.Root() + "/B/C.d"); !os.IsNotExist(err) {
		t.Errorf("the directory of a deleted folder: %v", err)
	}
}

// No way out of the root, wherever the link is.
func TestNestedLinks(t *testing.T) {
	tree := nestedTree(t)
	outside := t.TempDir()
	other := NewTree(disk.OS(), outside, Options{Layout: Nested})
	if err := other.Create(bg, "secret"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, tree.Root()+"/link"); err != nil {
		t.Fatal(err)
	}
	if names, err := tree.List(bg); err != nil || len(names) != 1 {
		t.Errorf("folders %v %v", names, err)
	}
	if ok, err := tree.Exists(bg, "link/secret"); ok || !fail.Is(err, fail.Denied) {
		t.Errorf("exists %v %v", ok, err)
	}
	if _, err := tree.Begin(bg, "link/secret"); !fail.Is(err, fail.Denied) {
		t.Errorf("delivery %v", err)
	}
	if err := tree.Delete(bg, "link/secret"); err == nil {
		t.Error("deleted")
	}
	if err := tree.Create(bg, "link/new"); err == nil {
		t.Error("created")
	}
	if err := tree.Rename(bg, "link/secret", "mine"); err == nil {
		t.Error("renamed")
	}
	if err := tree.Create(bg, "a"); err != nil {
		t.Fatal(err)
	}
	if err := tree.Rename(bg, "a", "link/a"); err == nil {
		t.Error("renamed to the outside")
	}
}

// At whatever change a deletion or a renaming stops, the tree can be used: what
// is there twice or half is no folder, and the same can be asked for again.
func TestNestedCrash(t *testing.T) {
	for n := 0; ; n++ {
		mem := disk.NewForgetful()
		tree := NewTree(mem, "/m", Options{Layout: Nested})
		for _, f := range []string{Inbox, "A", "A/B"} {
			if err := tree.Ensure(bg, f); err != nil {
				t.Fatal(err)
			}
		}
		mem.CrashAfter(n)
		err := tree.Delete(bg, "A")
		if err == nil {
			err = tree.Rename(bg, "A/B", "C/D")
		}
		for seed := range uint64(4) {
			after := NewTree(mem.CrashRandom(seed), "/m", Options{Layout: Nested})
			names, lerr := after.List(bg)
			got := strings.Join(names, " ")
			switch {
			case lerr != nil:
				t.Fatal(lerr)
			case err == nil && got != "INBOX C/D":
				t.Fatalf("after all: %s", got)
			case got != "INBOX A A/B" && got != "INBOX A/B" && got != "INBOX C/D":
				t.Fatalf("stopped after %d changes, seed %d: %s", n, seed, got)
			}
			for _, f := range []string{"A", "A/B", "C/D"} {
				if err := after.Ensure(bg, f); err != nil {
					t.Fatalf("stopped after %d changes: making %s again: %v", n, f, err)
				}
			}
			if err := after.Delete(bg, "A"); err != nil {
				t.Fatalf("stopped after %d changes: %v", n, err)
			}
		}
		if err == nil {
			return
		}
	}
}

func TestNestedSubscriptions(t *testing.T) {
	tree := nestedTree(t)
	file := tree.Root() + "/subscriptions"
	if err := os.WriteFile(file, []byte("Work/2026.Q1\nINBOX\n"), 0o600); err != nil { // version 1
		t.Fatal(err)
	}
	if err := tree.Subscribe(bg, true, "Täst/x"); err != nil {
		t.Fatal(err)
	}
	names, err := tree.Subscriptions(bg)
	if got := fmt.Sprint(names); err != nil || got != "[Work/2026.Q1 INBOX Täst/x]" {
		t.Errorf("%v %v", got, err)
	}
	text, _ := os.ReadFile(file)
	if string(text) != "V\t2\n\nWork\t2026.Q1\nINBOX\nT&AOQ-st\tx\n" {
		t.Errorf("%q", text)
	}
}

func TestLayoutFor(t *testing.T) {
	for _, c := range []struct {
		config, named string
		want          Layout
		bad           bool
	}{
		{"maildir++", "", PlusPlus, false},
		{"fs", "", Nested, false},
		{"", "", PlusPlus, false},
		{"maildir++", "FS", Nested, false},
		{"fs", "maildir++", PlusPlus, false},
		{"fs", "index", 0, true},
	} {
		got, err := Config{Layout: c.config}.LayoutFor(c.named)
		if got != c.want || fail.Is(err, fail.Unavailable) != c.bad {
			t.Errorf("%q, record %q: %v %v", c.config, c.named, got, err)
		}
	}
}

// mounts is a file system of which some folders are of another kind.
type mounts struct {
	disk.FS
	kind map[string]disk.Space
}

func (m mounts) Statfs(dir string) (disk.Space, error) {
	if s, ok := m.kind[dir]; ok {
		return s, nil
	}
	return disk.Space{}, &os.PathError{Op: "statfs", Path: dir, Err: os.ErrNotExist}
}

func TestMailOnANetworkFileSystem(t *testing.T) {
	fsys := mounts{disk.NewForgetful(), map[string]disk.Space{
		"/": {FSType: "ext4"}, "/nfs": {FSType: "nfs", Network: true}, "/local": {FSType: "xfs"},
	}}
	for _, c := range []struct {
		root   string
		pinned bool
		denied bool
	}{
		{"/local", false, false},
		{"/local/joe/Maildir", false, false}, // not there yet
		{"/nfs", false, true},
		{"/nfs/joe/Maildir", false, true},
		{"/nfs/joe/Maildir", true, false},
		{"", false, false},
	} {
		err := Config{Root: c.root, Pinned: c.pinned}.Check(fsys)
		if fail.Is(err, fail.Denied) != c.denied || err != nil && !strings.Contains(err.Error(), "pinned_to_this_node") {
			t.Errorf("%s, pinned %v: %v", c.root, c.pinned, err)
		}
	}
}
