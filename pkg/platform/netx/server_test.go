package netx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// running serves s on a loopback port until the test ends or stop is called.
func running(t *testing.T, s *Server) (addr string, stop func() error) {
	t.Helper()
	l := mustOpen(t, conf.Listen{Address: "127.0.0.1:0"}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// hello reads what the server says before it waits or closes.
func hello(t *testing.T, c net.Conn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 200)
	n, err := c.Read(buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// greeter says hello and stays until its context or its connection ends.
func greeter(ctx context.Context, c net.Conn) {
	_, _ = io.WriteString(c, "hello")
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := io.Copy(io.Discard, c)
	if err != nil && errors.Is(context.Cause(ctx), ErrShutdown) {
		_, _ = io.WriteString(c, "goodbye")
	}
}

func reply(c net.Conn, why Reason) { _, _ = io.WriteString(c, "no: "+string(why)) }

func TestLimits(t *testing.T) {
	s := &Server{Handler: greeter, Limits: Limits{MaxConns: 3, MaxPerPeer: 2}, OnReject: reply, DrainLimit: time.Second}
	addr, stop := running(t, s)
	a, b := dial(t, addr), dial(t, addr)
	if hello(t, a) != "hello" || hello(t, b) != "hello" {
		t.Fatal("the first two must get in")
	}
	if got := hello(t, dial(t, addr)); got != "no: "+string(TooManyFromPeer) {
		t.Fatalf("third of one peer: %q", got)
	}
	_ = a.Close()
	// The place is free as soon as the server has seen the end.
	for {
		if got := hello(t, dial(t, addr)); got == "hello" {
			break
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s.Active() != 0 || s.peers.Count(netip.MustParsePrefix("127.0.0.1/32")) != 0 {
		t.Fatal("places are still taken")
	}

	total := &Server{
		Handler: greeter, OnReject: reply, DrainLimit: time.Second,
		Limits: Limits{MaxConns: 1, MaxPerPeer: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}
	addr, _ = running(t, total)
	if got := hello(t, dial(t, addr)); got != "hello" {
		t.Fatal(got)
	}
	if got := hello(t, dial(t, addr)); got != "no: "+string(TooMany) {
		t.Fatalf("exempt peers count in total: %q", got)
	}
}

func TestSites(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.1":             "192.0.2.1/32",
		"::ffff:192.0.2.1":      "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6":  "2001:db8:1:2::/64",
		"2001:db8:1:2::ffff":    "2001:db8:1:2::/64",
		"fe80::1%eth0":          "fe80::/64",
		"2001:db8:1:3:3:4:5:6%": "",
	} {
		a, err := netip.ParseAddr(ip)
		if err != nil {
			continue
		}
		if got := Site(a).String(); got != want {
			t.Errorf("%s counts as %s, want %s", ip, got, want)
		}
	}
}

func TestDrainTellsSessions(t *testing.T) {
	s := &Server{Handler: greeter, DrainLimit: 5 * time.Second}
	addr, stop := running(t, s)
	c := dial(t, addr)
	if hello(t, c) != "hello" {
		t.Fatal("no greeting")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := hello(t, c); got != "goodbye" {
		t.Fatalf("the session was not told: %q", got)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Fatal("still listening")
	}
}

func TestDrainLimitCloses(t *testing.T) {
	stuck := make(chan struct{})
	s := &Server{DrainLimit: time.Millisecond, Handler: func(_ context.Context, c net.Conn) {
		close(stuck)
		_, _ = io.Copy(io.Discard, c) // does not listen to its context
	}}
	addr, stop := running(t, s)
	c := dial(t, addr)
	<-stuck
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := hello(t, c); got != "" {
		t.Fatal(got)
	}
}

func TestPanicEndsOneConnection(t *testing.T) {
	log, events := obs.Capture()
	var told atomic.Int32
	s := &Server{Log: log, OnPanic: func(net.Conn) { told.Add(1) }, Handler: func(ctx context.Context, c net.Conn) {
		buf := make([]byte, 1)
		_, _ = c.Read(buf)
		if buf[0] == '!' {
			panic("boom")
		}
		_, _ = c.Write(buf)
	}}
	addr, stop := running(t, s)
	good, bad := dial(t, addr), dial(t, addr)
	_, _ = bad.Write([]byte("!"))
	if got := hello(t, bad); got != "" {
		t.Fatal(got)
	}
	_, _ = good.Write([]byte("x"))
	if got := hello(t, good); got != "x" {
		t.Fatalf("another connection died too: %q", got)
	}
	_ = stop()
	if s.Panics() != 1 || told.Load() != 1 || s.Active() != 0 {
		t.Fatal(s.Panics(), told.Load(), s.Active())
	}
	found := false
	for _, e := range events.Events() {
		for _, a := range e.Attrs() {
			found = found || a.Key == "stack" && strings.Contains(a.Value.String(), "server_test.go")
		}
	}
	if !found {
		t.Fatal("no stack in the log")
	}
}

func TestDeniedPeersAreTold(t *testing.T) {
	byUser, _ := unixSpec(t)
	byUser.Allow = []string{"4294967294"}
	byAddress := conf.Listen{Address: "127.0.0.1:0", AllowNetworks: []conf.Network{conf.MustNetwork("192.0.2.1")}}
	for spec, want := range map[*conf.Listen]Reason{&byUser: NotAllowed, &byAddress: AddressDenied} {
		l := mustOpen(t, *spec, nil)
		s := &Server{Handler: greeter, OnReject: reply}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- s.Serve(ctx, l) }()
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got := hello(t, c); got != "no: "+string(want) {
			t.Error(got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// brokenListener fails as told, then hands out connections.
type brokenListener struct {
	net.Listener
	errs []error
}

func (b *brokenListener) Accept() (net.Conn, error) {
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		if err != nil {
			return nil, err
		}
	}
	return b.Listener.Accept()
}

func (b *brokenListener) SetDeadline(t time.Time) error {
	return b.Listener.(*tcpListener).SetDeadline(t)
}

func TestAcceptFailures(t *testing.T) {
	emfile := &net.OpError{Op: "accept", Err: syscall.EMFILE}
	l := &brokenListener{
		Listener: mustOpen(t, conf.Listen{Address: "127.0.0.1:0"}, nil),
		errs:     []error{emfile, nil, syscall.ECONNABORTED, syscall.EPROTO}, // nil: accept after all
	}
	shed := dial(t, l.Addr().String()) // waits in the backlog
	rejected := make(chan Reason, 1)
	a := &acceptor{l: l, log: obs.Discard(), reject: func(c net.Conn, why Reason) { rejected <- why }}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan net.Conn, 1)
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, func(c net.Conn) { served <- c }) }()
	if why := <-rejected; why != NoDescriptors {
		t.Fatal(why)
	}
	if got := hello(t, shed); got != "" {
		t.Fatal(got)
	}
	dial(t, l.Addr().String())
	_ = (<-served).Close()
	cancel()
	_ = l.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestAcceptGivesUp(t *testing.T) {
	l := mustOpen(t, conf.Listen{Address: "127.0.0.1:0"}, nil)
	b := &brokenListener{Listener: l}
	for range maxAcceptFailures + 1 {
		b.errs = append(b.errs, syscall.EBADF)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &acceptor{l: b, log: obs.Discard(), pause: func(context.Context, time.Duration) {}}
	err := a.run(ctx, nil)
	cancel()
	if !errors.Is(err, syscall.EBADF) {
		t.Fatal(err)
	}
}

func TestTally(t *testing.T) {
	var c Tally[string]
	if !c.Take("a", 1) || c.Take("a", 1) || !c.Take("b", 1) || !c.Take("a", 0) {
		t.Fatal("limits are per key, 0 is none")
	}
	c.Give("a")
	c.Give("a")
	c.Give("a")
	if c.Count("a") != 0 || c.Count("b") != 1 || len(c.n) != 1 {
		t.Fatal(c.n)
	}
}

func TestUnread(t *testing.T) {
	local, remote, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	peer, err := StreamConn(remote)
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c := Unread(local, []byte("before "))
	if err := WaitReadable(WithTimeouts(c, time.Second, 0)); err != nil {
		t.Fatalf("buffered bytes are readable: %v", err)
	}
	if Base(c) != net.Conn(local) {
		t.Fatal("not unwrapped")
	}
	_, _ = io.WriteString(peer, "after")
	if err := CloseWrite(peer); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	small := make([]byte, 3)
	for {
		n, err := c.Read(small)
		all.Write(small[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if all.String() != "before after" {
		t.Fatal(all.String())
	}
	if err := CloseWrite(c); err != nil {
		t.Fatal(err)
	}
	if n, err := peer.Read(small); !errors.Is(err, io.EOF) {
		t.Fatal(n, err)
	}
}

func TestTimeouts(t *testing.T) {
	local, remote, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	defer remote.Close()
	c := WithTimeouts(local, time.Millisecond, time.Millisecond)
	var ne net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatal(err)
	}
	big := make([]byte, 1<<20)
	for {
		if _, err := c.Write(big); err != nil {
			if !errors.As(err, &ne) || !ne.Timeout() {
				t.Fatal(err)
			}
			break
		}
	}
	if !Deadline(0).IsZero() || Deadline(time.Hour).Before(time.Now()) {
		t.Fatal("deadlines")
	}
}

// A connection of Start lasts until it is ended, beyond the goroutine that
// began it; shutdown waits for it, and a panic ends it.
func TestServerStart(t *testing.T) {
	ends := make(chan func(), 2)
	s := &Server{DrainLimit: time.Hour, Start: func(_ context.Context, c net.Conn, end func()) {
		second := len(ends) == 1
		if !second {
			ends <- end
		}
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Error(err)
		}
		if second {
			panic("the second one")
		}
	}}
	addr, stop := running(t, s)
	first := dial(t, addr)
	if got := hello(t, first); got != "hello" || s.Active() != 1 {
		t.Fatal(got, s.Active())
	}
	stopped := make(chan struct{})
	second := dial(t, addr)
	_ = hello(t, second)
	if got := hello(t, second); got != "" || s.Panics() != 1 {
		t.Fatal(got, s.Panics())
	}
	go func() {
		_ = stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Fatal("a connection is still open")
	case <-time.After(20 * time.Millisecond):
	}
	(<-ends)()
	<-stopped
	if got := hello(t, first); got != "" || s.Active() != 0 {
		t.Fatal(got, s.Active())
	}
}
