package deliverd

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/hint"
)

// imapd hears of each message, by the name of the file that is there.
func TestHints(t *testing.T) {
	b := newBench(t, nil, nil)
	where := filepath.Join(t.TempDir(), "events")
	l, err := net.Listen("unixpacket", where)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b.a.hints = hint.NewSender(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unixpacket", where)
	}, 7, time.Now)
	defer b.a.hints.Close()
	send(t, b.dial(t), letterText, "alice+x@example.org", "bob@example.org")
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	heard := map[string]hint.Hint{}
	for range 2 {
		packet := make([]byte, 4096)
		n, err := conn.Read(packet)
		if err != nil {
			t.Fatal(err)
		}
		h, err := hint.Parse(packet[:n])
		if err != nil {
			t.Fatal(err)
		}
		heard[h.User] = h
	}
	for user, local := range map[string]string{"alice@example.org": "alice", "bob@example.org": "bob"} {
		files := b.messages(t, local, "")
		h := heard[user]
		if len(files) != 1 || h.Mailbox != "INBOX" || filepath.Base(files[0]) != h.File || h.Size != int64(len(read(t, files[0]))) || h.Generation != 7 {
			t.Errorf("%s: %+v, files %v", user, h, files)
		}
	}
}

// Nobody listens: mail is delivered all the same.
func TestHintsUnheard(t *testing.T) {
	b := newBench(t, nil, nil)
	b.a.hints = hint.NewSender(func(context.Context) (net.Conn, error) { return nil, net.ErrClosed }, 7, time.Now)
	defer b.a.hints.Close()
	if got := send(t, b.dial(t), letterText, "alice@example.org"); got["alice@example.org"] != nil {
		t.Fatal(got)
	}
	if len(b.messages(t, "alice", "")) != 1 || b.a.hints.Dropped() != 1 {
		t.Errorf("dropped %d", b.a.hints.Dropped())
	}
}
