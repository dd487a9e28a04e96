package inotify

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

type folder struct {
	*testing.T
	dir    string
	w      *Watcher
	events chan Event
	lost   chan struct{}
}

func watch(t *testing.T) *folder {
	w, err := New()
	if err != nil {
		t.Skip(err) // a machine without inotify
	}
	f := &folder{T: t, dir: t.TempDir(), w: w, events: make(chan Event, 10_000), lost: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		w.Run(func(e Event) { f.events <- e }, func() { f.lost <- struct{}{} })
		close(done)
	}()
	t.Cleanup(func() { w.Close(); <-done })
	must(t, w.Add(f.dir))
	return f
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// hears waits for events, as "dir +name" and "dir -name" with the last part of dir.
func (f *folder) hears(want ...string) {
	f.Helper()
	for _, w := range want {
		select {
		case e := <-f.events:
			got := fmt.Sprintf("%s %s%s", filepath.Base(e.Dir), map[bool]string{true: "-", false: "+"}[e.Gone], e.Name)
			if got != w {
				f.Errorf("heard %q, want %q", got, w)
			}
		case <-time.After(30 * time.Second):
			f.Fatalf("%q was not heard", w)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEvents(t *testing.T) {
	f := watch(t)
	d := filepath.Base(f.dir)
	must(t, os.WriteFile(f.path("a"), []byte("x"), 0o600))
	f.hears(d + " +a")
	must(t, os.Chtimes(f.path("a"), time.Now(), time.Now())) // nobody asks
	must(t, os.Rename(f.path("a"), f.path("b")))
	f.hears(d+" -a", d+" +b")
	must(t, os.Link(f.path("b"), f.path("c")))
	must(t, os.Remove(f.path("b")))
	f.hears(d+" +c", d+" -b")
	must(t, os.Remove(f.path("c")))
	must(t, os.Remove(f.dir))
	f.hears(d+" -c", d+" -")
}

// What has happened before Drain has been told of when it returns, by Run or by
// itself.
func TestDrain(t *testing.T) {
	f := watch(t)
	tell := func(e Event) { f.events <- e }
	for i := range 300 {
		must(t, os.WriteFile(f.path(fmt.Sprint(i)), nil, 0o600))
		must(t, f.w.Drain(tell, func() { t.Error("events were lost") }))
		if len(f.events) != i+1 {
			t.Fatalf("told of %d files, there are %d", len(f.events), i+1)
		}
	}
	f.w.Close()
	if err := f.w.Drain(tell, func() {}); err == nil {
		t.Error("a closed watcher was drained")
	}
}

// A folder that is deleted and made again is watched again; one that got another
// name is not told of under the old one.
func TestFolderIsAnotherOne(t *testing.T) {
	f := watch(t)
	sub := f.path("sub")
	must(t, os.Mkdir(sub, 0o700))
	must(t, f.w.Add(sub))
	must(t, os.Rename(sub, f.path("other")))
	d := filepath.Base(f.dir)
	f.hears(d+" +sub", d+" -sub", d+" +other", "sub -")
	must(t, os.WriteFile(f.path("other/x"), nil, 0o600))
	must(t, os.Mkdir(sub, 0o700))
	must(t, f.w.Add(sub))
	must(t, os.WriteFile(f.path("sub/y"), nil, 0o600))
	f.hears(d+" +sub", "sub +y")
}

// Two users may have one folder, under two names.
func TestOneFolderUnderTwoNames(t *testing.T) {
	f := watch(t)
	alias := filepath.Join(t.TempDir(), "alias")
	must(t, os.Symlink(f.dir, alias))
	must(t, f.w.Add(alias))
	d := filepath.Base(f.dir)
	must(t, os.WriteFile(f.path("a"), nil, 0o600))
	f.hears(d+" +a", "alias +a")
	f.w.Remove(f.dir)
	must(t, os.WriteFile(f.path("b"), nil, 0o600))
	f.hears("alias +b")
	f.w.Remove(alias)
	must(t, f.w.Add(f.dir))
	must(t, os.WriteFile(f.path("c"), nil, 0o600))
	f.hears(d + " +c")
}

func TestMany(t *testing.T) {
	f := watch(t)
	const n = 300
	done := f.w.Many()
	for i := range n {
		must(t, os.WriteFile(f.path(fmt.Sprint(i)), nil, 0o600))
	}
	done()
	for i := range n {
		f.hears(fmt.Sprintf("%s +%d", filepath.Base(f.dir), i))
	}
}

func TestNoFolder(t *testing.T) {
	f := watch(t)
	if err := f.w.Add(f.path("none")); !os.IsNotExist(err) {
		t.Error(err)
	}
	f.w.Remove(f.path("none"))
	f.w.Close()
	if err := f.w.Add(f.dir + "/."); err == nil {
		t.Error("added after the end")
	}
}
