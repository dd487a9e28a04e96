package mailbox

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// promises are what a session was told before the machine stopped.
type promises struct {
	validity  uint32
	appended  map[uint32]string          // UID -> body, of INBOX
	flags     map[uint32]map[string]bool // flags set for good
	gone      map[uint32]bool
	maybe     map[uint32]bool // removal was asked for; nobody was told of success
	maxUID    uint32          // highest shown
	modseq    uint64          // highest shown
	delivered []string
}

// session does what sessions and deliveries do, until the disk fails.
func session(h *house) (p promises) {
	p = promises{appended: map[uint32]string{}, flags: map[uint32]map[string]bool{}, gone: map[uint32]bool{}, maybe: map[uint32]bool{}}
	m, err := h.acct.Open(bg, "INBOX")
	if err != nil {
		return p
	}
	look := func() {
		s := m.Snapshot()
		p.validity, p.modseq = s.UIDValidity(), max(p.modseq, s.HighestModSeq())
		for _, x := range s.All() {
			p.maxUID, p.modseq = max(p.maxUID, x.UID), max(p.modseq, x.ModSeq)
		}
	}
	for i := range 3 {
		d, err := h.tree.Deliver(bg, "INBOX", maildir.Meta{}, strings.NewReader(fmt.Sprintf("delivered %d\n", i)))
		if err != nil {
			return p
		}
		p.delivered = append(p.delivered, d.Base)
		if m.Sync(bg) != nil {
			return p
		}
		look()
		body := fmt.Sprintf("appended %d\n", i)
		a, err := h.acct.Append(bg, "INBOX")
		if err != nil {
			return p
		}
		if a.Add(bg, Incoming{Flags: Flagged, Keywords: []string{"Foo"}}, strings.NewReader(body)) != nil {
			return p
		}
		_, uids, err := a.Commit(bg)
		if err != nil {
			return p
		}
		p.appended[uids[0]] = body
		p.flags[uids[0]] = map[string]bool{"F": true, "Foo": true}
		look()
		if _, err := m.Store(bg, SetOf(uids[0]), change(Add, Seen, "Bar")); err != nil {
			return p
		}
		p.flags[uids[0]]["S"], p.flags[uids[0]]["Bar"] = true, true
		look()
		if i == 0 && !replace(m, uids[0], &p) {
			return p
		}
		if i == 1 {
			if m.Flush(bg) != nil {
				return p
			}
		}
		if i == 2 {
			p.maybe[1], p.maybe[2] = true, true
			gone, err := m.Remove(bg, SetOf(1, 2))
			if err != nil {
				return p
			}
			for _, r := range gone {
				for uid := r.First; uid <= r.Last; uid++ {
					p.gone[uid] = true
				}
			}
			look()
		}
	}
	if h.store.Close(bg) != nil {
		return p
	}
	return p
}

// replace puts a message in the place of another.
func replace(m *Mailbox, uid uint32, p *promises) bool {
	a, err := m.Replace(bg, uid, "INBOX")
	if err != nil {
		return false
	}
	defer a.Abort()
	const body = "replacement\n"
	if a.Add(bg, Incoming{Flags: Draft}, strings.NewReader(body)) != nil {
		return false
	}
	p.maybe[uid] = true
	_, uids, err := a.Commit(bg)
	if err != nil {
		return false
	}
	p.gone[uid], p.appended[uids[0]], p.flags[uids[0]] = true, body, map[string]bool{"D": true}
	return true
}

// check opens what is left and compares it with the promises.
func (p promises) check(t *testing.T, after disk.FS, what string) {
	h := &house{t: t, fs: after, base: "/home", clock: &clock{}}
	h.clock.at.Store(1_900_000_000_000_000_000)
	h.cfg = AccountConfig{User: "joe@example.org", Maildir: "/home/Maildir"}
	if err := h.try(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	m, err := h.acct.Open(bg, "INBOX")
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	s := m.Snapshot()
	if p.validity != 0 && s.UIDValidity() != p.validity {
		t.Fatalf("%s: UIDVALIDITY %d, was %d", what, s.UIDValidity(), p.validity)
	}
	if s.UIDNext() <= p.maxUID || s.HighestModSeq() < p.modseq {
		t.Fatalf("%s: UIDNEXT %d after UID %d, HIGHESTMODSEQ %d after %d", what, s.UIDNext(), p.maxUID, s.HighestModSeq(), p.modseq)
	}
	bodies := map[string]int{}
	for uid := range p.appended {
		if _, ok := s.Find(uid); !ok && !p.gone[uid] && !p.maybe[uid] {
			t.Fatalf("%s: UID %d was shown and is no more", what, uid)
		}
	}
	for _, x := range s.All() {
		f, err := m.OpenMessage(bg, x.UID)
		if err != nil {
			t.Fatalf("%s: message %d: %v", what, x.UID, err)
		}
		data, _ := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		bodies[string(data)]++
		if want, ok := p.appended[x.UID]; ok && want != string(data) {
			t.Fatalf("%s: UID %d is %q, was %q", what, x.UID, data, want)
		}
		have := both(x.Flags, s.KeywordNames(x))
		for k := range p.flags[x.UID] {
			if !have[k] {
				t.Fatalf("%s: UID %d has lost %s, it has %v", what, x.UID, k, have)
			}
		}
		if p.gone[x.UID] {
			t.Fatalf("%s: UID %d is back", what, x.UID)
		}
	}
	for uid, body := range p.appended {
		if bodies[body] != 1 && !p.maybe[uid] {
			t.Fatalf("%s: %q is there %d times", what, body, bodies[body])
		}
		if p.gone[uid] && bodies[body] != 0 {
			t.Fatalf("%s: %q is back", what, body)
		}
	}
	if err := h.store.Close(bg); err != nil {
		t.Fatalf("%s: closing: %v", what, err)
	}
}

// At whatever change the machine loses power, what was acknowledged is there
// afterwards, and no UID or MODSEQ is given twice.
func TestCrashAnywhere(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for n := 0; ; n += stride {
		mem := disk.NewForgetful()
		h := newHouse(t, mem, "/home", Exclusive)
		mem.CrashAfter(n)
		p := session(h)
		crashed := mem.Crashed()
		p.check(t, mem.Crash(), fmt.Sprintf("crash after %d changes", n))
		for seed := range uint64(2) {
			p.check(t, mem.CrashRandom(seed), fmt.Sprintf("crash after %d changes, seed %d", n, seed))
		}
		if !crashed {
			if n < 100 {
				t.Fatalf("only %d changes", n)
			}
			return
		}
	}
}

func TestCrashPoints(t *testing.T) {
	mem := disk.NewForgetful()
	session(newHouse(t, mem, "/home", Exclusive))
	for _, p := range strings.Fields("mailbox.store.after_commit mailbox.expunge.after_commit mailbox.bury.before_commit " +
		"mailbox.append.before_publish mailbox.append.after_publish") {
		if mem.Points()[p] == 0 {
			t.Errorf("crash point %s was not passed", p)
		}
	}
}

// A disk that fails: the caller hears of it, nothing half-done shows, and the
// service goes on by itself when the disk does.
func TestFaults(t *testing.T) {
	for _, fault := range []disk.Fault{
		{Op: disk.OpWrite, Path: "*host*", Err: syscall.ENOSPC, Short: true}, // the message
		{Op: disk.OpSync, Path: "*host*", Err: syscall.EIO},
		{Op: disk.OpRename, Path: "/home/Maildir/cur/*", Err: syscall.EIO},
		{Op: disk.OpSyncDir, Path: "/home/Maildir/cur", Err: syscall.EIO},
		{Op: disk.OpWrite, Path: "dovecot-uidlist", Err: syscall.ENOSPC, Short: true},
		{Op: disk.OpSync, Path: "dovecot-uidlist", Err: syscall.EIO},
		{Op: disk.OpLink, Path: "dovecot-uidlist.lock", Err: syscall.EROFS},
		{Op: disk.OpWrite, Path: "log.*", Err: syscall.ENOSPC},
	} {
		faulty := disk.NewFaulty(disk.NewForgetful())
		mode := Exclusive
		if fault.Op == disk.OpSync && fault.Path == "dovecot-uidlist" {
			mode = Shared // else it is synced later
		}
		h := newHouse(t, faulty, "/home", mode)
		m := h.box("INBOX")
		first := h.append("INBOX", "one", Incoming{})
		h.see(m, "1:")
		fault.Path = strings.ReplaceAll(fault.Path, "host", "imapd")
		faulty.Add(fault)
		p, err := h.acct.Append(bg, "INBOX")
		must(t, err)
		err = p.Add(bg, Incoming{}, strings.NewReader("two"))
		if err == nil {
			_, _, err = p.Commit(bg)
		}
		if faulty.Hits() != 1 || err == nil {
			t.Errorf("%+v: hits %d, %v", fault, faulty.Hits(), err)
		}
		if fault.Err == syscall.ENOSPC && !fail.Is(err, fail.Full) {
			t.Errorf("%+v: %v", fault, err)
		}
		faulty.Clear()
		must(t, m.Sync(bg))
		if got := m.Snapshot(); got.Len() != 1 || got.UID(0) != first {
			t.Errorf("%+v: half an append shows: %s", fault, show(got))
		}
		uid := h.append("INBOX", "three", Incoming{})
		if uid <= first || h.read(m, uid) != "three" {
			t.Errorf("%+v: afterwards UID %d", fault, uid)
		}
		h.reopen()
		m = h.box("INBOX")
		if got := m.Snapshot(); got.Len() != 2 || got.UID(1) != uid {
			t.Errorf("%+v: after reopening: %s", fault, show(got))
		}
		must(t, h.store.Close(bg))
	}
}

// The index can be lost, or its files damaged: nothing of the mail changes and
// HIGHESTMODSEQ does not go back. Acknowledged changes that were still to be
// written to file names are taken from what is left of the log.
func TestDamagedIndex(t *testing.T) {
	for _, c := range []struct {
		file    string
		pending bool // survives
	}{{"base", true}, {"log", false}, {"cache", true}} {
		mem := disk.NewForgetful()
		h := newHouse(t, mem, "/home", Exclusive)
		for i := range 5 {
			h.append("INBOX", fmt.Sprintf("body %d\n", i), Incoming{Keywords: []string{"Foo"}})
		}
		m := h.box("INBOX")
		_, err := m.Store(bg, SetOf(2), change(Add, Seen, "Bar"))
		must(t, err)
		_, err = m.Remove(bg, SetOf(4))
		must(t, err)
		_, err = m.AppendEnvelope(bg, nil, 1)
		must(t, err)
		modseq := m.Snapshot().HighestModSeq()
		after := mem.Crash() // as kill -9: nothing flushed
		dir := "/home/index/joe@example.org/" + m.box.guid
		entries, err := after.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), c.file) {
				damageFile(t, after, dir+"/"+e.Name())
			}
		}
		g := &house{t: t, fs: after, base: "/home", clock: h.clock, cfg: h.cfg, tree: h.tree}
		g.open()
		m = g.box("INBOX")
		want := "1:(Foo) 2:S(Bar,Foo) 3:(Foo) 5:(Foo)"
		if !c.pending {
			want = "1:(Foo) 2:(Foo) 3:(Foo) 4:(Foo) 5:(Foo)"
		}
		g.see(m, want)
		if got := m.Snapshot().HighestModSeq(); got < modseq {
			t.Errorf("%s: HIGHESTMODSEQ went from %d to %d", c.file, modseq, got)
		}
		// After a crash with a good index some UIDs are passed over.
		if uid := g.append("INBOX", "new\n", Incoming{}); uid < 6 || uid > 6+maxAhead {
			t.Errorf("%s: appended as %d", c.file, uid)
		}
		must(t, g.store.Close(bg))
	}
}

func damageFile(t *testing.T, fsys disk.FS, name string) {
	t.Helper()
	f, err := fsys.OpenFile(name, syscall.O_RDWR, 0)
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	for off := int64(0); off < info.Size(); off += 16 {
		_, err = f.WriteAt([]byte("XXXX"), off)
		must(t, err)
	}
	must(t, f.Close())
}
