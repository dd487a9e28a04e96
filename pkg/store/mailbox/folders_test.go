package mailbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/maildir"
)

func (h *house) list() string {
	h.t.Helper()
	folders, err := h.acct.List(bg)
	must(h.t, err)
	var out []string
	for _, f := range folders {
		x := f.Name
		for _, a := range []struct {
			on   bool
			text string
		}{{!f.Exists, "-"}, {f.Parent, "+"}, {f.Subscribed, "s"}, {f.NonExistent, "?"}} {
			if a.on {
				x += a.text
			}
		}
		out = append(out, x+strings.Join(f.SpecialUses, ""))
	}
	return strings.Join(out, " ")
}

func TestFolders(t *testing.T) {
	h := inMemory(t, Exclusive)
	must(t, h.store.Close(bg))
	h.cfg.Folders = append(DefaultFolders(AutoSubscribe)[:2], FolderConfig{Name: "Trash", SpecialUse: `\Trash`})
	h.open()
	if got := h.list(); got != `INBOXs Draftss\Drafts Sents\Sent` {
		t.Errorf("at first login: %s", got)
	}
	must(t, h.acct.Create(bg, "A.b.c."))
	must(t, h.acct.Create(bg, "trash"))
	must(t, h.acct.Subscribe(bg, "Gone.x", true))
	if got := h.list(); got != `INBOXs A-+ A.b-+ A.b.c Draftss\Drafts Gone.x-s? Sents\Sent trash` {
		t.Errorf("list: %s", got)
	}
	wantKind(t, "create twice", h.acct.Create(bg, "A.b.c"), fail.Exists)
	wantKind(t, "bad name", h.acct.Create(bg, "../x"), fail.Invalid)
	_, err := h.acct.Open(bg, "No")
	wantKind(t, "open missing", err, fail.NotFound)
	_, err = h.acct.Append(bg, "No")
	wantKind(t, "append to missing", err, fail.NotFound)
	_, err = h.acct.Status(bg, "No", false)
	wantKind(t, "status of missing", err, fail.NotFound)
	must(t, h.store.Close(bg))
}

func TestRenameKeepsSessionsAndUIDs(t *testing.T) {
	h := inMemory(t, Exclusive)
	must(t, h.acct.Create(bg, "A"))
	must(t, h.acct.Create(bg, "A.sub"))
	h.append("A", "one", Incoming{})
	m, sub := h.box("A"), h.box("A.sub")
	_, err := m.Store(bg, SetOf(1), change(Add, Seen))
	must(t, err)
	validity := m.Snapshot().UIDValidity()
	must(t, h.acct.Rename(bg, "A", "B.C"))
	if m.Name() != "B.C" || sub.Name() != "B.C.sub" {
		t.Errorf("names %s %s", m.Name(), sub.Name())
	}
	h.append("B.C", "two", Incoming{})
	h.see(m, "1:S 2:")
	if h.read(m, 1) != "one" {
		t.Error("the message cannot be read")
	}
	// Another folder may take the old name; it has its own index.
	must(t, h.acct.Create(bg, "A"))
	h.see(h.box("A"), "")
	h.reopen()
	m = h.box("B.C")
	h.see(m, "1:S 2:")
	if m.Snapshot().UIDValidity() != validity {
		t.Error("UIDVALIDITY changed")
	}
	wantKind(t, "onto another", h.acct.Rename(bg, "B.C", "A"), fail.Exists)
	wantKind(t, "missing", h.acct.Rename(bg, "Z", "Y"), fail.NotFound)

	h.append("INBOX", "in", Incoming{Flags: Flagged})
	must(t, h.acct.Rename(bg, "INBOX", "Old"))
	h.see(h.box("INBOX"), "")
	h.see(h.box("Old"), "1:F")
	must(t, h.store.Close(bg))
}

func TestDeleteOpenFolder(t *testing.T) {
	h := inMemory(t, Exclusive)
	must(t, h.acct.Create(bg, "A"))
	h.append("A", "one", Incoming{})
	m := h.box("A")
	validity, guid := m.Snapshot().UIDValidity(), m.box.guid
	must(t, h.acct.Delete(bg, "A"))
	wantKind(t, "handle", m.Err(), fail.NotFound)
	select {
	case <-m.Changes():
	default:
		t.Error("the session was not told")
	}
	_, err := m.OpenMessage(bg, 1)
	wantKind(t, "read", err, fail.NotFound)
	must(t, m.Close())
	if ok, _ := disk.Exists(h.fs, h.base+"/index/joe@example.org/"+guid); ok {
		t.Error("the index stays")
	}
	wantKind(t, "INBOX", h.acct.Delete(bg, "INBOX"), fail.Denied)
	must(t, h.acct.Create(bg, "A"))
	m = h.box("A")
	h.see(m, "")
	if m.Snapshot().UIDValidity() <= validity {
		t.Error("a new folder needs a new UIDVALIDITY")
	}
	must(t, h.store.Close(bg))
}

// Another program replaces a folder while it is open.
func TestFolderIsReplaced(t *testing.T) {
	h := inMemory(t, Exclusive)
	must(t, h.acct.Create(bg, "A"))
	m := h.box("A")
	must(t, h.tree.Delete(bg, "A"))
	wantKind(t, "sync", m.Sync(bg), fail.NotFound)
	must(t, h.tree.Create(bg, "A"))
	h.deliver("A", "x", 0)
	h.see(h.box("A"), "1:")
	must(t, h.store.Close(bg))

	h = inMemory(t, Exclusive)
	h.append("INBOX", "x", Incoming{})
	m = h.box("INBOX")
	f, err := h.tree.Folder("INBOX")
	must(t, err)
	list, err := f.UIDList()
	must(t, err)
	list.Validity++
	l, err := f.Lock(bg)
	must(t, err)
	must(t, l.Rewrite(list))
	wantKind(t, "new UIDVALIDITY", m.Sync(bg), fail.Unavailable)
	n := h.box("INBOX")
	h.see(n, "1:")
	if n.Snapshot().UIDValidity() != list.Validity {
		t.Error("the new UIDVALIDITY is not shown")
	}
	must(t, h.store.Close(bg))
}

// A folder that was copied with its UID list must not share the index.
func TestCopiedFolderGetsItsOwnIndex(t *testing.T) {
	h := onDisk(t)
	must(t, h.acct.Create(bg, "A"))
	h.append("A", "one", Incoming{})
	must(t, h.store.Close(bg))
	must(t, os.CopyFS(filepath.Join(h.cfg.Maildir, ".B"), os.DirFS(filepath.Join(h.cfg.Maildir, ".A"))))
	h.open()
	a, b := h.box("A"), h.box("B")
	h.see(a, "1:")
	h.see(b, "1:")
	if a.box.guid == b.box.guid {
		t.Error("one GUID for two folders")
	}
	_, err := a.Store(bg, SetOf(1), change(Add, Seen))
	must(t, err)
	h.see(b, "1:")
	must(t, h.store.Close(bg))
}

func onDisk(t testing.TB) *house { return newHouse(t, disk.OS(), t.TempDir(), Exclusive) }

func TestStatus(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.append("INBOX", "one\r\n", Incoming{Flags: Seen})
	h.append("INBOX", "two\r\n", Incoming{Flags: Deleted})
	h.deliver("INBOX", "three\r\n", 0)
	st, err := h.acct.Status(bg, "inbox", true)
	must(t, err)
	if st.Messages != 3 || st.Unseen != 2 || st.Deleted != 1 || st.Recent != 3 || st.UIDNext != 4 || st.Size != 17 || len(st.GUID) != 32 {
		t.Errorf("%+v", st)
	}
	must(t, h.store.Close(bg))
}

// Taking over a folder that Dovecot has served: UIDs, UIDVALIDITY, GUID and
// what we do not understand stay as they are.
func TestTakeOver(t *testing.T) {
	h := inMemory(t, Exclusive)
	must(t, h.store.Close(bg))
	root := h.cfg.Maildir
	write := func(name, text string) {
		f, err := h.fs.OpenFile(root+"/"+name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		must(t, err)
		_, err = f.Write([]byte(text))
		must(t, err)
		must(t, f.Close())
	}
	write("dovecot-uidlist", "3 V1795442559 N9 G68f162117f47046bb94e000083ecc375 Xyz\n3 :1795442559.M1P1.vm,S=2,W=3\n7 W4 P0001abc :1795442560.M2P1.vm\n8 :gone\n")
	write("dovecot-keywords", "0 $Forwarded\n2 $Junk\n")
	write("cur/1795442559.M1P1.vm,S=2,W=3:2,FSac", "a\n")
	write("cur/1795442560.M2P1.vm:2,", "b\n\n")
	write("cur/1795442561.M3P1.vm:2,R", "stray\n")
	write("new/1795442562.M4P1.vm,S=4,W=5", "new\n")
	h.open()
	m := h.box("INBOX")
	h.see(m, "3:FS($Forwarded,$Junk) 7: 9:R 10:")
	s := m.Snapshot()
	if s.UIDValidity() != 1795442559 || m.box.guid != "68f162117f47046bb94e000083ecc375" || s.UIDNext() != 11 || s.Recent() != 1 {
		t.Errorf("%d %s %d %d", s.UIDValidity(), m.box.guid, s.UIDNext(), s.Recent())
	}
	// Sizes that no name tells are found out, and kept.
	if x := s.At(1); x.Size != -1 || x.VSize != -1 {
		t.Errorf("%+v", x)
	}
	x, err := m.Resolve(bg, s, 1)
	must(t, err)
	if x.Size != 3 || x.VSize != 5 || x.Date.IsZero() {
		t.Errorf("%+v", x)
	}
	must(t, m.Flush(bg))
	if x := m.Snapshot().At(1); x.Size != 3 || x.VSize != 5 {
		t.Errorf("not kept: %+v", x)
	}
	data, err := disk.ReadFile(h.fs, root+"/dovecot-uidlist", 1000)
	must(t, err)
	want := "3 V1795442559 N9 G68f162117f47046bb94e000083ecc375 Xyz\n3 :1795442559.M1P1.vm,S=2,W=3\n7 W4 P0001abc :1795442560.M2P1.vm\n8 :gone\n" +
		"9 :1795442561.M3P1.vm\n10 :1795442562.M4P1.vm,S=4,W=5\n"
	if string(data) != want {
		t.Errorf("the list is\n%s", data)
	}
	must(t, h.store.Close(bg))
}

// Another server gives out UIDs: while we are away, or at the same time in
// shared mode. Its UIDs stay.
func TestUIDsOfAnotherServer(t *testing.T) {
	h := inMemory(t, Shared)
	h.append("INBOX", "one", Incoming{})
	other := func(body string, uid uint32) {
		f, err := h.tree.Folder("INBOX")
		must(t, err)
		l, err := f.Lock(bg)
		must(t, err)
		d := h.deliver("INBOX", body, Seen)
		list, err := f.UIDList()
		must(t, err)
		list.Records = append(list.Records, maildir.UIDRecord{UID: uid, Base: d.Base})
		list.Next = uid + 1
		must(t, l.Rewrite(list))
	}
	m := h.box("INBOX")
	h.see(m, "1:")
	other("two", 7)
	h.see(m, "1: 7:S")
	must(t, h.store.Close(bg))
	other("three", 12)
	h.open()
	m = h.box("INBOX")
	h.see(m, "1: 7:S 12:S")
	if uid := h.append("INBOX", "four", Incoming{}); uid != 13 {
		t.Errorf("appended as %d", uid)
	}
	must(t, h.store.Close(bg))
}

// HIGHESTMODSEQ is never below Dovecot's: not at take-over, and not when
// Dovecot has served the folder in between.
func TestModSeqStaysAboveDovecots(t *testing.T) {
	h := inMemory(t, Exclusive)
	log := func(initial byte) {
		f, err := h.fs.OpenFile(h.cfg.Maildir+"/dovecot.index.log", os.O_RDWR|os.O_CREATE, 0o600)
		must(t, err)
		head := make([]byte, 40)
		head[0], head[2], head[25] = 1, 40, initial // version, header size, MODSEQ: 256 times initial
		_, err = f.WriteAt(head, 0)
		must(t, err)
		must(t, f.Close())
	}
	log(1)
	h.append("INBOX", "x", Incoming{})
	m := h.box("INBOX")
	if got := m.Snapshot().At(0).ModSeq; got <= 256 || got > 300 {
		t.Errorf("first MODSEQ %d", got)
	}
	must(t, h.store.Close(bg))
	log(2)
	h.open()
	m = h.box("INBOX")
	if got := m.Snapshot().HighestModSeq(); got != 512 {
		t.Errorf("HIGHESTMODSEQ %d", got)
	}
	res, err := m.Store(bg, SetOf(1), change(Add, Seen))
	if err != nil || res.ModSeq != 513 {
		t.Errorf("%+v %v", res, err)
	}
	must(t, h.store.Close(bg))
}

// A folder that has never had a message begins at 1, whoever made its UID list.
func TestModSeqOfANewFolder(t *testing.T) {
	h := inMemory(t, Exclusive)
	must(t, h.acct.Create(bg, "New"))
	if got := h.box("New").Snapshot().HighestModSeq(); got != 1 {
		t.Errorf("HIGHESTMODSEQ is %d", got)
	}
	must(t, h.store.Close(bg))
}

// More than 26 keywords fit no file name: exclusive mode keeps them in the
// index, shared mode refuses them.
func TestManyKeywords(t *testing.T) {
	for _, mode := range []Mode{Exclusive, Shared} {
		h := inMemory(t, mode)
		h.append("INBOX", "x", Incoming{})
		m := h.box("INBOX")
		var names []string
		for i := range 30 {
			names = append(names, "k"+string(rune('a'+i%26))+strings.Repeat("x", i/26))
		}
		_, err := m.Store(bg, SetOf(1), change(Add, 0, names...))
		if mode == Shared {
			wantKind(t, "shared", err, fail.Invalid)
			must(t, h.store.Close(bg))
			continue
		}
		must(t, err)
		must(t, m.Flush(bg))
		if got := h.files("INBOX"); got != "cur:2,abcdefghijklmnopqrstuvwxyz" {
			t.Errorf("files %s", got)
		}
		h.reopen()
		m = h.box("INBOX")
		must(t, m.Sync(bg))
		s := m.Snapshot()
		if n := len(s.KeywordNames(s.At(0))); n != 30 || !s.HasKeyword(s.At(0), "KAX") {
			t.Errorf("%d keywords are left", n)
		}
		must(t, h.store.Close(bg))
	}
}

func TestDuplicateNames(t *testing.T) {
	h := inMemory(t, Exclusive)
	d := h.deliver("INBOX", "one", 0)
	h.deliver("INBOX", "two", Seen)
	h.rename("INBOX", ":2,S", ":2,S") // a second file of the first one's name
	entries, err := h.fs.ReadDir(h.cfg.Maildir + "/cur")
	must(t, err)
	must(t, h.fs.Rename(h.cfg.Maildir+"/cur/"+entries[0].Name(), h.cfg.Maildir+"/cur/"+d.Base+":2,S"))
	m := h.box("INBOX")
	must(t, m.Sync(bg))
	s := m.Snapshot()
	if s.Len() != 2 {
		t.Fatalf("%s", show(s))
	}
	if a, b := h.read(m, s.UID(0)), h.read(m, s.UID(1)); a == b {
		t.Errorf("both are %q", a)
	}
	must(t, h.store.Close(bg))
}

func TestWire(t *testing.T) {
	h := inMemory(t, Exclusive)
	uid := h.append("INBOX", "Subject: x\r\nFrom: a@b\r\n\r\nbody\r\n", Incoming{})
	m := h.box("INBOX")
	m.box.cache.Settle() // or the first look and the background may both write the entry
	const env = `(NIL "x" ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)`
	const body = `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1`
	check := func(what string) {
		t.Helper()
		e, err := m.AppendEnvelope(bg, []byte("> "), uid)
		if err != nil || string(e) != "> "+env {
			t.Errorf("%s: envelope %s %v", what, e, err)
		}
		b, err := m.AppendBodyStructure(bg, nil, uid, true)
		if err != nil || string(b) != body+" NIL NIL NIL NIL)" {
			t.Errorf("%s: structure %s %v", what, b, err)
		}
		b, err = m.AppendBodyStructure(bg, nil, uid, false)
		if err != nil || string(b) != body+")" {
			t.Errorf("%s: body %s %v", what, b, err)
		}
	}
	check("parsed")
	size := m.box.cache.Size()
	check("cached")
	h.reopen()
	m = h.box("INBOX")
	check("after reopening")
	if got := m.box.cache.Size(); got != size {
		t.Errorf("the cache grew from %d to %d", size, got)
	}
	head, err := m.Header(bg, uid)
	if err != nil || head.Get("From") != "a@b" {
		t.Errorf("%v %v", head, err)
	}
	p, f, err := m.Structure(bg, uid)
	must(t, err)
	if p.BodyVSize != 6 {
		t.Errorf("%+v", p)
	}
	must(t, f.Close())
	_, err = m.AppendEnvelope(bg, nil, 99)
	wantKind(t, "no such message", err, fail.NotFound)
	must(t, h.store.Close(bg))
}

func TestMultiAppendIsAllOrNothing(t *testing.T) {
	h := inMemory(t, Exclusive)
	p, err := h.acct.Append(bg, "INBOX")
	must(t, err)
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	must(t, p.Add(bg, Incoming{Date: date}, strings.NewReader("one")))
	must(t, p.Add(bg, Incoming{}, strings.NewReader("two")))
	if got := h.files("INBOX"); got != "" {
		t.Errorf("published early: %s", got)
	}
	_, uids, err := p.Commit(bg)
	must(t, err)
	if len(uids) != 2 || uids[0] != 1 || uids[1] != 2 {
		t.Errorf("%v", uids)
	}
	m := h.box("INBOX")
	if x := m.Snapshot().At(0); !x.Date.Equal(date) {
		t.Errorf("date %v", x.Date)
	}
	p, err = h.acct.Append(bg, "INBOX")
	must(t, err)
	must(t, p.Add(bg, Incoming{}, strings.NewReader("three")))
	p.Abort()
	if err := p.Add(bg, Incoming{}, strings.NewReader("four")); err == nil {
		t.Error("added after the end")
	}
	if entries, _ := h.fs.ReadDir(h.cfg.Maildir + "/tmp"); len(entries) != 1 || !strings.HasSuffix(entries[0].Name(), ".lock") {
		t.Errorf("%v stay in tmp", entries) // beside the spare lock file
	}
	h.see(m, "1: 2:")
	wantKind(t, "no space", func() error {
		h.fs.(*disk.Forgetful).SetSpace(disk.Space{Free: 5 << 20})
		p, err := h.acct.Append(bg, "INBOX")
		must(t, err)
		defer p.Abort()
		return p.Add(bg, Incoming{Size: 5 << 20}, strings.NewReader("big"))
	}(), fail.Full)
	must(t, h.store.Close(bg))
}
