package mailbox

import (
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/mailbox/roster"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// counted counts the files that are opened.
type counted struct {
	*disk.Forgetful
	opened atomic.Int64
}

func (c *counted) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	c.opened.Add(1)
	return c.Forgetful.OpenFile(name, flag, perm)
}

// countedHouse is inMemory with the files counted.
func countedHouse(t testing.TB) (*house, *counted) {
	c := &counted{Forgetful: disk.NewForgetful()}
	h := &house{t: t, fs: c, base: "/home", clock: &clock{}}
	h.clock.at.Store(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).UnixNano())
	c.SetNow(h.clock.now)
	h.cfg = AccountConfig{User: "joe@example.org", Maildir: "/home/Maildir"}
	h.tree = maildir.NewTree(c, h.cfg.Maildir, maildir.Options{Namer: maildir.NewNamer("deliverd", 2, h.clock.now), Now: h.clock.now})
	h.open()
	return h, c
}

// idle is a while in which everything closes that nobody uses.
func (h *house) idle() {
	h.clock.sleep(time.Minute)
	h.store.tidy()
	h.clock.sleep(time.Minute)
}

func (h *house) statuses(n int) string {
	h.t.Helper()
	var b strings.Builder
	for i := range n {
		st, err := h.acct.Status(bg, fmt.Sprintf("f%d", i), true)
		must(h.t, err)
		fmt.Fprintf(&b, "%d/%d/%d/%d:%d:%d:%d ", st.Messages, st.Recent, st.Unseen, st.Deleted, st.UIDNext, st.HighestModSeq, st.Size)
	}
	return b.String()
}

// LIST with STATUS of many folders opens only those that have changed, also
// after a restart.
func TestStatusDoesNotOpen(t *testing.T) {
	const n = 30
	h, c := countedHouse(t)
	for i := range n {
		name := fmt.Sprintf("f%d", i)
		must(t, h.acct.Create(bg, name))
		for range i % 3 {
			h.append(name, "Subject: x\r\n\r\n1234", Incoming{Flags: Deleted})
		}
	}
	h.idle()
	want := h.statuses(n) // what was written a moment before its look proves nothing yet
	h.idle()
	unopened := func(when string) {
		t.Helper()
		c.opened.Store(0)
		if got := h.statuses(n); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", when, got, want)
		}
		if opened := c.opened.Load(); opened != 0 {
			t.Errorf("%s: %d files were opened", when, opened)
		}
		if open := len(h.acct.openBoxes()); open != 0 {
			t.Errorf("%s: %d folders are open", when, open)
		}
	}
	unopened("closed folders")
	h.reopen()
	unopened("after a restart")

	h.deliver("f7", "Subject: y\r\n\r\n", 0)
	before, _ := h.acct.statuses.Get("f7")
	st, err := h.acct.Status(bg, "f7", false)
	must(t, err)
	if st.Messages != int(before.Messages)+1 || len(h.acct.openBoxes()) != 1 {
		t.Errorf("%+v after a delivery to %+v", st, before)
	}
	m := h.box("f8")
	_, err = m.Store(bg, Set{{First: 1, Last: 1<<32 - 1}}, change(Add, Seen))
	must(t, err)
	must(t, m.Close())
	h.idle()
	if st, err := h.acct.Status(bg, "f8", false); err != nil || st.Unseen != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	must(t, h.acct.Rename(bg, "f9", "g"))
	if _, err := h.acct.Status(bg, "f9", false); !fail.Is(err, fail.NotFound) {
		t.Errorf("a renamed folder: %v", err)
	}
	must(t, h.acct.Delete(bg, "f10"))
	if _, err := h.acct.Status(bg, "f10", false); !fail.Is(err, fail.NotFound) {
		t.Errorf("a deleted folder: %v", err)
	}
	must(t, h.store.Close(bg))
}

// After a crash nothing is believed.
func TestStatusAfterACrash(t *testing.T) {
	h, c := countedHouse(t)
	must(t, h.acct.Create(bg, "f0"))
	h.idle()
	_ = h.statuses(1)
	h.idle()
	h.reopen() // keeps the statuses
	m := h.box("f0")
	h.append("f0", "x", Incoming{})
	m.box.cache.Settle() // what works in the background still uses the disk
	must(t, m.Close())
	c.Forgetful = c.Crash()
	h.open()
	if st, err := h.acct.Status(bg, "f0", false); err != nil || st.Messages != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	must(t, h.store.Close(bg))
}

func TestSpecialUses(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.cfg.Folders = DefaultFolders(AutoCreate)[:2] // Drafts, Sent
	h.reopen()
	see := func(when, want string) {
		t.Helper()
		folders, err := h.acct.List(bg)
		must(t, err)
		var got []string
		for _, f := range folders {
			if len(f.SpecialUses) > 0 {
				got = append(got, f.Name+strings.Join(f.SpecialUses, ""))
			}
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: %s, want %s", when, g, want)
		}
	}
	see("configured", `Drafts\Drafts Sent\Sent`)
	must(t, h.acct.CreateFor(bg, "Gesendet", []string{`\Sent`, `\Archive`}))
	see("given", `Drafts\Drafts Gesendet\Sent\Archive`)
	wantKind(t, "a folder that exists", h.acct.CreateFor(bg, "Gesendet", []string{`\Junk`}), fail.Exists)
	wantKind(t, "no use", h.acct.CreateFor(bg, "X", []string{"Junk"}), fail.Invalid)
	if _, err := h.acct.Status(bg, "X", false); !fail.Is(err, fail.NotFound) {
		t.Errorf("the folder was made: %v", err)
	}
	h.reopen()
	see("after a restart", `Drafts\Drafts Gesendet\Sent\Archive`)
	must(t, h.acct.Rename(bg, "Gesendet", "Old.Out"))
	see("renamed", `Drafts\Drafts Old.Out\Sent\Archive`)
	must(t, h.acct.Delete(bg, "Old.Out"))
	see("deleted", `Drafts\Drafts Sent\Sent`)
	h.reopen()
	see("and forgotten", `Drafts\Drafts Sent\Sent`)

	// A file that somebody has damaged keeps nobody from the mail.
	must(t, disk.WriteFile(h.fs, h.cfg.Maildir+"/"+roster.UsesName, []byte("junk"), 0o660))
	h.reopen()
	see("damaged", `Drafts\Drafts Sent\Sent`)
	must(t, h.store.Close(bg))
}
