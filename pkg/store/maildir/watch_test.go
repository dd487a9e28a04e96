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

func TestWatch(t *testing.T) {
	f := inbox(t, disk.OS(), filepath.Join(t.TempDir(), "Maildir"))
	w, err := NewWatcher(disk.OS())
	if err != nil {
		t.Skip(err) // a machine without inotify polls
	}
	ctx, cancel := context.WithCancel(bg)
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	woken := make(chan struct{}, 100)
	x, err := w.Watch(f, func() { woken <- struct{}{} })
	if fail.Is(err, fail.Unavailable) {
		t.Skip(err)
	}
	must(t, err)
	wait := func(what string) {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s was not noticed", what)
		}
	}

	d, err := f.tree.Deliver(bg, Inbox, Meta{}, strings.NewReader("x"))
	must(t, err)
	wait("a delivery")
	if d := x.Dirty(); !d.New || d.Cur {
		t.Errorf("after a delivery: %+v", d)
	}
	must(t, os.Rename(filepath.Join(f.dir, "new", d.File), filepath.Join(f.dir, "cur", d.File+":2,")))
	wait("a foreign rename")
	wait("the other half of it")
	if d := x.Dirty(); !d.New || !d.Cur || d.Unsure || !slices.Equal(d.Files, []Named{{InNew, d.Files[0].File}, {InCur, d.Files[0].File + ":2,"}}) {
		t.Errorf("after a foreign rename: %+v", d)
	}

	// Ours is announced. A foreign change after it shows that the events of
	// the announced one have passed without a sign.
	x.Expect(InCur, d.File+":2,", InCur, d.File+":2,S")
	_, err = f.SetInfo(InCur, d.File+":2,", Info{Flags: Seen})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(f.dir, "new", "1.foreign"), nil, 0o600))
	wait("a foreign file")
	if d := x.Dirty(); !d.New || d.Cur || d.Unsure || len(woken) != 0 {
		t.Errorf("our own rename was taken for foreign: %+v", d)
	}

	// One that failed is taken back.
	x.Expect(InCur, "missing", InCur, "missing2")
	x.Unexpect(InCur, "missing", InCur, "missing2")
	if d := x.Dirty(); len(x.expect) != 0 || !d.Unsure {
		t.Errorf("still expecting %v, %+v", x.expect, d)
	}

	w.doubtAll() // what an overflow of the queue does
	wait("an overflow")
	if d := x.Dirty(); !d.New || !d.Cur || !d.Unsure {
		t.Error("an overflow must make everything doubtful")
	}
	x.Close()
	if len(w.dirs) != 0 {
		t.Error("directories are still watched")
	}
}

func TestWatchRefusesNetworkFileSystems(t *testing.T) {
	mem := disk.NewForgetful()
	mem.SetSpace(disk.Space{FSType: "nfs", Network: true})
	f := inbox(t, mem, "/m")
	w, err := NewWatcher(mem)
	if err != nil {
		t.Skip(err)
	}
	defer w.in.Close()
	_, err = w.Watch(f, func() {})
	wantKind(t, "nfs", err, fail.Unavailable)
}

// The rule of one second: a young mtime proves nothing.
func TestDirStamp(t *testing.T) {
	at := time.Unix(1000, 0)
	young := DirStamp{Mtime: at.Add(-500 * time.Millisecond), At: at}
	old := DirStamp{Mtime: at.Add(-1500 * time.Millisecond), At: at}
	if young.Trusted() || !old.Trusted() || (DirStamp{}).Trusted() {
		t.Error("trust is wrong")
	}
	if (DirStamp{Mtime: young.Mtime, At: at.Add(time.Hour)}).Unchanged(young) {
		t.Error("unchanged since a look that was too early")
	}
	if !(DirStamp{Mtime: old.Mtime, At: at.Add(time.Hour)}).Unchanged(old) {
		t.Error("nothing changed")
	}
}

func TestFixDuplicate(t *testing.T) {
	f := inbox(t, disk.OS(), filepath.Join(t.TempDir(), "Maildir"))
	cur := func(n string) string { return filepath.Join(f.dir, "cur", n) }
	must(t, os.WriteFile(cur("1.x,S=1,W=1:2,"), []byte("a"), 0o600))
	must(t, os.WriteFile(cur("1.x,S=1,W=1:2,S"), []byte("b"), 0o600))
	must(t, os.Link(cur("1.x,S=1,W=1:2,"), cur("1.x,S=1,W=1:2,F")))
	l, err := f.Lock(bg)
	must(t, err)
	if name, err := l.FixDuplicate(InCur, "1.x,S=1,W=1:2,", InCur, "1.x,S=1,W=1:2,F"); err != nil || name != "" {
		t.Errorf("one file under two names: %q %v", name, err)
	}
	name, err := l.FixDuplicate(InCur, "1.x,S=1,W=1:2,", InCur, "1.x,S=1,W=1:2,S")
	must(t, err)
	if base, info := Split(name); base == "1.x,S=1,W=1" || !strings.HasSuffix(base, ",S=1,W=1") || info.Flags != Seen {
		t.Errorf("renamed to %s", name)
	}
	if data, err := os.ReadFile(cur(name)); err != nil || string(data) != "b" {
		t.Errorf("%q %v", data, err)
	}
	must(t, l.Unlock())
}
