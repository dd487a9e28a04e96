package maildir

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

var bg = context.Background()

// onDisk is a tree in a real directory with INBOX made.
func onDisk(t *testing.T) *Tree {
	t.Helper()
	tree := NewTree(disk.OS(), filepath.Join(t.TempDir(), "home", "Maildir"), Options{Namer: NewNamer("host", 1, nil)})
	if err := tree.Ensure(bg, Inbox); err != nil {
		t.Fatal(err)
	}
	return tree
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, err error, kind fail.Kind) {
	t.Helper()
	if !fail.Is(err, kind) {
		t.Errorf("%s: %v, want kind %v", what, err, kind)
	}
}

func names(t *testing.T, tree *Tree) string {
	t.Helper()
	l, err := tree.List(bg)
	must(t, err)
	return strings.Join(l, " ")
}

// Path safety, dovecot.md 6.3: no name leads out of the root or into our own
// files.
func TestFolderNames(t *testing.T) {
	tree := NewTree(disk.OS(), "/m", Options{})
	for name, dir := range map[string]string{
		"INBOX": "/m", "inbox": "/m", "A": "/m/.A", "A.B": "/m/.A.B", "Töst": "/m/.T&APY-st", "INBOX.x": "/m/.INBOX.x", "a&b": "/m/.a&-b", "x y": "/m/.x y",
	} {
		f, err := tree.Folder(name)
		if err != nil || f.Dir() != dir {
			t.Errorf("%q: %v, %+v, want %s", name, err, f, dir)
		}
	}
	for _, bad := range []string{
		"", ".", "..", "a..b", ".a", "a.", "a/b", "../x", "/", "a\x00b", "a\nb", "~root", "a\x7f", "\xff", strings.Repeat("x", 255), strings.Repeat("é", 100),
		"a\u0085b",
	} {
		_, err := tree.Folder(bad)
		wantKind(t, bad, err, fail.Invalid)
	}
	slash := NewTree(disk.OS(), "/m", Options{Separator: '/'})
	if f, err := slash.Folder("A/B"); err != nil || f.Dir() != "/m/.A.B" {
		t.Errorf("separator /: %v %+v", err, f)
	}
	for _, bad := range []string{"A.B", "A//B", "/A", "A/", "A/../B"} {
		_, err := slash.Folder(bad)
		wantKind(t, bad, err, fail.Invalid)
	}
}

func TestCreateListDeleteRename(t *testing.T) {
	tree := onDisk(t)
	for _, n := range []string{"B", "A.x.y", "A", "Töst"} {
		must(t, tree.Create(bg, n))
	}
	if got := names(t, tree); got != "INBOX A A.x.y B Töst" {
		t.Fatalf("list: %s", got)
	}
	wantKind(t, "create twice", tree.Create(bg, "A"), fail.Exists)
	wantKind(t, "create INBOX", tree.Create(bg, "inbox"), fail.Exists)
	if _, err := os.Stat(filepath.Join(tree.root, ".A", "maildirfolder")); err != nil {
		t.Error(err)
	}

	must(t, tree.Rename(bg, "A", "C.D"))
	if got := names(t, tree); got != "INBOX B C.D C.D.x.y Töst" {
		t.Fatalf("after rename: %s", got)
	}
	must(t, tree.Rename(bg, "C", "E")) // C itself does not exist
	if got := names(t, tree); got != "INBOX B E.D E.D.x.y Töst" {
		t.Fatalf("after renaming a mere parent: %s", got)
	}
	wantKind(t, "rename onto", tree.Rename(bg, "B", "Töst"), fail.Exists)
	wantKind(t, "rename into itself", tree.Rename(bg, "B", "B.x"), fail.Invalid)
	wantKind(t, "rename missing", tree.Rename(bg, "Z", "Y"), fail.NotFound)

	must(t, os.WriteFile(filepath.Join(tree.root, ".B", "cur", "m:2,"), []byte("x"), 0o600))
	must(t, tree.Delete(bg, "B"))
	wantKind(t, "delete twice", tree.Delete(bg, "B"), fail.NotFound)
	wantKind(t, "delete INBOX", tree.Delete(bg, "INBOX"), fail.Denied)
	if entries, _ := os.ReadDir(tree.root); slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == trash }) {
		t.Error("trash stays")
	}
}

func TestSymbolicLinksAreNoFolders(t *testing.T) {
	tree := onDisk(t)
	outside := t.TempDir()
	must(t, os.Mkdir(filepath.Join(outside, "cur"), 0o700))
	must(t, os.Mkdir(filepath.Join(outside, "tmp"), 0o700))
	must(t, os.Symlink(outside, filepath.Join(tree.root, ".Evil")))
	if got := names(t, tree); got != "INBOX" {
		t.Errorf("list: %s", got)
	}
	_, err := tree.Exists(bg, "Evil")
	wantKind(t, "exists", err, fail.Denied)
	_, err = tree.Begin(bg, "Evil")
	wantKind(t, "deliver", err, fail.Denied)

	must(t, os.Symlink("/etc/passwd", filepath.Join(tree.root, "cur", "1.x:2,")))
	f, _ := tree.Folder(Inbox)
	if m, err := f.OpenMessage(InCur, "1.x:2,"); err == nil {
		_ = m.Close()
		t.Error("a message file that is a link was opened")
	}
}

// Directories take the group from their parent and are never chmod'ed.
func TestModes(t *testing.T) {
	tree := NewTree(disk.OS(), filepath.Join(t.TempDir(), "Maildir"), Options{})
	must(t, os.Mkdir(tree.root, 0o770))
	must(t, os.Chmod(tree.root, os.ModeSetgid|0o770))
	must(t, tree.Ensure(bg, "A"))
	d, err := tree.Deliver(bg, "A", Meta{}, strings.NewReader("x"))
	must(t, err)
	info, err := os.Stat(filepath.Join(tree.root, ".A", "new"))
	must(t, err)
	if info.Mode()&os.ModeSetgid == 0 || info.Mode().Perm()&0o700 != 0o700 {
		t.Errorf("directory mode %v", info.Mode())
	}
	info, err = os.Stat(filepath.Join(tree.root, ".A", "new", d.File))
	must(t, err)
	if info.Mode().Perm()&^0o660 != 0 || info.Mode().Perm()&0o600 != 0o600 {
		t.Errorf("file mode %v", info.Mode())
	}
}

func TestCleanTmp(t *testing.T) {
	now := time.Now()
	tree := NewTree(disk.OS(), filepath.Join(t.TempDir(), "Maildir"), Options{Now: func() time.Time { return now }})
	must(t, tree.Ensure(bg, Inbox))
	must(t, os.WriteFile(filepath.Join(tree.root, "tmp", "left"), nil, 0o600))
	f, _ := tree.Folder(Inbox)
	if n, err := f.CleanTmp(); err != nil || n != 0 {
		t.Fatalf("a young file was removed: %d %v", n, err)
	}
	now = now.Add(37 * time.Hour)
	if n, err := f.CleanTmp(); err != nil || n != 1 {
		t.Fatalf("an old file was not removed: %d %v", n, err)
	}
}

// At whatever change a machine stops, a folder is there or can be made.
func TestCreateCrash(t *testing.T) {
	for n := 0; ; n++ {
		mem := disk.NewForgetful()
		tree := NewTree(mem, "/home/Maildir", Options{})
		mem.CrashAfter(n)
		err := tree.Ensure(bg, "A", "B")
		if err == nil && !mem.Crashed() {
			if n < 10 {
				t.Fatalf("only %d changes seen", n)
			}
			break
		}
		tree = NewTree(mem.Crash(), "/home/Maildir", Options{})
		must(t, tree.Ensure(bg, "A", "B"))
		_, err = tree.Deliver(bg, "A", Meta{}, strings.NewReader("x"))
		must(t, err)
	}
	mem := disk.NewForgetful()
	must(t, NewTree(mem, "/home/Maildir", Options{}).Ensure(bg, "A", "B"))
	if got := names(t, NewTree(mem.Crash(), "/home/Maildir", Options{})); got != "INBOX A B" {
		t.Errorf("folders were not durable: %s", got)
	}
}

// What looks like two names of one file may be one that was renamed between
// two looks: it must not be removed.
func TestFixDuplicateOfOneFile(t *testing.T) {
	tree := NewTree(disk.OS(), t.TempDir(), Options{})
	if err := tree.Ensure(t.Context(), Inbox); err != nil {
		t.Fatal(err)
	}
	d, err := tree.Deliver(t.Context(), Inbox, Meta{Flags: Seen}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	f, _ := tree.Folder(Inbox)
	l, err := f.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if _, err := l.FixDuplicate(InCur, d.File, InCur, d.File); !fail.Is(err, fail.NotFound) {
		t.Errorf("%v, want not found", err)
	}
	if _, _, err := f.StatMessage(InCur, d.File); err != nil {
		t.Errorf("the message is gone: %v", err)
	}
}
