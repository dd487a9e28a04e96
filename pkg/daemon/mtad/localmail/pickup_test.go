package localmail

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/maildrop"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// taker is a submit listener that answers by the local part of the recipient.
type taker struct {
	t    *testing.T
	got  []string
	open bool // nobody has to wait any more
}

func (k *taker) dial(ctx context.Context, uid int) (net.Conn, error) {
	srv, peer, err := As(uid)
	if err != nil {
		return nil, err
	}
	c := server.Default()
	c.Hostname = "mx.example"
	c.Accept = func(_ context.Context, conn *server.Conn) (server.Session, server.Reply) {
		if got, ok := UIDOf(conn.Net); !ok || got != uid {
			k.t.Errorf("the peer is %d, want %d", got, uid)
		}
		return takerSession{k: k}, server.Reply{}
	}
	engine, err := server.New(c)
	if err != nil {
		return nil, err
	}
	go engine.Serve(ctx, srv)
	return peer, nil
}

type takerSession struct{ k *taker }

func (takerSession) Helo(context.Context) server.Reply { return server.Reply{} }

func (takerSession) Mail(context.Context, *server.Transaction) server.Verdict {
	return server.Verdict{}
}

func (takerSession) Data(context.Context, *server.Transaction) server.Verdict {
	return server.Verdict{}
}
func (takerSession) Reset(*server.Transaction) {}
func (takerSession) Event(server.Event)        {}
func (takerSession) Close(server.Summary)      {}
func (s takerSession) Rcpt(_ context.Context, _ *server.Transaction, r server.Recipient) server.Verdict {
	switch r.To.Local {
	case "never":
		return server.Say(server.MakeReply(550, 5, 7, 1, "no"))
	case "later":
		if s.k.open {
			break
		}
		return server.Say(server.MakeReply(450, 4, 7, 1, "too much"))
	}
	return server.Verdict{}
}

func (s takerSession) Message(_ context.Context, tx *server.Transaction, r io.Reader) server.Result {
	text, _ := io.ReadAll(r)
	var to []string
	for _, r := range tx.Rcpts {
		to = append(to, r.To.Local)
	}
	s.k.got = append(s.k.got, strings.Join(to, ",")+" "+strings.TrimSpace(string(text)))
	return server.Result{}
}

func put(t *testing.T, dir, to string, at int64) {
	t.Helper()
	putOn(t, disk.OS(), dir, to, at)
}

func putOn(t *testing.T, fsys disk.FS, dir, to string, at int64) {
	t.Helper()
	env := &maildrop.Envelope{Sender: "joe@x.example"}
	for _, name := range strings.Fields(to) {
		env.Recipients = append(env.Recipients, maildrop.Recipient{To: name + "@x.example"})
	}
	w, err := maildrop.Create(fsys, dir, env, time.Unix(at, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "text\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

// Messages are taken in order; what is refused for good is set aside, what has
// to wait stays and is taken once it may.
func TestPickup(t *testing.T) {
	dir := t.TempDir()
	for i, to := range []string{"a", "never", "b", "later", "c"} {
		put(t, dir, to, int64(1000+i))
	}
	if err := os.WriteFile(filepath.Join(dir, "0-junk.mail"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &taker{t: t}
	p := &Pickup{FS: disk.OS(), Dir: dir, Now: time.Now, Log: obs.Discard(), Dial: k.dial}
	if err := p.look(t.Context()); !fail.Is(err, fail.Temporary) {
		t.Errorf("look: %v, want Temporary", err)
	}
	// All files are of one user, so c waits behind what is to come later.
	if want := []string{"a text", "b text"}; !slices.Equal(k.got, want) {
		t.Errorf("taken: %q, want %q", k.got, want)
	}
	count := map[string]int{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		count[filepath.Ext(e.Name())]++
	}
	if count[".mail"] != 2 || count[".refused"] != 2 || len(count) != 2 {
		t.Errorf("left: %v", count)
	}
}

// The machine dies after a message was taken and before its file is removed:
// it is taken again, as docs/formats/maildrop.md says; else it is taken once.
func TestDieAfterTaking(t *testing.T) {
	for point, want := range map[string]int{"maildrop.taken": 2, "": 1} {
		fsys := disk.NewForgetful()
		if err := disk.MkdirAll(fsys, "/drop", 0o777); err != nil {
			t.Fatal(err)
		}
		putOn(t, fsys, "/drop", "a", 1000)
		if point != "" {
			fsys.CrashAt(point)
		}
		k := &taker{t: t}
		p := &Pickup{FS: fsys, Dir: "/drop", Now: time.Now, Log: obs.Discard(), Dial: k.dial}
		err := p.look(t.Context())
		if fsys.Crashed() != (point != "") || (err != nil) != (point != "") {
			t.Errorf("%q: %v", point, err)
		}
		if point != "" {
			p.FS = fsys.Crash()
		}
		if err := p.look(t.Context()); err != nil {
			t.Errorf("%q, afterwards: %v", point, err)
		}
		if len(k.got) != want {
			t.Errorf("%q: taken %d times, want %d", point, len(k.got), want)
		}
		if left, _ := maildrop.List(p.FS, "/drop", 10); len(left) != 0 {
			t.Errorf("%q: left %v", point, left)
		}
	}
}

// A recipient that has to wait is not lost because others are served: it is
// tried again, alone. One that is refused for good leaves the message for the
// operator, since sendmail has said that it was taken.
func TestPickupServesEachRecipient(t *testing.T) {
	dir := t.TempDir()
	k := &taker{t: t}
	p := &Pickup{FS: disk.OS(), Dir: dir, Now: time.Now, Log: obs.Discard(), Dial: k.dial}
	look := func(waits bool, taken ...string) {
		t.Helper()
		if err := p.look(t.Context()); (err != nil) != waits {
			t.Errorf("look: %v", err)
		}
		if !slices.Equal(k.got, taken) {
			t.Errorf("taken: %q, want %q", k.got, taken)
		}
		k.got = nil
	}
	putOn(t, disk.OS(), dir, "a later never b", 1000)
	look(true, "a,b text")
	look(true)
	k.open = true
	look(false, "later text")
	look(false)
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 || filepath.Ext(left[0]) != ".refused" {
		t.Errorf("left: %v", left)
	}
}

// What one user puts into the folder keeps the mail of others waiting in no
// case: here a name that cannot be set aside.
func TestPickupGoesOnBehindTrouble(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "0.mail"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "0.refused"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "a", 1000)
	k := &taker{t: t}
	p := &Pickup{FS: disk.OS(), Dir: dir, Now: time.Now, Log: obs.Discard(), Dial: k.dial}
	if err := p.look(t.Context()); err == nil {
		t.Error("nobody is told of what cannot be set aside")
	}
	if want := []string{"a text"}; !slices.Equal(k.got, want) {
		t.Errorf("taken: %q, want %q", k.got, want)
	}
}
