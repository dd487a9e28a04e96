package mailbox

import (
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// nestedHouse is a house whose folders are directories in directories.
func nestedHouse(t *testing.T) *house {
	h := inMemory(t, Exclusive)
	must(t, h.store.Close(bg))
	h.cfg.Layout = maildir.Nested
	h.tree = maildir.NewTree(h.fs, h.cfg.Maildir, maildir.Options{Layout: maildir.Nested, Now: h.clock.now})
	h.open()
	return h
}

// Folders of the nested layout keep UIDs, flags and their own indexes through
// renames and restarts, also when their last parts are the same.
func TestNestedFolders(t *testing.T) {
	h := nestedHouse(t)
	if h.acct.Separator() != '/' {
		t.Fatalf("separator %c", h.acct.Separator())
	}
	for _, f := range []string{"A/Sent", "B/Sent", "B"} {
		must(t, h.acct.Create(bg, f))
		h.append(f, "of "+f, Incoming{})
	}
	h.append("A/Sent", "more", Incoming{Flags: Seen})
	m := h.box("A/Sent")
	_, err := m.Store(bg, SetOf(1), change(Add, Flagged, "Foo"))
	must(t, err)
	must(t, h.acct.Rename(bg, "A", "C/D"))
	h.see(m, "1:F(Foo) 2:S")
	if m.Name() != "C/D/Sent" {
		t.Errorf("it is called %s", m.Name())
	}
	h.append("C/D/Sent", "after", Incoming{})
	must(t, h.acct.Delete(bg, "B"))
	h.reopen()
	for folder, want := range map[string]string{"C/D/Sent": "1:F(Foo) 2:S 3:", "B/Sent": "1:", "INBOX": ""} {
		m := h.box(folder)
		h.see(m, want)
		if folder == "B/Sent" && h.read(m, 1) != "of B/Sent" {
			t.Errorf("B/Sent has %q", h.read(m, 1))
		}
	}
	if _, err := h.acct.Open(bg, "B"); !fail.Is(err, fail.NotFound) {
		t.Errorf("B: %v", err)
	}
	must(t, h.store.Close(bg))
}

// farAway is a network file system.
type farAway struct{ *disk.Forgetful }

func (farAway) Statfs(string) (disk.Space, error) {
	return disk.Space{FSType: "nfs", Network: true}, nil
}

func TestAccountOnANetworkFileSystem(t *testing.T) {
	s, err := NewStore(Config{FS: farAway{disk.NewForgetful()}, IndexRoot: "/index", NoWatch: true})
	must(t, err)
	cfg := AccountConfig{User: "joe", Maildir: "/joe/Maildir"}
	if _, err := s.Account(bg, cfg); !fail.Is(err, fail.Denied) {
		t.Errorf("%v, want denied", err)
	}
	cfg.Pinned = true
	if _, err := s.Account(bg, cfg); err != nil {
		t.Error(err)
	}
	must(t, s.Close(bg))
}
