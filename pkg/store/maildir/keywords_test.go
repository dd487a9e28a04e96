package maildir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestKeywords(t *testing.T) {
	f := inbox(t, disk.OS(), filepath.Join(t.TempDir(), "Maildir"))
	file := filepath.Join(f.dir, "dovecot-keywords")
	must(t, os.WriteFile(file, []byte("0 $Forwarded\n2 $Junk\nrubbish\n26 TooMany\n3 a b\n"), 0o600))
	k, err := f.Keywords()
	must(t, err)
	if k.Name(0) != "$Forwarded" || k.Name(1) != "unknown-1" || k.Name(2) != "$Junk" || k.Names[3] != "" {
		t.Errorf("%q", k.Names)
	}
	l, err := f.Lock(bg)
	must(t, err)
	letters, left, err := l.AllotKeywords([]string{"$JUNK", "New", "unknown-5"})
	if err != nil || letters != 1<<2|1<<1|1<<5 || len(left) != 0 {
		t.Errorf("%b %v %v", letters, left, err)
	}
	data, err := os.ReadFile(file)
	must(t, err)
	if string(data) != "0 $Forwarded\n1 New\n2 $Junk\n5 unknown-5\n" {
		t.Errorf("file %q", data)
	}
	_, _, err = l.AllotKeywords([]string{"a b"})
	wantKind(t, "no atom", err, fail.Invalid)

	var many []string
	for i := range 40 {
		many = append(many, "k"+strings.Repeat("x", i))
	}
	letters, left, err = l.AllotKeywords(many)
	if err != nil || len(left) != 40-22 || letters == 0 {
		t.Errorf("%d left, %v", len(left), err)
	}
	must(t, l.Unlock())
}

// keywordRival is a file system on which another program writes the keywords
// just before we lock them.
type keywordRival struct {
	disk.FS
	write func()
}

func (r *keywordRival) Link(oldName, newName string) error {
	if act := r.write; act != nil && strings.HasSuffix(newName, "dovecot-keywords.lock") {
		r.write = nil
		act()
	}
	return r.FS.Link(oldName, newName)
}

func (r *keywordRival) Chtimes(name string, mtime time.Time) error {
	return disk.Chtimes(r.FS, name, mtime)
}

// A name that another program gave a letter between our look and our lock stays,
// and ours gets another letter.
func TestKeywordsBesideAnother(t *testing.T) {
	rival := &keywordRival{FS: disk.OS()}
	f := inbox(t, rival, filepath.Join(t.TempDir(), "Maildir"))
	file := filepath.Join(f.dir, "dovecot-keywords")
	l, err := f.Lock(bg)
	must(t, err)
	rival.write = func() { must(t, os.WriteFile(file, []byte("0 Theirs\n"), 0o600)) }
	letters, left, err := l.AllotKeywords([]string{"Ours"})
	if err != nil || letters != 1<<1 || len(left) != 0 {
		t.Errorf("%b %v %v", letters, left, err)
	}
	data, err := os.ReadFile(file)
	must(t, err)
	if string(data) != "0 Theirs\n1 Ours\n" {
		t.Errorf("file %q", data)
	}
	must(t, l.Unlock())
}

// Dovecot reads keywords and subscriptions again only when their mtime is in
// another second than the one it knows.
func TestListsChangeInAnotherSecond(t *testing.T) {
	tree := onDisk(t)
	f, err := tree.Folder("INBOX")
	must(t, err)
	l, err := f.Lock(bg)
	must(t, err)
	for name, change := range map[string]func(n string) error{
		keywordsName: func(n string) error {
			_, _, err := l.AllotKeywords([]string{n})
			return err
		},
		"subscriptions": func(n string) error { return tree.Subscribe(bg, true, n) },
	} {
		before := int64(0)
		for _, n := range []string{"One", "Two", "Three", "Four"} {
			must(t, change(n))
			info, err := os.Stat(filepath.Join(tree.root, name))
			must(t, err)
			if now := info.ModTime().Unix(); now <= before {
				t.Errorf("%s: second %d after %d", name, now, before)
			} else {
				before = now
			}
		}
	}
	must(t, l.Unlock())
}

// A name that another program has lost comes back, where its letter has not got
// another one and it has no other letter itself.
func TestRestoreKeywords(t *testing.T) {
	for _, c := range []struct{ name, before, file, want string }{
		{"not there", "0 A\n2 Ours\n", "0 A\n", "0 A\n2 Ours\n"},
		{"no file", "0 A\n", "", "0 A\n"},
		{"called unknown", "0 A\n1 Ours\n", "0 A\n1 unknown-1\n", "0 A\n1 Ours\n"},
		{"called unknown, again", "0 unknown-1\n1 Ours\n", "0 unknown-1\n1 unknown-1?\n", "0 unknown-1\n1 Ours\n"},
		{"another letter's unknown", "1 Ours\n", "1 unknown-11\n", "1 unknown-11\n"},
		{"another name", "0 A\n1 Ours\n", "0 A\n1 Theirs\n", "0 A\n1 Theirs\n"},
		{"another letter", "0 A\n1 Ours\n", "0 A\n4 ours\n", "0 A\n4 ours\n"},
		{"named since", "1 unknown-1\n", "1 Theirs\n", "1 Theirs\n"},
		{"never named", "1 unknown-1\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := inbox(t, disk.OS(), filepath.Join(t.TempDir(), "Maildir"))
			file := filepath.Join(f.dir, "dovecot-keywords")
			if c.file != "" {
				must(t, os.WriteFile(file, []byte(c.file), 0o600))
			}
			l, err := f.Lock(bg)
			must(t, err)
			k, err := f.Keywords()
			must(t, err)
			before := ParseKeywords(c.before)
			if lost := k.Lost(&before); lost != (c.want != c.file) {
				t.Errorf("lost: %v", lost)
			}
			must(t, l.RestoreKeywords(&before))
			data, err := os.ReadFile(file)
			if string(data) != c.want || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("file %q, %v", data, err)
			}
			must(t, l.Unlock())
		})
	}
}

func TestSubscriptions(t *testing.T) {
	tree := onDisk(t)
	file := filepath.Join(tree.root, "subscriptions")
	read := func() string {
		n, err := tree.Subscriptions(bg)
		must(t, err)
		return strings.Join(n, " ")
	}
	raw := func() string {
		data, err := os.ReadFile(file)
		must(t, err)
		return string(data)
	}
	if got := read(); got != "" {
		t.Errorf("nothing is subscribed, got %s", got)
	}
	must(t, tree.Subscribe(bg, true, "Foo.Sub"))
	must(t, tree.Subscribe(bg, true, "Töst"))
	must(t, tree.Subscribe(bg, true, "inbox"))
	must(t, tree.Subscribe(bg, true, "Töst"))
	if got := raw(); got != "V\t2\n\nFoo\tSub\nT&APY-st\nINBOX\n" {
		t.Errorf("file %q", got)
	}
	must(t, tree.Subscribe(bg, false, "Foo.Sub"))
	must(t, tree.Subscribe(bg, false, "Never"))
	if got := read(); got != "Töst INBOX" {
		t.Errorf("got %s", got)
	}
	wantKind(t, "bad name", tree.Subscribe(bg, true, "a/b"), fail.Invalid)

	// Version 1, with a line that is no folder of ours: it is kept.
	must(t, os.WriteFile(file, []byte("A.B\nT&APY-st\nbad&name\n"), 0o600))
	if got := read(); got != "A.B Töst" {
		t.Errorf("version 1: %s", got)
	}
	must(t, tree.Subscribe(bg, true, "C"))
	if got := raw(); got != "V\t2\n\nA\tB\nT&APY-st\nbad&name\nC\n" {
		t.Errorf("converted: %q", got)
	}
}

func FuzzText(f *testing.F) {
	f.Add("0 a\n25 b\n")
	f.Add("V\t2\n\nA\tB\n")
	f.Fuzz(func(t *testing.T, text string) {
		k := ParseKeywords(text)
		for _, n := range k.Names {
			if n != "" && !ValidKeyword(n) {
				t.Fatalf("keyword %q", n)
			}
		}
		tree := NewTree(disk.OS(), "/m", Options{})
		for _, v2 := range []bool{true, false} {
			if name, ok := tree.subscribedName(text, v2); ok {
				if again, ok := tree.subscribedName(tree.subscriptionLine(name), true); !ok || again != name {
					t.Fatalf("%q, then %q", name, again)
				}
			}
		}
		if name, ok := tree.decode(text); ok && tree.encode(name) != text {
			t.Fatalf("%q, then %q", text, name)
		}
	})
}
