package mailbox

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/store/mailbox/feed"
)

// heard collects events.
type heard struct {
	mu   sync.Mutex
	list []feed.Event
	more chan struct{}
}

func (h *house) follow(t testing.TB) *heard {
	e := &heard{more: make(chan struct{}, 1)}
	t.Cleanup(h.acct.Follow(bg, feed.Follower{Wants: func(string) bool { return true }, Tell: e.tell}))
	return e
}

func (e *heard) tell(ev feed.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// take returns what was told since it last did.
func (e *heard) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := ""
	for _, ev := range e.list {
		out += word(ev)
	}
	e.list = nil
	return out
}

func word(ev feed.Event) string {
	out := ""
	for i, name := range []string{"arrived", "left", "marked", "created", "deleted", "renamed", "subscribed", "unsubscribed"} {
		if ev.What&(1<<i) != 0 {
			out += " " + name
		}
	}
	if out += " " + ev.Folder; ev.Old != "" {
		out += " from " + ev.Old
	}
	if ev.By != nil {
		out += fmt.Sprint(" by ", ev.By)
	}
	return out + ";"
}

// wait waits for an event of that kind, and forgets all before it.
func (e *heard) wait(t testing.TB, what feed.What, folder string) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		e.mu.Lock()
		for i, ev := range e.list {
			if ev.What&what != 0 && ev.Folder == folder {
				e.list = e.list[i+1:]
				e.mu.Unlock()
				return
			}
		}
		e.mu.Unlock()
		select {
		case <-e.more:
		case <-limit:
			t.Fatalf("no %q, only %q", word(feed.Event{What: what, Folder: folder}), e.take())
		}
	}
}

func TestFeedTellsWhatChangesAndWhoDidIt(t *testing.T) {
	h := inMemory(t, Exclusive)
	must(t, h.acct.Create(bg, "Old")) // nobody follows
	e := h.follow(t)
	ctx := feed.As(bg, "me")
	m := h.box("INBOX")
	steps := []struct {
		what string
		do   func() error
		want string
	}{
		{"append", func() error { h.append("INBOX", "one", Incoming{}); return nil }, " arrived INBOX;"},
		{"flags", func() error { _, err := m.Store(ctx, SetOf(1), change(Add, Flagged)); return err }, " marked INBOX by me;"},
		{"the same flags", func() error { _, err := m.Store(ctx, SetOf(1), change(Add, Flagged)); return err }, ""},
		{"recent", func() error { _, err := m.ClaimRecent(ctx); return err }, ""},
		{"copy", func() error { _, err := m.Copy(ctx, SetOf(1), "Old"); return err }, " arrived Old by me;"},
		{"of others", func() error { h.deliver("INBOX", "two", 0); return m.Sync(bg) }, " arrived INBOX;"},
		{"of others, found by me", func() error {
			h.deliver("INBOX", "three", 0)
			_, err := m.Store(ctx, SetOf(1), change(Remove, Flagged))
			if err == nil {
				err = m.Sync(ctx)
			}
			return err
		}, " marked INBOX by me; arrived INBOX;"},
		{"expunge", func() error { _, err := m.Remove(ctx, SetOf(1)); return err }, " left INBOX by me;"},
		{"create", func() error { return h.acct.Create(ctx, "New") }, " created New by me;"},
		{"rename", func() error { return h.acct.Rename(ctx, "New", "Newer") }, " renamed Newer from New by me;"},
		{"rename INBOX", func() error { return h.acct.Rename(bg, "INBOX", "Was") }, " renamed Was from INBOX; arrived Was; left INBOX;"},
		{"subscribe", func() error { return h.acct.Subscribe(bg, "Newer", true) }, " subscribed Newer;"},
		{"unsubscribe", func() error { return h.acct.Subscribe(bg, "Newer", false) }, " unsubscribed Newer;"},
		{"delete", func() error { return h.acct.Delete(ctx, "Newer") }, " deleted Newer by me;"},
		{"by another program", func() error {
			must(t, h.tree.Create(bg, "Theirs"))
			return h.acct.Create(bg, "Mine")
		}, " created Mine; created Theirs;"},
	}
	for _, s := range steps {
		must(t, s.do())
		if got := e.take(); got != s.want {
			t.Errorf("%s: %q, want %q", s.what, got, s.want)
		}
	}
}

// Nobody has the folders open to which deliverd and other programs deliver.
func TestFeedOfFoldersThatAreNotOpen(t *testing.T) {
	h := live(t, Config{Poll: 5 * time.Millisecond, NoWatch: true})
	for _, name := range []string{"A", "B"} {
		must(t, h.acct.Create(bg, name))
	}
	e := h.follow(t)
	h.deliver("A", "one", 0)
	h.store.Hint("joe", Hint{Folder: "A"})
	e.wait(t, feed.Arrived, "A")
	h.deliver("B", "one", 0)
	e.wait(t, feed.Arrived, "B")
	h.deliver("B", "two", 0)
	e.wait(t, feed.Arrived, "B")
	must(t, h.tree.Create(bg, "C"))
	e.wait(t, feed.Created, "C")
	must(t, h.tree.Subscribe(bg, true, "C"))
	e.wait(t, feed.Subscribed, "C")
	must(t, h.tree.Delete(bg, "C"))
	e.wait(t, feed.Deleted, "C")
}

// A delivery may make the folder into which it goes.
func TestFeedOfAHintForANewFolder(t *testing.T) {
	h := live(t, Config{Poll: time.Hour})
	e := h.follow(t)
	must(t, h.tree.Create(bg, "New"))
	h.deliver("New", "one", 0)
	h.store.Hint("joe", Hint{Folder: "New"})
	e.wait(t, feed.Created, "New")
	e.wait(t, feed.Arrived, "New")
}

// Messages that somebody else has expunged meanwhile are not copied; that the
// folder is there is not in doubt.
func TestCopyOfWhatIsGone(t *testing.T) {
	h := inMemory(t, Exclusive)
	must(t, h.acct.Create(bg, "Other"))
	m := h.box("INBOX")
	for _, run := range []func() (Copied, error){
		func() (Copied, error) { return m.Copy(bg, SetOf(7), "Other") },
		func() (Copied, error) { return m.Move(bg, SetOf(7), "Other") },
	} {
		if c, err := run(); err != nil || len(c.Source) > 0 {
			t.Error(c, err)
		}
	}
}
