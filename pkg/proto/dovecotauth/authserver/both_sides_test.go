package authserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
)

// listen serves kind on a socket until the returned stop.
func listen(t *testing.T, srv *Server, kind Kind, path string) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				_ = srv.Serve(ctx, nc, kind, Peer{PID: os.Getpid()})
			}()
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); _ = l.Close(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

func login(ctx context.Context, c *authclient.Client, user, password string) (authclient.Result, error) {
	x, step, err := c.Start(ctx, authclient.Request{Mech: "LOGIN", Service: "imap"})
	for _, answer := range []string{user, password} {
		if err == nil && !step.Done {
			step, err = x.Next(ctx, []byte(answer))
		}
	}
	return step.Result, err
}

func TestManyLoginsOnOneConnection(t *testing.T) {
	w := &world{}
	srv := New(Config{Auth: w, Directory: w})
	dir := t.TempDir()
	listen(t, srv, Login, filepath.Join(dir, "login"))
	listen(t, srv, Master, filepath.Join(dir, "master"))
	ac := authclient.New(authclient.Config{Address: filepath.Join(dir, "login")})
	defer ac.Close()
	uc := userdbclient.New(userdbclient.Config{Address: "unix:" + filepath.Join(dir, "master")})
	defer uc.Close()
	var wg sync.WaitGroup
	errs := make(chan error, 50)
	for i := range cap(errs) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs <- loginAndRedeem(t.Context(), ac, uc, i)
		}()
	}
	wg.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	srv.logins.mu.Lock()
	n := len(srv.logins.clients)
	srv.logins.mu.Unlock()
	if n != 1 {
		t.Errorf("%d connections were made for one client", n)
	}
}

func loginAndRedeem(ctx context.Context, ac *authclient.Client, uc *userdbclient.Client, i int) error {
	if _, err := login(ctx, ac, "alice", "no"); !fail.Is(err, fail.Denied) {
		return fmt.Errorf("login %d with a wrong password: %w", i, err)
	}
	if _, err := login(ctx, ac, "erin", "pw"); !fail.Is(err, fail.Unavailable) {
		return fmt.Errorf("login %d during an outage: %w", i, err)
	}
	r, err := login(ctx, ac, "alice", "pw")
	if err != nil {
		return fmt.Errorf("login %d: %w", i, err)
	}
	u, err := uc.Redeem(ctx, r.PID, r.RequestID, r.Cookie, 0)
	if err != nil || u.User != "alice" || u.UID != 103 {
		return fmt.Errorf("redeeming login %d: %+v %w", i, u, err)
	}
	if _, err := uc.Redeem(ctx, r.PID, r.RequestID, r.Cookie, 0); !fail.Is(err, fail.Denied) {
		return fmt.Errorf("redeeming login %d twice: %w", i, err)
	}
	return nil
}

// A login that comes while authd restarts waits for it.
func TestClientRidesOutRestart(t *testing.T) {
	w := &world{}
	path := filepath.Join(t.TempDir(), "login")
	stop := listen(t, New(Config{Auth: w, Directory: w}), Login, path)
	c := authclient.New(authclient.Config{Address: path, Patience: 30 * time.Second})
	defer c.Close()
	if _, err := login(t.Context(), c, "alice", "pw"); err != nil {
		t.Fatal(err)
	}
	stop()
	done := make(chan error, 1)
	go func() {
		_, err := login(t.Context(), c, "alice", "pw")
		done <- err
	}()
	listen(t, New(Config{Auth: w, Directory: w}), Login, path)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Nobody there: unavailable, soon, and with the socket's name in the text.
func TestClientWithoutServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nobody")
	c := authclient.New(authclient.Config{Address: path, Patience: time.Millisecond})
	defer c.Close()
	if _, err := c.Mechanisms(t.Context()); !fail.Is(err, fail.Unavailable) {
		t.Fatal(err)
	}
	u := userdbclient.New(userdbclient.Config{Address: path, Patience: time.Millisecond})
	u.Close()
	if _, err := u.User(t.Context(), "alice", "lmtp"); !fail.Is(err, fail.Unavailable) {
		t.Fatal(err)
	}
}
