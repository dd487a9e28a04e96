package maildir

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// What is known of a folder follows changes of our own; those of others, and
// doubt, show.
func TestKnown(t *testing.T) {
	tree := onDisk(t)
	f, err := tree.Folder(Inbox)
	must(t, err)
	file := func(parts ...string) string { return filepath.Join(append([]string{f.Dir()}, parts...)...) }
	var k Known
	list := func() Print {
		t.Helper()
		p := k.Print()
		for _, in := range []Place{InNew, InCur} {
			_, err := f.Lots(in, func(files []string) { k.Add(&p, in, files) })
			must(t, err)
		}
		return p
	}
	same := func(what string, want bool) {
		t.Helper()
		if got, err := k.Same(f); err != nil || got != want {
			t.Errorf("%s: the same %v, want %v: %v", what, got, want, err)
		}
	}
	same("nothing known", false)
	k.Keep(list(), true)
	same("an empty folder", true)
	must(t, os.WriteFile(file("new", "1.a"), nil, 0o600))
	must(t, os.WriteFile(file("cur", "2.b:2,S"), nil, 0o600))
	same("not empty any more", false)
	k.Forget()
	k.Keep(list(), false)
	same("only new/ known", false)
	k.Keep(list(), true)
	same("all known", true)

	for _, x := range []struct {
		what     string
		from     Place
		old, now string
	}{{"flags", InCur, "2.b:2,S", "2.b:2,ST"}, {"out of new/", InNew, "1.a", "1.a:2,"}, {"a new one", InCur, "", "3.c:2,"}, {"removed", InCur, "2.b:2,ST", ""}} {
		switch {
		case x.old == "":
			must(t, os.WriteFile(file("cur", x.now), nil, 0o600))
		case x.now == "":
			must(t, os.Remove(file("cur", x.old)))
		default:
			must(t, os.Rename(file(x.from.Dir(), x.old), file("cur", x.now)))
		}
		same(x.what+", not told", false)
		k.Changed(x.from, x.old, InCur, x.now)
		same(x.what, true)
	}

	old := list()
	must(t, os.Rename(file("cur", "3.c:2,"), file("cur", "3.c:2,F")))
	same("another's flag", false)
	k.Changed(InCur, "3.c:2,", InCur, "3.c:2,F")
	k.Keep(old, true)
	same("a listing from before a change is not kept", true)
	k.Forget()
	same("forgotten", false)
	k.Keep(list(), true)
	must(t, os.WriteFile(file("cur", ".hidden"), nil, 0o600))
	same("what is no message does not count", true)
}

// A census tells what is there and was not expected, and the other way round;
// new/ and cur/ are not mistaken for each other.
func TestCensus(t *testing.T) {
	f, err := onDisk(t).Folder(Inbox)
	must(t, err)
	for _, file := range []string{"new/1.a", "cur/2.b:2,S", "cur/4.d:2,", "cur/.hidden"} {
		must(t, os.WriteFile(filepath.Join(f.Dir(), file), nil, 0o600))
	}
	var k Known
	c := k.Census(4)
	for i, x := range []Named{{InNew, "1.a"}, {InCur, "2.b:2,"}, {InNew, "4.d:2,"}, {InCur, "1.a"}} {
		c.Expect(x.In, []byte(x.File), i)
	}
	p, others := k.Print(), []string{}
	for _, in := range []Place{InNew, InCur} {
		_, err := c.Others(f, in, &p, func(file string) { others = append(others, file) })
		must(t, err)
	}
	slices.Sort(others)
	if want := []string{"2.b:2,S", "4.d:2,"}; !slices.Equal(others, want) || !slices.Equal(c.Missing(), []int{1, 2, 3}) {
		t.Errorf("others %q, want %q; missing %v", others, want, c.Missing())
	}
	k.Keep(p, true)
	if same, err := k.Same(f); err != nil || !same {
		t.Errorf("its print is not that of the folder: %v", err)
	}
}

// A look at a folder that changed a moment ago proves something as soon as the
// clock of the file system has moved on.
func TestProven(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Maildir")
	tree := NewTree(disk.OS(), dir, Options{Namer: NewNamer("host", 1, nil), Now: func() time.Time { return time.Unix(0, 0) }})
	must(t, tree.Ensure(bg, Inbox))
	f, err := tree.Folder(Inbox)
	must(t, err)
	if _, ok := disk.StampClock(disk.OS(), dir); !ok {
		t.Skip("a file system whose clock is not known")
	}
	var s Stamps
	for start := time.Now(); !s.Cur.Trusted(); {
		if s, err = f.LookAtDirs(); err != nil || time.Since(start) > time.Minute {
			t.Fatal(s, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "cur", "1.a:2,"), nil, 0o600))
	now, err := f.LookAtDirs()
	must(t, err)
	if now.Cur.Unchanged(s.Cur) {
		t.Error("a change did not show")
	}
}
