package mailbox

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// faults are the ways in which a disk fails: full, broken, made read-only.
func faults() []disk.Fault {
	return []disk.Fault{
		{Op: disk.OpWrite, Err: syscall.ENOSPC, Short: true},
		{Op: disk.OpWrite, Err: syscall.EIO},
		{Op: disk.OpSync, Err: syscall.EIO},
		{Op: disk.OpSyncDir, Err: syscall.EIO},
		{Op: disk.OpCreate, Err: syscall.ENOSPC},
		{Op: disk.OpCreate, Err: syscall.EROFS},
		{Op: disk.OpRename, Err: syscall.EIO},
		{Op: disk.OpRename, Err: syscall.ENOSPC},
		{Op: disk.OpLink, Err: syscall.EROFS},
		{Op: disk.OpRemove, Err: syscall.EROFS},
		{Op: disk.OpTruncate, Err: syscall.EIO},
		{Op: disk.OpChtimes, Err: syscall.EROFS},
	}
}

// everywhere has each fault come at every place in turn, once, and from there on.
// try returns false when it did not come.
func everywhere(t *testing.T, try func(t *testing.T, f disk.Fault, what string) bool) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for _, f := range faults() {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v forever %v", f.Op, f.Err, forever), func(t *testing.T) {
				f.Nth, f.Forever = 1, forever
				for ; try(t, f, fmt.Sprintf("%s number %d fails with %v", f.Op, f.Nth, f.Err)); f.Nth += stride {
					if t.Failed() {
						return
					}
				}
				if f.Nth == 1 {
					t.Error("never done: the test shows nothing")
				}
			})
		}
	}
}

// A disk fails under appends, changes of flags, a replacement and removals: in a
// message file, the UID list, the keywords, the index and its checkpoint, the
// cache. Whoever was told of success keeps what was promised, who was told of a
// failure finds nothing of it, and the mailbox goes on by itself when the disk does.
func TestFaultEverywhere(t *testing.T) {
	everywhere(t, func(t *testing.T, f disk.Fault, what string) bool {
		mem := disk.NewForgetful()
		faulty := disk.NewFaulty(mem)
		h := newHouse(t, faulty, "/home", Exclusive)
		faulty.Add(f)
		p := session(h)
		hit := faulty.Hits() > 0
		faulty.Clear()
		_ = h.store.Close(bg)
		h.open() // as a client that comes back
		m, err := h.acct.Open(bg, "INBOX")
		if err != nil {
			t.Fatalf("%s: afterwards: %v", what, err)
		}
		must(t, m.Sync(bg))
		onlyWhole(t, m, p, what)
		uid := h.append("INBOX", "afterwards\n", Incoming{})
		if uid <= p.maxUID || h.read(m, uid) != "afterwards\n" {
			t.Errorf("%s: afterwards UID %d, %d was shown before", what, uid, p.maxUID)
		}
		p.appended[uid] = "afterwards\n"
		p.check(t, crashed(mem), what+", then a crash")
		_ = h.store.Close(bg) // of the machine that is no more
		return hit
	})
}

// crashed is what a crash leaves. A lock file's text is not synced, and one that
// does not say whose it is would be waited for.
func crashed(mem *disk.Forgetful) disk.FS {
	after := mem.Crash()
	for _, folder := range []string{"", "/.Other"} {
		_ = after.Remove("/home/Maildir" + folder + "/dovecot-uidlist.lock")
	}
	return after
}

// onlyWhole demands that each message that shows is whole, and was acknowledged,
// or delivered by somebody else.
func onlyWhole(t *testing.T, m *Mailbox, p promises, what string) {
	t.Helper()
	for _, x := range m.Snapshot().All() {
		f, err := m.OpenMessage(bg, x.UID)
		if err != nil {
			t.Fatalf("%s: message %d: %v", what, x.UID, err)
		}
		data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		must(t, err)
		must(t, f.Close())
		_, known := p.appended[x.UID]
		if string(data) == "replacement\n" && len(p.maybe) > 0 {
			known = true // what it replaces could not be removed: both stay, as after a crash
		}
		if !known && !strings.HasPrefix(string(data), "delivered ") || !strings.HasSuffix(string(data), "\n") {
			t.Errorf("%s: UID %d is %q, of which nobody was told", what, x.UID, data)
		}
	}
}

// transfers is what was told of messages that went from folder to folder.
type transfers struct {
	t    *testing.T
	what string
	told map[string]error // by operation
}

func (x *transfers) tell(operation string, err error) bool {
	x.told[operation] = err
	if k := fail.KindOf(err); err != nil && k != fail.Temporary && k != fail.Unavailable && k != fail.Full {
		x.t.Errorf("%s: %s: %v is of kind %v: trying again is no use then", x.what, operation, err, k)
	}
	return err == nil
}

func (x *transfers) done(operation string) bool {
	err, tried := x.told[operation]
	return tried && err == nil
}

// run copies "one", moves "two", flags and expunges "three", and subscribes.
func (x *transfers) run(h *house) {
	m, err := h.acct.Open(bg, "INBOX")
	if !x.tell("open", err) {
		return
	}
	defer m.Close()
	_, err = m.Copy(bg, SetOf(1), "Other")
	x.tell("copy", err)
	_, err = m.Store(bg, SetOf(1), change(Add, Flagged, "Later"))
	x.tell("store", err)
	_, err = m.Move(bg, SetOf(2), "Other")
	x.tell("move", err)
	x.tell("subscribe", h.acct.Subscribe(bg, "Other", true))
	_, err = m.Store(bg, SetOf(3), change(Add, Deleted))
	if x.tell("delete", err) {
		_, err = m.Expunge(bg, SetOf(3))
		x.tell("expunge", err)
	}
	x.tell("flush", m.Flush(bg))
}

// check compares both folders with what was told.
func (x *transfers) check(h *house, when string) {
	t := x.t
	t.Helper()
	in := map[string][]string{}
	for _, folder := range []string{"INBOX", "Other"} {
		m, err := h.acct.Open(bg, folder)
		if err != nil {
			t.Fatalf("%s, %s: %s: %v", x.what, when, folder, err)
		}
		must(t, m.Sync(bg))
		s := m.Snapshot()
		for _, msg := range s.All() {
			body := h.read(m, msg.UID)
			in[folder] = append(in[folder], body)
			if folder == "INBOX" && body == "one\n" && x.done("store") {
				if have := both(msg.Flags, s.KeywordNames(msg)); !have["F"] || !have["Later"] {
					t.Errorf("%s, %s: flags of %q are %v", x.what, when, body, have)
				}
			}
		}
		must(t, m.Close())
		slices.Sort(in[folder])
	}
	inbox, other := in["INBOX"], in["Other"]
	demand := func(ok bool, what string) {
		if !ok {
			t.Errorf("%s, %s: %s: INBOX %q, Other %q; %v", x.what, when, what, inbox, other, x.told)
		}
	}
	for _, list := range in {
		for _, body := range list {
			demand(slices.Contains([]string{"one\n", "two\n", "three\n", "four\n"}, body), "half a message")
		}
		demand(len(slices.Compact(slices.Clone(list))) == len(list), "something is there twice")
	}
	demand(slices.Contains(inbox, "one\n"), "what was copied is lost")
	demand(slices.Contains(other, "one\n") == x.done("copy"), "the copy")
	demand(slices.Contains(inbox, "two\n") || slices.Contains(other, "two\n"), "what was moved is lost")
	demand(!x.done("move") || !slices.Contains(inbox, "two\n") && slices.Contains(other, "two\n"), "the move")
	_, tried := x.told["expunge"]
	demand(tried || slices.Contains(inbox, "three\n"), "what nobody expunged is lost")
	demand(!x.done("expunge") || !slices.Contains(inbox, "three\n"), "the expunge")
	if x.done("subscribe") {
		list, err := h.acct.List(bg)
		must(t, err)
		demand(slices.ContainsFunc(list, func(f Folder) bool { return f.Name == "Other" && f.Subscribed }), "the subscription")
	}
}

// The same under COPY, MOVE, EXPUNGE and SUBSCRIBE. The answer is one that has
// clients try again.
func TestFaultInTransfers(t *testing.T) {
	everywhere(t, func(t *testing.T, f disk.Fault, what string) bool {
		mem := disk.NewForgetful()
		faulty := disk.NewFaulty(mem)
		h := newHouse(t, faulty, "/home", Exclusive)
		must(t, h.acct.Create(bg, "Other"))
		for _, body := range []string{"one\n", "two\n", "three\n"} {
			h.append("INBOX", body, Incoming{Keywords: []string{"Foo"}})
		}
		faulty.Add(f)
		x := &transfers{t: t, what: what, told: map[string]error{}}
		x.run(h)
		hit := faulty.Hits() > 0
		faulty.Clear()
		x.check(h, "at once")
		h.append("Other", "four\n", Incoming{})
		after := crashed(mem)
		_ = h.store.Close(bg) // of the machine that is no more
		g := &house{t: t, fs: after, base: "/home", clock: h.clock, cfg: h.cfg, tree: h.tree}
		g.open()
		x.check(g, "after a crash")
		must(t, g.store.Close(bg))
		return hit
	})
}
