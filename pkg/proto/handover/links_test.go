package handover

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// sessions is a session role that answers every frame with the number of the
// connection it came over, as the pid.
type sessions struct {
	t    *testing.T
	path string
	stop func()
}

func startSessions(t *testing.T, path string, answer func(c net.Conn, connection int) error) *sessions {
	t.Helper()
	l, err := netx.OpenPacket(conf.Listen{Address: "unix:" + path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	serve := func(c net.Conn, number int) {
		defer c.Close()
		for {
			_, stream, err := Receive(c, room())
			if err != nil {
				return
			}
			_ = stream.Close()
			if answer(c, number) != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for number := 1; ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { serve(c, number) })
		}
	})
	s := &sessions{t: t, path: path}
	s.stop = sync.OnceFunc(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	t.Cleanup(s.stop)
	return s
}

// offer hands one client over and returns the pid of the answer.
func (s *sessions) offer(l *Links) (uint32, error) {
	near, far, err := netx.SocketPair()
	if err != nil {
		s.t.Fatal(err)
	}
	defer near.Close()
	defer far.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, err := l.Offer(ctx, s.path, sample(), far)
	return a.PID, err
}

func (s *sessions) want(l *Links, connection uint32) {
	s.t.Helper()
	if got, err := s.offer(l); err != nil || got != connection {
		s.t.Errorf("over connection %d, want %d, %v", got, connection, err)
	}
}

func takeAs(c net.Conn, connection int) error { return Take(c, connection, "") }

func TestLinksKeepConnections(t *testing.T) {
	var l Links
	defer l.Close()
	dir := t.TempDir()
	a := startSessions(t, filepath.Join(dir, "a"), takeAs)
	b := startSessions(t, filepath.Join(dir, "b"), takeAs)
	for range 3 {
		a.want(&l, 1)
		b.want(&l, 1)
	}
	for range maxIdle + 1 { // of which one too many
		conn, err := dial(context.Background(), a.path)
		if err != nil {
			t.Fatal(err)
		}
		l.keep(link{conn, a.path})
	}
	if len(l.idle) != maxIdle {
		t.Errorf("%d connections are kept, not %d", len(l.idle), maxIdle)
	}
	b.want(&l, 2) // the first one had to make room
}

// TestLinksOutliveTheSessionRole: a session role that was started afresh gets
// the next client, though all connections to it are dead.
func TestLinksOutliveTheSessionRole(t *testing.T) {
	var l Links
	defer l.Close()
	s := startSessions(t, filepath.Join(t.TempDir(), "session"), takeAs)
	s.want(&l, 1)
	conn, err := dial(context.Background(), s.path)
	if err != nil {
		t.Fatal(err)
	}
	l.keep(link{conn, s.path})
	s.stop()
	if _, err := s.offer(&l); fail.KindOf(err) != fail.Unavailable {
		t.Errorf("without a session role: %v", err)
	}
	s = startSessions(t, s.path, takeAs)
	s.want(&l, 1)
	s.want(&l, 1)
}

// TestLinksEndAfterFailures: only a connection that has answered is used
// again, and a refusal is an answer.
func TestLinksEndAfterFailures(t *testing.T) {
	for what, c := range map[string]struct {
		answer func(c net.Conn, connection int) error
		keeps  int
	}{
		"a refusal":     {func(c net.Conn, _ int) error { return Refuse(c, "full") }, 1},
		"garbage":       {func(c net.Conn, _ int) error { _, err := c.Write([]byte("hello")); return err }, 0},
		"no answer":     {func(net.Conn, int) error { return net.ErrClosed }, 0},
		"no such frame": {takeAs, 0},
	} {
		var l Links
		s := startSessions(t, filepath.Join(t.TempDir(), "session"), c.answer)
		var err error
		if what == "no such frame" {
			_, err = l.Offer(context.Background(), s.path, sample(), notASocket(t))
		} else {
			_, err = s.offer(&l)
		}
		if fail.KindOf(err) != fail.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
		if len(l.idle) != c.keeps {
			t.Errorf("after %s %d connections are kept, not %d", what, len(l.idle), c.keeps)
		}
		l.Close()
		s.stop()
	}
}

func notASocket(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestLinksClose(t *testing.T) {
	var l Links
	s := startSessions(t, filepath.Join(t.TempDir(), "session"), takeAs)
	s.want(&l, 1)
	l.Close()
	s.want(&l, 2) // one on its way is finished
	s.want(&l, 3)
	if len(l.idle) != 0 {
		t.Error("a connection was kept after Close")
	}
}
