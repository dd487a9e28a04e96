package roster

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/index"
)

func folder(t testing.TB) disk.FS {
	fs := disk.NewForgetful()
	if err := disk.MkdirAll(fs, "/mail", 0o770); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestUses(t *testing.T) {
	fs := folder(t)
	u, err := LoadUses(fs, "/mail/"+UsesName)
	if err != nil || u.Folder(`\Sent`) != "" {
		t.Fatal(u, err)
	}
	for _, g := range [][2]string{{`\Sent`, "Gesendet"}, {`\Drafts`, "Entwürfe.neu"}, {`\Junk`, "Entwürfe"}, {`\Sent`, "Out"}} {
		if err := u.Give(g[0], g[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Save(fs, "/mail/"+UsesName); err != nil {
		t.Fatal(err)
	}
	got, err := LoadUses(fs, "/mail/"+UsesName)
	if err != nil || !reflect.DeepEqual(got, u) {
		t.Fatal(got, err)
	}
	if f := fmt.Sprint(u.Folder(`\Sent`), u.Of("Out"), len(u.Of("Gesendet"))); f != `Out[\Sent] 0` {
		t.Error(f)
	}
	if !u.Rename("Entwürfe", "Drafts", '.') || u.Folder(`\Drafts`) != "Drafts.neu" || u.Folder(`\Junk`) != "Drafts" {
		t.Error(u)
	}
	if u.Rename("Draft", "x", '.') {
		t.Error("another folder was renamed")
	}
	if !u.Drop("Drafts") || u.Drop("Drafts") || u.Folder(`\Junk`) != "" || u.Folder(`\Drafts`) == "" {
		t.Error(u)
	}
	for _, g := range [][2]string{{"Sent", "x"}, {`\Sent`, ""}, {`\Se nt`, "x"}, {`\Sent`, "a\nb"}, {`\Sent`, "a\tb"}} {
		if err := u.Give(g[0], g[1]); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", g, err)
		}
	}
}

func TestUsesThatAreDamaged(t *testing.T) {
	for _, text := range []string{
		"", "x", usesHeader, usesHeader + "\n\\Sent\tSent", usesHeader + "\n\\Sent\n", usesHeader + "\nSent\tSent\n",
		usesHeader + "\n\\Sent\tA\n\\Sent\tB\n", usesHeader + "\n\n",
	} {
		if u, err := parseUses(text); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
}

func example() Status {
	at := time.Unix(1764000000, 123456789)
	return Status{
		Messages: 10, Recent: 1, Unseen: 4, Deleted: 2, UIDNext: 1<<32 - 1, UIDValidity: 77, HighestModSeq: 1 << 62, Size: 1 << 40, GUID: "ab12",
		Look: index.Stamps{
			New: index.DirStamp{Mtime: at, At: at.Add(time.Minute)}, Cur: index.DirStamp{Mtime: at},
			UIDList: index.FileStamp{Dev: 1<<64 - 1, Ino: 9, Size: 100, Mtime: at},
		},
	}
}

func TestStatuses(t *testing.T) {
	fs := folder(t)
	const file = "/mail/" + StatusName
	s, err := LoadStatuses(fs, file, 4)
	if err != nil {
		t.Fatal(err)
	}
	s.Put("INBOX", example())
	s.Put("a", Status{Size: -1})
	s.Put("a.b", Status{})
	s.Put("ab", Status{})
	s.Put("odd\tname", Status{})
	s.Drop("ab")
	if err := s.Save(fs, file, 5); err != nil {
		t.Fatal(err)
	}
	got, err := LoadStatuses(fs, file, 5)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := got.Get("INBOX")
	if want := example(); !ok || !reflect.DeepEqual(st, want) {
		t.Errorf("%+v\nwant %+v", st, want)
	}
	if _, ok := got.Get("odd\tname"); ok || len(got.byName) != 3 {
		t.Errorf("%v", got.byName)
	}
	got.DropTree("a", '.')
	if len(got.byName) != 1 {
		t.Errorf("%v", got.byName)
	}
	// Somebody else has owned the account since.
	if other, err := LoadStatuses(fs, file, 6); err != nil || len(other.byName) != 0 {
		t.Errorf("%v, %v", other.byName, err)
	}
}

// What a crash leaves is either whole or not believed.
func TestStatusesThatAreTorn(t *testing.T) {
	fs := folder(t)
	const file = "/mail/" + StatusName
	s, _ := LoadStatuses(fs, file, 0)
	s.Put("INBOX", example())
	s.Put("Sent", example())
	if err := s.Save(fs, file, 1); err != nil {
		t.Fatal(err)
	}
	whole, err := disk.ReadFile(fs, file, maxStatuses)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if m, err := parseStatuses(string(whole[:n]), 1); m != nil || !fail.Is(err, fail.Corrupt) {
			t.Fatalf("the first %d bytes: %v, %v", n, m, err)
		}
	}
	f, err := fs.OpenFile(file, os.O_WRONLY|os.O_TRUNC, filePerm)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write(make([]byte, len(whole)))
	_ = f.Close()
	if s, err := LoadStatuses(fs, file, 1); !fail.Is(err, fail.Corrupt) || len(s.byName) != 0 {
		t.Errorf("%v, %v", s.byName, err)
	}
}

func FuzzUses(f *testing.F) {
	f.Add(usesHeader + "\n\\Sent\tSent\n\\Drafts\tMy.Drafts\n")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseUses(text)
		if err != nil {
			return
		}
		fs := folder(t)
		if err := u.Save(fs, "/mail/x"); err != nil {
			if len(text) <= maxUses {
				t.Fatal(err)
			}
			return
		}
		if got, _ := disk.ReadFile(fs, "/mail/x", maxUses); string(got) != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func FuzzStatuses(f *testing.F) {
	st := example()
	f.Add(statusHeader + "\nepoch 1\n" + st.line("INBOX") + statusEnd + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseStatuses(text, 1)
		if err != nil || m == nil {
			return
		}
		for name, st := range m {
			again, got, ok := parseStatus(strings.TrimSuffix(st.line(name), "\n"))
			if !ok || again != name || !reflect.DeepEqual(got, st) {
				t.Fatalf("%+v became %+v", st, got)
			}
		}
	})
}
