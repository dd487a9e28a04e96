package deliverd

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// Wherever the machine stops while one message goes to three users: who got a
// 250 has the whole message, and nobody has a part of one.
func TestCrash(t *testing.T) {
	large := letterText + strings.Repeat("0123456789\r\n", 7000)
	for _, c := range []struct{ sync, size, body string }{
		{syncFile, "small", letterText},
		{syncFile, "spooled", large},
		{syncVolume, "small", letterText},
		{syncVolume, "spooled", large},
	} {
		body := c.body
		t.Run(c.sync+"/"+c.size, func(t *testing.T) {
			want := strings.ReplaceAll(body, "\r\n", "\n")
			for n := 0; ; n++ {
				mem := disk.NewForgetful()
				for _, dir := range []string{"/tmp", "/mail"} {
					if err := mem.Mkdir(dir, 0o700); err != nil {
						t.Fatal(err)
					}
				}
				if err := mem.SyncDir("/"); err != nil {
					t.Fatal(err)
				}
				mem.CrashAfter(n)
				saved := crashDelivery(t, mem, c.sync, body)
				crashed := mem.Crashed()
				for seed := range uint64(3) {
					after := mem.Crash()
					if seed > 0 {
						after = mem.CrashRandom(seed)
					}
					for user, ok := range saved {
						checkMailbox(t, after, user, ok, want, fmt.Sprintf("crash after %d changes, seed %d", n, seed))
					}
				}
				if !crashed {
					if n < 20 {
						t.Errorf("only %d changes: the test shows nothing", n)
					}
					return
				}
			}
		})
	}
}

// crashDelivery returns for each user whether its delivery was acknowledged.
func crashDelivery(t *testing.T, mem *disk.Forgetful, sync, body string) map[string]bool {
	t.Helper()
	b := newBench(t, mem, func(c *Config) { c.TempDir, c.Sync = "/tmp", sync })
	b.dir.root = "/mail"
	c, err := client.New(context.Background(), b.connect(t), client.Config{Name: "mx.test", LMTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	users := []string{"alice", "bob", "carol"}
	env := client.Envelope{}
	for _, u := range users {
		env.To = append(env.To, client.Recipient{To: addr.Address{Local: u, Domain: "example.org"}})
	}
	results, err := c.Send(context.Background(), env, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	saved := map[string]bool{}
	for i, u := range users {
		if !results[i].Sent() && results[i].Permanent() {
			t.Errorf("%s: %+v, want temporary", u, results[i])
		}
		saved[u] = results[i].Sent()
	}
	return saved
}

func checkMailbox(t *testing.T, fsys disk.FS, user string, acknowledged bool, want, when string) {
	t.Helper()
	found := 0
	for _, dir := range []string{"new", "cur"} {
		dir = filepath.Join("/mail", user, "Maildir", dir)
		entries, err := fsys.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			found++
			text, err := disk.ReadFile(fsys, filepath.Join(dir, e.Name()), 1<<20)
			if err != nil || !strings.HasSuffix(string(text), want) {
				t.Errorf("%s: %s has half a message (%d octets, %v)", when, user, len(text), err)
			}
		}
	}
	if acknowledged && found != 1 {
		t.Errorf("%s: %s was acknowledged and has %d messages", when, user, found)
	}
}

// The first recipient removes the message before it was linked for the
// second: the second gets one all the same.
func TestFirstCopyVanishes(t *testing.T) {
	b := newBench(t, &vanishing{Faulty: disk.NewFaulty(disk.OS())}, nil)
	got := send(t, b.dial(t), letterText, "alice@example.org", "bob@example.org")
	if got["alice@example.org"] != nil || got["bob@example.org"] != nil {
		t.Fatal(got)
	}
	if n := len(b.messages(t, "bob", "")); n != 1 {
		t.Errorf("bob has %d messages", n)
	}
}

// vanishing loses the first message that is published.
type vanishing struct {
	*disk.Faulty
	lost bool
}

func (v *vanishing) Rename(oldName, newName string) error {
	err := v.Faulty.Rename(oldName, newName)
	if filepath.Base(filepath.Dir(newName)) == "new" && !v.lost {
		v.lost = true
		_ = v.Remove(newName)
	}
	return err
}

// A panic in one lookup is that recipient's 451 and nobody else's.
func TestPanicInLookup(t *testing.T) {
	b := newBench(t, nil, nil)
	b.a.users = panicky{b.dir}
	got := send(t, b.dial(t), letterText, "panic@example.org", "alice@example.org")
	if got["panic@example.org"] == nil || !strings.Contains(got["panic@example.org"].Error(), "temporary") || got["alice@example.org"] != nil {
		t.Error(got)
	}
}

type panicky struct{ users }

func (p panicky) User(ctx context.Context, name, service string) (userdbclient.UserRecord, error) {
	if strings.HasPrefix(name, "panic") {
		panic("lookup")
	}
	return p.users.User(ctx, name, service)
}

// A connection that ends inside a message leaves nothing, and the user is
// free for the next.
func TestAborted(t *testing.T) {
	b := newBench(t, nil, func(c *Config) { c.Limits.UserConcurrency = 1 })
	for _, rcpts := range [][]string{{"alice@example.org"}, {"alice@example.org", "bob@example.org"}} {
		c := b.dial(t)
		if err := c.Mail("a@b.example", nil); err != nil {
			t.Fatal(err)
		}
		for _, r := range rcpts {
			if err := c.Rcpt(r, nil); err != nil {
				t.Fatal(err)
			}
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, strings.Repeat(letterText, 1000)); err != nil {
			t.Fatal(err)
		}
		before := b.closed()
		c.Close()
		for b.closed() == before {
			runtime.Gosched()
		}
		for _, r := range rcpts {
			if n := b.a.busy.Count(r); n != 0 {
				t.Errorf("%s is still busy", r)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir.root, "*", "Maildir", "*", "*M*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// closed counts the connections that ended.
func (b *bench) closed() int {
	n := 0
	for _, e := range b.log.Events() {
		if _, ok := e.(disconnected); ok {
			n++
		}
	}
	return n
}
