package maildir

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// files lists everything below new, cur and tmp of INBOX.
func files(t testing.TB, fsys disk.FS, root string) []string {
	t.Helper()
	var out []string
	for _, d := range []string{"tmp", "new", "cur"} {
		entries, err := fsys.ReadDir(filepath.Join(root, d))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, d+"/"+e.Name())
		}
	}
	return out
}

func TestDeliver(t *testing.T) {
	tree := onDisk(t)
	date := time.Date(2020, 2, 3, 4, 5, 6, 700, time.UTC)
	d, err := tree.Deliver(bg, "inbox", Meta{Date: date}, strings.NewReader("Subject: x\r\n\r\nbody\n.\r\n"))
	must(t, err)
	data, err := os.ReadFile(filepath.Join(tree.root, "new", d.File))
	must(t, err)
	if string(data) != "Subject: x\n\nbody\n.\n" || d.Size != 19 || d.VSize != 23 || !strings.HasSuffix(d.File, ",S=19,W=23") || d.Base != d.File {
		t.Errorf("%+v holds %q", d, data)
	}
	info, err := os.Stat(filepath.Join(tree.root, "new", d.File))
	must(t, err)
	if !info.ModTime().Equal(date.Truncate(time.Second)) {
		t.Errorf("mtime %v", info.ModTime())
	}

	// With flags straight to cur, keywords as letters of dovecot-keywords.
	d, err = tree.Deliver(bg, Inbox, Meta{Flags: Seen | Flagged, Keywords: []string{"$Junk", "Foo"}}, strings.NewReader("x"))
	must(t, err)
	if d.Dir != "cur" || !strings.HasSuffix(d.File, ",S=1,W=1:2,FSab") {
		t.Errorf("%+v", d)
	}
	data, err = os.ReadFile(filepath.Join(tree.root, "dovecot-keywords"))
	must(t, err)
	if string(data) != "0 $Junk\n1 Foo\n" {
		t.Errorf("keywords %q", data)
	}
	if _, err := os.Stat(filepath.Join(tree.root, "dovecot-uidlist")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a delivery must not write the UID list")
	}

	_, err = tree.Deliver(bg, "Missing", Meta{}, strings.NewReader("x"))
	wantKind(t, "missing folder", err, fail.NotFound)
	_, err = tree.Deliver(bg, "../x", Meta{}, strings.NewReader("x"))
	wantKind(t, "bad name", err, fail.Invalid)
}

func TestDeliverReaderFails(t *testing.T) {
	tree := onDisk(t)
	cause := errors.New("peer is gone")
	_, err := tree.Deliver(bg, Inbox, Meta{}, io.MultiReader(strings.NewReader("half"), &failing{cause}))
	if !errors.Is(err, cause) {
		t.Fatal(err)
	}
	if got := files(t, disk.OS(), tree.root); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// Whatever fails at a delivery, the peer hears of it, nothing stays behind,
// and the next delivery works.
func TestDeliverFaults(t *testing.T) {
	body := strings.Repeat("line\r\n", 20_000)
	for _, c := range []struct {
		fault disk.Fault
		kind  fail.Kind
	}{
		{disk.Fault{Op: disk.OpCreate, Path: "/m/tmp/*", Err: syscall.ENOSPC}, fail.Full},
		{disk.Fault{Op: disk.OpCreate, Path: "/m/tmp/*", Err: syscall.EROFS}, fail.Temporary},
		{disk.Fault{Op: disk.OpCreate, Path: "/m/tmp/*", Err: syscall.EACCES}, fail.Denied},
		{disk.Fault{Op: disk.OpWrite, Nth: 1, Short: true, Err: syscall.ENOSPC}, fail.Full},
		{disk.Fault{Op: disk.OpWrite, Nth: 2, Short: true, Err: syscall.EDQUOT}, fail.Full},
		{disk.Fault{Op: disk.OpWrite, Nth: 2, Err: syscall.EIO}, fail.Temporary},
		{disk.Fault{Op: disk.OpSync, Err: syscall.EIO}, fail.Temporary},
		{disk.Fault{Op: disk.OpSync, Err: syscall.ENOSPC}, fail.Full},
		{disk.Fault{Op: disk.OpClose, Err: syscall.EIO}, fail.Temporary},
		{disk.Fault{Op: disk.OpChtimes, Err: syscall.EIO}, fail.Temporary},
		{disk.Fault{Op: disk.OpRename, Err: syscall.ENOSPC}, fail.Full},
		{disk.Fault{Op: disk.OpSyncDir, Err: syscall.EIO}, fail.Temporary},
	} {
		mem := disk.NewForgetful()
		faulty := disk.NewFaulty(mem)
		tree := NewTree(faulty, "/m", Options{})
		must(t, tree.Ensure(bg, Inbox))
		faulty.Add(c.fault)
		_, err := tree.Deliver(bg, Inbox, Meta{}, strings.NewReader(body))
		if faulty.Hits() != 1 {
			t.Errorf("%+v: the fault did not happen", c.fault)
		}
		if err == nil || fail.KindOf(err) != c.kind {
			t.Errorf("%+v: %v, want kind %v", c.fault, err, c.kind)
		}
		if got := files(t, mem, "/m"); len(got) != 0 {
			t.Errorf("%+v: left behind: %v", c.fault, got)
		}
		if _, err := tree.Deliver(bg, Inbox, Meta{}, strings.NewReader(body)); err != nil {
			t.Errorf("%+v: afterwards: %v", c.fault, err)
		}
	}
}

// Wherever the machine stops: what was acknowledged is there, whole, with its
// date; what was not is whole or absent.
func TestDeliverCrash(t *testing.T) {
	date := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	body := []byte(strings.Repeat("0123456789\n", 500))
	for n := 0; ; n++ {
		mem := disk.NewForgetful()
		tree := NewTree(mem, "/m", Options{})
		must(t, tree.Ensure(bg, Inbox))
		mem.CrashAfter(n)
		_, err := tree.Deliver(bg, Inbox, Meta{Date: date}, bytes.NewReader(body))
		acknowledged, crashed := err == nil, mem.Crashed()
		for seed := range uint64(8) {
			after := mem.Crash()
			if seed > 0 {
				after = mem.CrashRandom(seed)
			}
			found := 0
			for _, name := range files(t, after, "/m") {
				if strings.HasPrefix(name, "tmp/") {
					continue
				}
				found++
				data, err := disk.ReadFile(after, "/m/"+name, 1<<20)
				must(t, err)
				info, err := after.Stat("/m/" + name)
				must(t, err)
				if !bytes.Equal(data, body) || !info.ModTime().Equal(date) {
					t.Fatalf("crash after %d changes, seed %d: %d bytes of %d, date %v", n, seed, len(data), len(body), info.ModTime())
				}
			}
			if acknowledged && found != 1 {
				t.Fatalf("crash after %d changes: acknowledged and lost", n)
			}
		}
		if !crashed {
			return
		}
	}
}

func TestDeliverCrashPoints(t *testing.T) {
	mem := disk.NewForgetful()
	tree := NewTree(mem, "/m", Options{})
	must(t, tree.Ensure(bg, Inbox))
	_, err := tree.Deliver(bg, Inbox, Meta{}, strings.NewReader("x"))
	must(t, err)
	for _, p := range []string{"before_sync", "before_rename", "before_syncdir", "after_syncdir"} {
		if mem.Points()["maildir.deliver."+p] != 1 {
			t.Errorf("crash point maildir.deliver.%s was not passed", p)
		}
	}
}

func TestLink(t *testing.T) {
	tree := onDisk(t)
	other := NewTree(disk.OS(), filepath.Join(t.TempDir(), "Maildir"), Options{Namer: tree.opts.Namer})
	must(t, other.Ensure(bg, "A"))
	d, err := tree.Deliver(bg, Inbox, Meta{}, strings.NewReader("hello\r\n"))
	must(t, err)
	link, l, err := other.Link(bg, tree, d, "A", Meta{Flags: Seen})
	must(t, err)
	must(t, link.Settle())
	if l.Base == d.Base || l.Size != d.Size || l.VSize != d.VSize || l.Dir != "cur" {
		t.Errorf("%+v", l)
	}
	a, err := os.Stat(filepath.Join(tree.root, "new", d.File))
	must(t, err)
	b, err := os.Stat(filepath.Join(other.root, ".A", "cur", l.File))
	must(t, err)
	if !os.SameFile(a, b) {
		t.Error("not one file")
	}
	// The first recipient's client was quick to read it.
	must(t, os.Rename(filepath.Join(tree.root, "new", d.File), filepath.Join(tree.root, "cur", d.File+":2,S")))
	if link, l, err = other.Link(bg, tree, d, "A", Meta{}); err != nil {
		t.Fatal(err)
	}
	link.Abort()
	if ok, _ := disk.Exists(disk.OS(), filepath.Join(other.root, ".A", "new", l.File)); ok {
		t.Error("a link that was given up is still there")
	}
	must(t, os.Remove(filepath.Join(tree.root, "cur", d.File+":2,S")))
	_, _, err = other.Link(bg, tree, d, "A", Meta{})
	wantKind(t, "gone", err, fail.NotFound)
}

func TestLinkAcrossFileSystems(t *testing.T) {
	mem := disk.NewForgetful()
	faulty := disk.NewFaulty(mem)
	tree := NewTree(faulty, "/m", Options{})
	must(t, tree.Ensure(bg, "A"))
	d, err := tree.Deliver(bg, Inbox, Meta{}, strings.NewReader("hello\r\n"))
	must(t, err)
	faulty.Add(disk.Fault{Op: disk.OpLink, Err: syscall.EXDEV})
	link, l, err := tree.Link(bg, tree, d, "A", Meta{})
	must(t, err)
	must(t, link.Settle())
	if l.Size != d.Size || l.VSize != d.VSize {
		t.Errorf("%+v", l)
	}
}

func BenchmarkDeliver8K(b *testing.B) {
	tree := NewTree(disk.OS(), filepath.Join(b.TempDir(), "Maildir"), Options{})
	if err := tree.Ensure(bg, Inbox); err != nil {
		b.Fatal(err)
	}
	body := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 105)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.Deliver(bg, Inbox, Meta{}, strings.NewReader(body)); err != nil {
			b.Fatal(err)
		}
	}
}
