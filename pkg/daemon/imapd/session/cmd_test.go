package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/imapd/folders"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/handover"
)

// WHO and KICK pick sessions by user, address, protocol and id.
func TestFilters(t *testing.T) {
	w := newWorld(t, nil)
	greeted(t, w.dial(handover.IMAP, "alice"))
	greeted(t, w.dial(handover.IMAP, "bob"))
	expect(t, w.dial(handover.POP3, "alice"), "+OK Logged in.")
	for _, k := range []struct {
		words string
		want  int
	}{
		{"", 3},
		{"alice", 2},
		{"user=al*", 2},
		{"user=alice protocol=pop3", 1},
		{"session=S2", 1},
		{"address=192.0.2.1", 3},
		{"address=192.0.2.0/24", 3},
		{"address=198.51.100.1", 0},
		{"address=::ffff:192.0.2.1", 3},
		{"user=[a]lice", 2},
		{"user=ALICE", 0},
	} {
		out, err := w.verb("WHO", strings.Fields(k.words)...)
		if err != nil || len(out) != k.want {
			t.Errorf("WHO %s: %v %v", k.words, out, err)
		}
	}
	for _, bad := range []string{"address=x", "protocol=smtp", "user=", "colour=red", "user=[", "session="} {
		if _, err := w.verb("WHO", bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("WHO %s: %v", bad, err)
		}
	}
	if out, err := w.verb("KICK", "user=alice", "protocol=pop3"); err != nil || out[0] != `{"kicked":1}` {
		t.Errorf("%v %v", out, err)
	}
	if !exactly("a*b?[c]\\").picks(&session{user: "a*b?[c]\\", frame: &handover.Frame{}}) || exactly("a*").picks(&session{user: "ab", frame: &handover.Frame{}}) {
		t.Error("a user's name is read as a pattern")
	}
}

// A dry run tells whom it is about, or what there is to mend, and does nothing.
func TestDryRuns(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(handover.IMAP, "alice")
	greeted(t, c)
	for _, k := range []struct {
		sub  *cobra.Command
		args []string
		want string // in the output, or the error
	}{
		{kickCommand(), []string{"alice", "--dry-run"}, "alice  imap"},
		{kickCommand(), []string{"bob", "--dry-run", "--json"}, ""},
		{kickCommand(), []string{"--dry-run"}, "say whose sessions"},
		{kickCommand(), nil, "say whose sessions"},
		{releaseCommand(), []string{"alice", "--dry-run"}, "alice  imap"},
		{releaseCommand(), []string{"al*", "--dry-run", "--json"}, ""},
		{mailboxCommand(), []string{"status", "alice", "INBOX", "--json"}, `"status":{"messages":0,"recent":0,"unseen":0,`},
		{takeoverCommand(), []string{"alice"}, "say either --check"},
		{takeoverCommand(), []string{"alice", "--check", "--apply"}, "say either --check"},
		{mailboxCommand(), []string{"repair", "alice", "INBOX", "--dry-run"}, "INBOX: 0 messages: ok\n"},
		{mailboxCommand(), []string{"rebuild", "alice", "INBOX", "--dry-run"}, "INBOX: 0 messages: ok\n"},
		{mailboxCommand(), []string{"rebuild", "alice", "INBOX"}, "rebuilt"},
	} {
		out, err := w.command(k.sub, k.args...)
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, k.want) || k.want == "" && out != "" {
			t.Errorf("%s %v: %q", k.sub.Name(), k.args, out)
		}
	}
	if left, err := w.verb("WHO"); err != nil || len(left) != 1 {
		t.Errorf("%d sessions are left, %v", len(left), err)
	}
}

func TestPOP3IsKickedInWords(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(handover.POP3, "alice")
	expect(t, c, "+OK Logged in.")
	if _, err := w.verb("KICK", "alice"); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "-ERR [SYS/TEMP] Disconnected by the administrator.")
}

// The second session of a user waits for the first where pop3.lock_session is
// set, and each setting of the section reaches the engine.
func TestPOP3Settings(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.POP3.UIDLFormat, c.POP3.LockSession, c.POP3.EnableLast, c.POP3.LogoutFormat = "%u-x", true, true, "n=%r"
	})
	if err := w.deliver("alice", "one", false); err != nil {
		t.Fatal(err)
	}
	first := w.dial(handover.POP3, "alice")
	expect(t, first, "+OK Logged in.")
	second := w.dial(handover.POP3, "alice")
	fmt.Fprint(first, "UIDL 1\r\nLAST\r\nQUIT\r\n")
	for _, want := range []string{"+OK 1 1-x", "+OK 0", "+OK Logging out."} {
		expect(t, first, want)
	}
	expect(t, second, "+OK Logged in.")
	for len(w.logs.Classic()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if l := w.logs.Classic()[0]; !strings.HasSuffix(l, ": Disconnected: Logged out n=0") {
		t.Error(l)
	}
}

// When a session ends, messages go that the folders' configuration says are due.
func TestAutoExpunge(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Folders = []folders.Folder{{Name: "INBOX", MaxMessages: 1}, {Name: "Trash", Auto: "create", AutoExpunge: conf.Duration(1)}}
	})
	for _, text := range []string{"one", "two"} {
		if err := w.deliver("alice", text, false); err != nil {
			t.Fatal(err)
		}
	}
	c := w.dial(handover.IMAP, "alice")
	greeted(t, c)
	fmt.Fprint(c, "a1 SELECT INBOX\r\na2 COPY 1 Trash\r\na3 LOGOUT\r\n")
	_, _ = io.Copy(io.Discard, c)
	for deadline := time.Now().Add(30 * time.Second); w.count("alice", "") != 1 || w.count("alice", ".Trash") != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("INBOX has %d messages, Trash %d", w.count("alice", ""), w.count("alice", ".Trash"))
		}
	}
}

// count is the number of files in a folder.
func (w *world) count(user, dir string) (n int) {
	for _, part := range []string{"new", "cur"} {
		files, _ := os.ReadDir(filepath.Join(w.maildir(user), dir, part))
		n += len(files)
	}
	return n
}

// The verb MAILBOX through the daemon, and what the command prints of it.
func TestMailboxVerb(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.deliver("alice", "one", false); err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct{ op, want string }{
		{"list", "Drafts   yes         \\Drafts"},
		{"status", "INBOX    1         1"},
		{"check", "INBOX: 1 messages: ok"},
		{"repair", "INBOX: 1 messages, repaired: ok"},
		{"rebuild", "INBOX: 1 messages, rebuilt: ok"},
	} {
		out, err := w.verb("MAILBOX", k.op, "alice")
		if err != nil {
			t.Fatalf("%s: %v", k.op, err)
		}
		if got := printed(t, out); !strings.Contains(got, k.want) {
			t.Errorf("%s prints\n%s\nwant %s", k.op, got, k.want)
		}
	}
	if out, err := w.verb("MAILBOX", "where", "alice"); err != nil || out[0] != fmt.Sprintf(`{"user":"alice","maildir":%q}`, w.maildir("alice")) {
		t.Errorf("where: %v %v", out, err)
	}
	if out, err := w.verb("MAILBOX", "status", "alice", "INBOX"); err != nil || len(out) != 1 {
		t.Errorf("one folder: %v %v", out, err)
	}
	for _, k := range []struct {
		args string
		kind fail.Kind
	}{{"status alice None", fail.NotFound}, {"status nobody", fail.NotFound}, {"drop alice", fail.Invalid}, {"status", fail.Invalid}} {
		if _, err := w.verb("MAILBOX", strings.Fields(k.args)...); !fail.Is(err, k.kind) {
			t.Errorf("MAILBOX %s: %v", k.args, err)
		}
	}
	// Damage is told with its folder, and counted for the exit code.
	if err := os.WriteFile(filepath.Join(w.maildir("alice"), "dovecot-uidlist"), []byte("3 V1 N9 G00\nrubbish\n"), 0o660); err != nil {
		t.Fatal(err)
	}
	out, err := w.verb("MAILBOX", "check", "alice", "INBOX")
	if err != nil || !strings.Contains(printed(t, out), "UIDVALIDITY is 1 in the UID list") {
		t.Errorf("%v %v", out, err)
	}
}

func printed(t *testing.T, raw []string) string {
	t.Helper()
	var b bytes.Buffer
	p := &boxPrinter{out: &b, bar: &service.Progress{}, table: tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)}
	for _, v := range raw {
		var l boxLine
		if err := json.Unmarshal([]byte(v), &l); err != nil {
			t.Fatal(err)
		}
		if err := p.print(l); err != nil {
			t.Fatal(err)
		}
	}
	_ = p.table.Flush()
	return b.String()
}
