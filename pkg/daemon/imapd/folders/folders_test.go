package folders

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

func names(list []mailbox.FolderConfig) string {
	var out []string
	for _, f := range list {
		out = append(out, fmt.Sprintf("%s%s/%d", f.Name, f.SpecialUse, f.Auto))
	}
	return strings.Join(out, " ")
}

func TestAll(t *testing.T) {
	for _, k := range []struct {
		list    []Folder
		special string
		want    string
	}{
		{nil, "subscribe", `Drafts\Drafts/2 Sent\Sent/2 Junk\Junk/2 Trash\Trash/2 Archive\Archive/2`},
		{nil, "no", `Drafts\Drafts/0 Sent\Sent/0 Junk\Junk/0 Trash\Trash/0 Archive\Archive/0`},
		{
			[]Folder{{Name: "Spam", SpecialUse: "Junk", Auto: "create"}, {Name: "Trash", Auto: "no"}, {Name: "Lists", Auto: "subscribe"}},
			"create",
			`Spam\Junk/1 Trash/0 Lists/2 Drafts\Drafts/1 Sent\Sent/1 Archive\Archive/1`,
		},
	} {
		if got := names(All(k.list, k.special)); got != k.want {
			t.Errorf("got  %s\nwant %s", got, k.want)
		}
	}
}

// trash is a user's Trash with n messages of old dates; form makes their names.
// All files have just been changed.
func trash(t *testing.T, n int, form string) *mailbox.Account {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Maildir")
	for _, d := range []string{"cur", "new", "tmp", ".Trash/cur", ".Trash/new", ".Trash/tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-1000 * 24 * time.Hour)
	for i := range n {
		name := filepath.Join(dir, ".Trash/cur", fmt.Sprintf(form, i)+":2,S")
		if err := os.WriteFile(name, []byte("A: b\n\nx\n"), 0o660); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	store, err := mailbox.NewStore(mailbox.Config{IndexRoot: filepath.Join(dir, "../index"), NoWatch: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.Background()) })
	a, err := store.Account(context.Background(), mailbox.AccountConfig{User: "alice", Maildir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What counts is when a message was saved: not its date, and not a change of
// its flags or a copy of all files, which have just happened here. Only where
// nothing tells when it was saved, the file does.
func TestExpire(t *testing.T) {
	day := 24 * time.Hour
	const unknown = "letter%02d.h"
	today := fmt.Sprintf("%d.M%%dP1.h", time.Now().Unix())
	month := fmt.Sprintf("%d.M%%dP1.h", time.Now().Add(-31*day).Unix())
	for _, k := range []struct {
		name  string
		file  string
		f     Folder
		later time.Duration
		gone  int
	}{
		{"an old letter that was moved here today stays", today, Folder{Name: "Trash", AutoExpunge: conf.Duration(30 * day)}, 0, 0},
		{"not yet", today, Folder{Name: "Trash", AutoExpunge: conf.Duration(30 * day)}, 29 * day, 0},
		{"after its time", today, Folder{Name: "Trash", AutoExpunge: conf.Duration(30 * day)}, 31 * day, 5},
		{"saved long ago, its flags changed today", month, Folder{Name: "Trash", AutoExpunge: conf.Duration(30 * day)}, 0, 5},
		{"nobody knows when it was saved, not yet", unknown, Folder{Name: "Trash", AutoExpunge: conf.Duration(30 * day)}, 29 * day, 0},
		{"nobody knows when it was saved, after its time", unknown, Folder{Name: "Trash", AutoExpunge: conf.Duration(30 * day)}, 31 * day, 5},
		{"too many", today, Folder{Name: "Trash", MaxMessages: 3}, 0, 2},
		{"too many, of those the old ones", today, Folder{Name: "Trash", MaxMessages: 3, AutoExpunge: conf.Duration(30 * day)}, 31 * day, 5},
		{"not too many", today, Folder{Name: "Trash", MaxMessages: 5}, 31 * day, 0},
		{"a folder that is not there", today, Folder{Name: "Spam", AutoExpunge: conf.Duration(day)}, 31 * day, 0},
	} {
		t.Run(k.name, func(t *testing.T) {
			a := trash(t, 5, k.file)
			n, err := k.f.Expire(context.Background(), a, time.Now().Add(k.later))
			if err != nil || n != k.gone {
				t.Fatalf("removed %d %v, want %d", n, err, k.gone)
			}
			st, err := a.Status(context.Background(), "Trash", false)
			if err != nil || st.Messages != 5-k.gone {
				t.Errorf("left %d %v", st.Messages, err)
			}
		})
	}
}
