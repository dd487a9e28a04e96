package maildrop

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// home is a user's mail, opened as the session role does.
type home struct {
	t       *testing.T
	maildir string
	store   *mailbox.Store
	box     *mailbox.Mailbox
}

// newHome makes a Maildir of the given UID list lines and messages.
func newHome(t *testing.T, uidlist string, messages map[string]string) *home {
	t.Helper()
	h := &home{t: t, maildir: filepath.Join(t.TempDir(), "Maildir")}
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(h.maildir, d), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	if uidlist != "" {
		h.write("dovecot-uidlist", "3 V1795888879 N50 Ga18206126b160b6b1511000083ecc375\n"+uidlist)
	}
	for name, text := range messages {
		h.write("cur/"+name+":2,", strings.ReplaceAll(text, "|", "\n"))
	}
	h.open()
	return h
}

func (h *home) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.maildir, name), []byte(text), 0o660); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) open() {
	h.t.Helper()
	var err error
	if h.store, err = mailbox.NewStore(mailbox.Config{IndexRoot: filepath.Join(h.maildir, "../index"), NoWatch: true}); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = h.store.Close(context.Background()) })
	a, err := h.store.Account(context.Background(), mailbox.AccountConfig{User: "alice", Maildir: h.maildir})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.box, err = a.Open(context.Background(), "INBOX"); err != nil {
		h.t.Fatal(err)
	}
}

// drop opens the INBOX with some settings.
func (h *home) drop(set func(*Config)) *Drop {
	h.t.Helper()
	c := Default()
	if set != nil {
		set(&c)
	}
	r, err := c.Rules()
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := Open(context.Background(), h.box, &r)
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

func uidls(t *testing.T, d *Drop) string {
	t.Helper()
	var all []string
	for i := range d.Len() {
		id, err := d.AppendUIDL(context.Background(), nil, i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(id))
	}
	return strings.Join(all, " ")
}

// four are the messages that a real Dovecot showed for TestUIDLs.
func four() map[string]string {
	return map[string]string{
		"1700000001.M1P1.h": "From: a@b|X-UIDL: old-uidl-1||x|", "1700000002.M1P1.h": "From: a@b|X-UIDL: old-uidl-2||x|",
		"1700000009.M1P1.h": "From: a@b||", "1700000020.M1P1.h": "A: b|X-UIDL: old-uidl-1||x|",
	}
}

func TestUIDLs(t *testing.T) {
	for _, k := range []struct {
		name    string
		uidlist string
		set     func(*Config)
		want    string
	}{
		{"the default", "", nil, "00000001V 00000002V 00000003V 00000004V"},
		{"by UID", "", func(c *Config) { c.UIDLFormat = "%u" }, "1 2 3 4"},
		{"by file", "", func(c *Config) { c.UIDLFormat = "%f" }, "1700000001.M1P1.h 1700000002.M1P1.h 1700000009.M1P1.h 1700000020.M1P1.h"},
		{
			"by digest, X-UIDL first, duplicates renamed", "",
			func(c *Config) { c.UIDLFormat, c.ReuseXUIDL, c.UIDLDuplicates = "%Mf", true, "rename" },
			"old-uidl-1 old-uidl-2 9413cb9c1978756bfce974f95af8bb4a old-uidl-1-2",
		},
		{
			"those kept in the list come before all", "1 W64 Pkept-1 :1700000001.M1P1.h\n2 W64 :1700000002.M1P1.h\n4 G00ff W28 :1700000009.M1P1.h\n5 :1700000020.M1P1.h\n",
			func(c *Config) { c.ReuseXUIDL, c.UIDLFormat = true, "%g" },
			"kept-1 old-uidl-2 00ff old-uidl-1",
		},
		{
			"the order kept in the list", "1 O2 :1700000001.M1P1.h\n2 :1700000002.M1P1.h\n3 :1700000009.M1P1.h\n4 O1 :1700000020.M1P1.h\n",
			func(c *Config) { c.UIDLFormat = "%u" }, "4 1 2 3",
		},
	} {
		t.Run(k.name, func(t *testing.T) {
			h := newHome(t, k.uidlist, four())
			d := h.drop(k.set)
			want := strings.ReplaceAll(k.want, "V", fmt.Sprintf("%08x", d.s.UIDValidity()))
			if got := uidls(t, d); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// save_uidl keeps what clients were told, in Dovecot's form and for Dovecot,
// so that another format is for new messages only.
func TestSaveUIDL(t *testing.T) {
	h := newHome(t, "", four())
	before := uidls(t, h.drop(func(c *Config) { c.SaveUIDL = true }))
	list, err := os.ReadFile(filepath.Join(h.maildir, "dovecot-uidlist"))
	if err != nil {
		t.Fatal(err)
	}
	for n, id := range strings.Fields(before) {
		if line := strings.Split(string(list), "\n")[n+1]; !strings.HasPrefix(line, fmt.Sprintf("%d ", n+1)) || !strings.Contains(line, " P"+id+" :17") {
			t.Errorf("line %q does not keep %s", line, id)
		}
	}
	h.write("new/1800000000.M1P1.h", "later\n")
	after := uidls(t, h.drop(func(c *Config) { c.SaveUIDL, c.UIDLFormat = true, "%u-new" }))
	if after != before+" 5-new" {
		t.Errorf("after the change of format: %s", after)
	}
	// A writer that knows nothing of it leaves the keys alone.
	h.write("new/1800000001.M1P1.h", "later still\n")
	if got := uidls(t, h.drop(func(c *Config) { c.UIDLFormat = "%u" })); got != before+" 5-new 6" {
		t.Errorf("at the end: %s", got)
	}
}

// What POP3 deletes with delete_type: flag stays for IMAP.
func TestDeletedFlag(t *testing.T) {
	ctx := context.Background()
	h := newHome(t, "", four())
	flag := func(c *Config) { c.DeleteType, c.DeletedFlag, c.UIDLFormat = "flag", "$POP3Deleted", "%u" }
	d := h.drop(flag)
	if err := d.Delete(ctx, []int{0, 2}); err != nil {
		t.Fatal(err)
	}
	if got := uidls(t, h.drop(flag)); got != "2 4" || h.box.Snapshot().Len() != 4 {
		t.Errorf("POP3 shows %s, the folder has %d", got, h.box.Snapshot().Len())
	}
	d = h.drop(flag)
	if err := d.Mark(ctx, []int{1}, true); err != nil {
		t.Fatal(err)
	}
	if s := h.box.Snapshot(); s.At(3).Flags&mailbox.Seen == 0 || s.Count(mailbox.Seen, 0) != 1 {
		t.Error("another message was marked than the one shown as number 2")
	}
}

func TestSizesAndContent(t *testing.T) {
	ctx := context.Background()
	h := newHome(t, "", map[string]string{"1700000001.M1P1.h": "A: b||x|", "1700000002.M1P1.h,S=9,W=13": "A: b||yy|", "1700000003.M1P1.h,S=9": "A: b||zz|"})
	d := h.drop(nil)
	if total, err := d.Total(ctx); err != nil || total != 11+13+12 {
		t.Errorf("total %d %v", total, err)
	}
	fast := h.drop(func(c *Config) { c.FastSizes = true })
	if n, err := fast.Size(ctx, 2); err != nil || n != 9 && n != 12 {
		t.Errorf("fast size %d %v", n, err)
	}
	r, err := d.Open(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "A: b\n\nzz\n" {
		t.Errorf("%q %v", text, err)
	}
}

// Messages that are read at the same time, and those read after them, do not
// show in each other, whether they are read at once or piece by piece.
func TestOpenMessagesAreApart(t *testing.T) {
	ctx := context.Background()
	long := strings.Repeat("long ", atOnce/5) + "|"
	h := newHome(t, "", map[string]string{"1700000001.M1P1.h": "A: b||one|", "1700000002.M1P1.h": "A: b||two|", "1700000003.M1P1.h": "A: b||" + long})
	texts := []string{"A: b\n\none\n", "A: b\n\ntwo\n", "A: b\n\n" + strings.ReplaceAll(long, "|", "\n")}
	d := h.drop(nil)
	if _, err := d.Total(ctx); err != nil { // before, no size is known
		t.Fatal(err)
	}
	for range 3 {
		var open []io.ReadCloser
		for i := range texts {
			r, err := d.Open(ctx, i)
			if err != nil {
				t.Fatal(err)
			}
			if at := r.(*body).mem != nil; at != (i < 2) {
				t.Errorf("message %d, read at once: %v", i+1, at)
			}
			open = append(open, r)
		}
		for i, r := range open {
			if text, err := io.ReadAll(r); err != nil || string(text) != texts[i] {
				t.Errorf("message %d: %.40q %v", i+1, text, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("after the end: %d %v", n, err)
			}
		}
	}
}

// limits: one POP3 session at a time where lock_session is on.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	var l Locks
	give, err := l.Take(context.Background(), disk.OS(), "alice", dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dovecot-pop3-session.lock")); err != nil {
		t.Error("Dovecot would not see the lock:", err)
	}
	soon, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Take(soon, disk.OS(), "alice", ""); err != ErrInUse {
		t.Errorf("a second session: %v", err)
	}
	other, err := l.Take(context.Background(), disk.OS(), "bob", "")
	if err != nil {
		t.Fatal(err)
	}
	other()
	next := make(chan error, 1)
	go func() {
		again, err := l.Take(context.Background(), disk.OS(), "alice", dir)
		if err == nil {
			again()
		}
		next <- err
	}()
	give()
	give() // nothing is given back twice
	if err := <-next; err != nil {
		t.Errorf("after the first session: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dovecot-pop3-session.lock")); err == nil {
		t.Error("the lock file is still there")
	}
}

// A lock file that another server holds is respected.
func TestLockOfDovecot(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dovecot-pop3-session.lock"), []byte("1:h"), 0o600); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	var l Locks
	if _, err := l.Take(soon, disk.OS(), "alice", dir); err != ErrInUse {
		t.Errorf("%v", err)
	}
	give, err := l.Take(context.Background(), disk.OS(), "alice", "")
	if err != nil {
		t.Fatal("the failed attempt holds the lock:", err)
	}
	give()
}

func TestConfigMistakes(t *testing.T) {
	for _, k := range []struct{ yaml, at string }{
		{"uidl_format: \"%v\"", "uidl_format"},
		{"logout_format: \"%{x\"", "logout_format"},
		{"delete_type: flag", "deleted_flag"},
		{"deleted_flag: \"a b\"", "deleted_flag"},
		{"client_workarounds: [outlook]", "client_workarounds[0]"},
		{"uidl_duplicates: no", "uidl_duplicates"},
	} {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(k.yaml+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Default()
		if err := conf.Load(file, &c); err == nil || !strings.Contains(err.Error(), k.at) {
			t.Errorf("%s: %v", k.yaml, err)
		}
	}
}
