package maildir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestParseUIDList(t *testing.T) {
	const guid = "68f162117f47046bb94e000083ecc375"
	for _, c := range []struct {
		name, text     string
		validity, next uint32
		records        string
		stale, damage  bool
	}{
		{
			"as Dovecot writes it",
			"3 V1795442559 N3 G" + guid + "\n1 :1795442559.M291697P20153.vm,S=3237,W=3547\n2 W1234 P0001abc :x\n",
			1795442559, 3, "1:1795442559.M291697P20153.vm,S=3237,W=3547 2[W1234 P0001abc]:x", false, false,
		},
		{"the next UID may lag behind", "3 V1 N3 G" + guid + "\n5 :a\n", 1, 6, "5:a", false, false},
		{"the next UID may be ahead", "3 V1 N30 G" + guid + "\n5 :a\n", 1, 30, "5:a", false, false},
		{"keys in any order", "3 N3 G" + guid + " V7 P%08Xu\n", 7, 3, "", false, false},
		{"no GUID yet", "3 V1 N1\n", 1, 1, "", true, false},
		{"version 1, Courier", "1 1795442559 3\n1 a\n2 b:2,S\n", 1795442559, 3, "1:a 2:b", true, false},
		{"an append that did not finish", "3 V1 N1 G" + guid + "\n1 :a\n2 :b", 1, 2, "1:a", true, false},
		{"UIDs that do not grow", "3 V1 N1 G" + guid + "\n2 :a\n2 :b\n1 :c\n3 :d\n", 1, 4, "2:a 3:d", true, true},
		{"a path", "3 V1 N1 G" + guid + "\n1 :../a\n2 :.a\n3 :b\n", 1, 4, "3:b", true, true},
		{"rubbish", "3 V1 N1 G" + guid + "\nx\n\n-1 :a\n4294967296 :b\n0 :c\n7 d\n8 :e\n", 1, 9, "8:e", true, true},
		{"no header", "1 :a\n", 0, 1, "", true, true},
		{"empty", "", 0, 1, "", true, true},
	} {
		l := ParseUIDList("dovecot-uidlist", c.text)
		var recs []string
		for _, r := range l.Records {
			ext := ""
			if r.Ext != "" {
				ext = "[" + r.Ext + "]"
			}
			recs = append(recs, fmt.Sprintf("%d%s:%s", r.UID, ext, r.Base))
		}
		if got := strings.Join(recs, " "); l.Validity != c.validity || l.Next != c.next || got != c.records || l.Stale != c.stale || (l.Damage != nil) != c.damage {
			t.Errorf("%s: V%d N%d %s stale=%v damage=%v", c.name, l.Validity, l.Next, got, l.Stale, l.Damage)
		}
		if c.damage && (!fail.Is(l.Damage, fail.Corrupt) || !strings.Contains(l.Damage.Error(), "dovecot-uidlist:")) {
			t.Errorf("%s: %v should name file and line", c.name, l.Damage)
		}
	}
}

func inbox(t testing.TB, fsys disk.FS, root string) *Folder {
	t.Helper()
	tree := NewTree(fsys, root, Options{})
	if err := tree.Ensure(bg, Inbox); err != nil {
		t.Fatal(err)
	}
	f, err := tree.Folder(Inbox)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestUIDListLifeOnDisk(t *testing.T) {
	f := inbox(t, disk.OS(), filepath.Join(t.TempDir(), "Maildir"))
	_, err := f.UIDList()
	wantKind(t, "no list", err, fail.NotFound)

	l, err := f.Lock(bg)
	must(t, err)
	list, err := l.Create()
	must(t, err)
	must(t, l.Unlock())

	l, err = f.Lock(bg)
	must(t, err)
	stamp, err := l.AppendUIDs(list.Stamp, []UIDRecord{{UID: 1, Base: "a,S=1,W=1"}, {UID: 2, Base: "b", Ext: "W5"}}, true)
	must(t, err)
	if now, err := f.Look(); err != nil || !now.UIDList.Same(stamp) {
		t.Errorf("stamp %+v, look %+v %v", stamp, now.UIDList, err)
	}
	must(t, l.Unlock())

	data, err := os.ReadFile(filepath.Join(f.dir, "dovecot-uidlist"))
	must(t, err)
	if want := fmt.Sprintf("3 V%d N1 G%s\n1 :a,S=1,W=1\n2 W5 :b\n", list.Validity, list.GUID); string(data) != want {
		t.Errorf("file is %q, want %q", data, want)
	}
	again, err := f.UIDList()
	must(t, err)
	if again.Next != 3 || len(again.Records) != 2 || again.Stale || !again.Stamp.Same(stamp) {
		t.Errorf("%+v", again)
	}

	// Unknown keys survive a rewrite, and the mtime grows.
	again.Extra = "P%08Xu%08Xv"
	old := again.Stamp
	l, err = f.Lock(bg)
	must(t, err)
	must(t, l.Rewrite(again))
	must(t, l.Unlock())
	if !again.Stamp.Mtime.After(old.Mtime) {
		t.Errorf("mtime went from %v to %v", old.Mtime, again.Stamp.Mtime)
	}
	if list, err := f.UIDList(); err != nil || list.Extra != again.Extra || list.GUID != again.GUID {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "dovecot-uidlist.lock")); err == nil {
		t.Error("the lock stays")
	}
}

func TestMayList(t *testing.T) {
	f := inbox(t, disk.OS(), filepath.Join(t.TempDir(), "Maildir"))
	const head = "3 V5 N3 G68f162117f47046bb94e000083ecc375\n"
	long := strings.Repeat("x", 200)
	for _, c := range []struct {
		list string
		want bool
	}{
		{head, false},
		{head + "1 :other\n2 :wanted1\n", false},
		{head + "1 :other\n2 :wanted\n", true},
		{head + "1 W5 Pid :wanted\n2 :other\n", true},
		{head + strings.Repeat("1 :"+long+"\n", 1000), false},
		{head + strings.Repeat("1 :"+long+"\n", 1000) + "2 :wanted\n", true},
		{head + "1 :other", true},                               // unfinished
		{head + "1 :" + strings.Repeat(long, 400) + "\n", true}, // no such line
		{"1 5 3\n1 other\n", true},                              // of version 1
		{"", true},
	} {
		must(t, os.WriteFile(f.path(uidlistName), []byte(c.list), 0o600))
		if got := f.MayList([]string{"some", "wanted"}); got != c.want {
			t.Errorf("%.60q may list: %v", c.list, got)
		}
	}
	must(t, os.Remove(f.path(uidlistName)))
	if !f.MayList([]string{"wanted"}) {
		t.Error("no list may list nothing")
	}
}

func TestLockExcludes(t *testing.T) {
	f := inbox(t, disk.OS(), filepath.Join(t.TempDir(), "Maildir"))
	l, err := f.Lock(bg)
	must(t, err)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, err = f.Lock(ctx)
	wantKind(t, "second lock", err, fail.Unavailable)
	must(t, l.Unlock())
	l, err = f.Lock(bg)
	must(t, err)
	must(t, os.Remove(filepath.Join(f.dir, "dovecot-uidlist.lock"))) // somebody broke it
	if err := l.Unlock(); err == nil {
		t.Error("a lost lock must be reported")
	}
}

// An append that fails leaves the list as it was for readers.
func TestAppendUIDsFaults(t *testing.T) {
	for _, fault := range []disk.Fault{
		{Op: disk.OpWrite, Path: "dovecot-uidlist", Short: true, Err: syscall.ENOSPC},
		{Op: disk.OpSync, Path: "dovecot-uidlist", Err: syscall.EIO},
	} {
		faulty := disk.NewFaulty(disk.NewForgetful())
		f := inbox(t, faulty, "/m")
		l, err := f.Lock(bg)
		must(t, err)
		list, err := l.Create()
		must(t, err)
		l, err = f.Lock(bg)
		must(t, err)
		faulty.Add(fault)
		if _, err := l.AppendUIDs(list.Stamp, []UIDRecord{{UID: 1, Base: "a"}}, true); err == nil || faulty.Hits() != 1 {
			t.Fatalf("%+v: %v", fault, err)
		}
		must(t, l.Unlock())
		if again, err := f.UIDList(); err != nil || len(again.Records) != 0 || again.Damage != nil {
			t.Errorf("%+v: %+v %v", fault, again, err)
		}
	}
}

func TestAppendUIDsCrash(t *testing.T) {
	for n := 0; ; n++ {
		mem := disk.NewForgetful()
		f := inbox(t, mem, "/m")
		l, err := f.Lock(bg)
		must(t, err)
		list, err := l.Create()
		must(t, err)
		l, err = f.Lock(bg)
		must(t, err)
		mem.CrashAfter(n)
		_, aerr := l.AppendUIDs(list.Stamp, []UIDRecord{{UID: 1, Base: strings.Repeat("a", 200)}, {UID: 2, Base: strings.Repeat("b", 200)}, {UID: 3, Base: strings.Repeat("c", 200)}}, true)
		crashed := mem.Crashed()
		for seed := range uint64(6) {
			after := inbox(t, mem.CrashRandom(seed), "/m")
			got, err := after.UIDList()
			must(t, err)
			if got.Damage != nil || got.Validity != list.Validity || aerr == nil && len(got.Records) != 3 {
				t.Fatalf("crash after %d, seed %d: %+v", n, seed, got)
			}
		}
		if !crashed {
			return
		}
	}
}

func TestRewriteCrash(t *testing.T) {
	for n := 0; ; n++ {
		mem := disk.NewForgetful()
		f := inbox(t, mem, "/m")
		l, err := f.Lock(bg)
		must(t, err)
		list, err := l.Create()
		must(t, err)
		list.Records = []UIDRecord{{UID: 7, Base: "a"}}
		l, err = f.Lock(bg)
		must(t, err)
		mem.CrashAfter(n)
		rerr := l.Rewrite(list)
		crashed := mem.Crashed()
		got, err := inbox(t, mem.Crash(), "/m").UIDList()
		must(t, err)
		if got.Damage != nil || got.GUID != list.GUID || rerr == nil && len(got.Records) != 1 {
			t.Fatalf("crash after %d: %+v", n, got)
		}
		if !crashed {
			return
		}
	}
}

func FuzzUIDList(f *testing.F) {
	f.Add("3 V1795442559 N3 G68f162117f47046bb94e000083ecc375 Q\n1 :a\n7 W1234 P0001abc :b\n")
	f.Add("1 5 6\n1 a\n")
	f.Fuzz(func(t *testing.T, text string) {
		l := ParseUIDList("x", text)
		last := uint32(0)
		out := []byte(l.header())
		for _, r := range l.Records {
			if r.UID <= last || !ValidBase(r.Base) || r.UID >= l.Next {
				t.Fatalf("record %+v after %d, next %d", r, last, l.Next)
			}
			last = r.UID
			out = appendRecord(out, r)
		}
		if l.Validity == 0 {
			return
		}
		again := ParseUIDList("x", string(out))
		if again.Damage != nil || again.Next != l.Next || len(again.Records) != len(l.Records) || again.Validity != l.Validity {
			t.Fatalf("%q did not survive: %q: %v", text, out, again.Damage)
		}
	})
}

func TestUIDValidity(t *testing.T) {
	now := time.Unix(0x6b044780, 0)
	tree := NewTree(disk.OS(), filepath.Join(t.TempDir(), "Maildir"), Options{Now: func() time.Time { return now }})
	must(t, tree.Ensure(bg, Inbox))
	for i := range uint32(3) {
		v, err := tree.NextUIDValidity()
		must(t, err)
		if v != 0x6b044781+i {
			t.Fatalf("got %x", v)
		}
	}
	data, err := os.ReadFile(filepath.Join(tree.root, "dovecot-uidvalidity"))
	must(t, err)
	if string(data) != "6b044783" {
		t.Errorf("file %q", data)
	}
	// Dovecot took one meanwhile, and the file was not written.
	must(t, os.Rename(filepath.Join(tree.root, "dovecot-uidvalidity.6b044783"), filepath.Join(tree.root, "dovecot-uidvalidity.6b044790")))
	if v, err := tree.NextUIDValidity(); err != nil || v != 0x6b044791 {
		t.Errorf("%x %v", v, err)
	}
}

func TestUIDValidityNeverRepeatsAfterACrash(t *testing.T) {
	for n := 0; ; n++ {
		mem := disk.NewForgetful()
		tree := NewTree(mem, "/m", Options{})
		must(t, tree.Ensure(bg, Inbox))
		first, err := tree.NextUIDValidity()
		must(t, err)
		mem.CrashAfter(n)
		second, serr := tree.NextUIDValidity()
		crashed := mem.Crashed()
		third, err := NewTree(mem.Crash(), "/m", Options{}).NextUIDValidity()
		must(t, err)
		if third <= first || serr == nil && third <= second {
			t.Fatalf("crash after %d: %d %d (%v) %d", n, first, second, serr, third)
		}
		if !crashed {
			return
		}
	}
}
