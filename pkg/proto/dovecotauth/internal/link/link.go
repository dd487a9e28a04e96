package link

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Handshake reads the peer's greeting, line by line.
type Handshake interface {
	// Line takes one greeting line; done means requests may follow.
	Line(l dovecotauth.Line) (done bool, err error)
}

// Config says how to reach the peer. Zero durations take the defaults of New.
type Config struct {
	Address string // Unix socket path, or "inet:host:port"
	Dial    func(ctx context.Context) (net.Conn, error)
	Hello   []byte           // sent as soon as the connection stands
	Greet   func() Handshake // a fresh one per connection
	Ready   func(Handshake)  // called when the greeting is complete
	Patience,
	HandshakeTimeout,
	WriteTimeout,
	RequestTimeout time.Duration
	MaxPending int
}

// Back-off between failed dials. A login waits for authd's restart rather
// than failing, so the cap is short.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = time.Second
)

// Link is safe for concurrent use.
type Link struct {
	cfg  Config
	gate chan struct{} // held while dialling, so that one dial serves all

	mu      sync.Mutex
	conn    *Conn
	closed  bool
	backoff time.Duration
	nextTry time.Time
	lastErr error
}

// New returns a Link that connects at its first use.
func New(cfg Config) *Link {
	setDefault(&cfg.Patience, 2*time.Second)
	setDefault(&cfg.HandshakeTimeout, 10*time.Second)
	setDefault(&cfg.WriteTimeout, 10*time.Second)
	setDefault(&cfg.RequestTimeout, 150*time.Second)
	if cfg.MaxPending == 0 {
		cfg.MaxPending = 10000
	}
	if cfg.Dial == nil {
		cfg.Dial = dialer(cfg.Address)
	}
	return &Link{cfg: cfg, gate: make(chan struct{}, 1)}
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

func dialer(address string) func(ctx context.Context) (net.Conn, error) {
	network := "unix"
	if host, ok := cutPrefix(address, "inet:"); ok {
		network, address = "tcp", host
	} else if path, ok := cutPrefix(address, "unix:"); ok {
		address = path
	}
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}

// Close drops the connection; every request fails from now on.
func (l *Link) Close() {
	l.mu.Lock()
	c := l.conn
	l.closed, l.conn = true, nil
	l.mu.Unlock()
	if c != nil {
		c.kill(fail.New(fail.Unavailable, "auth client closed"))
	}
}

// Get returns a live connection, dialling when there is none. It keeps trying
// for the configured patience, which rides out a restart of the server.
func (l *Link) Get(ctx context.Context) (*Conn, error) {
	if c, err := l.live(); c != nil || err != nil {
		return c, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Patience+l.cfg.HandshakeTimeout)
	defer cancel()
	giveUp := time.Now().Add(l.cfg.Patience)
	select {
	case l.gate <- struct{}{}:
		defer func() { <-l.gate }()
	case <-ctx.Done():
		return nil, l.unavailable(ctx.Err())
	}
	for {
		if c, err := l.live(); c != nil || err != nil {
			return c, err
		}
		if err := l.pause(ctx, giveUp); err != nil {
			return nil, l.unavailable(err)
		}
		c, err := l.open(ctx)
		l.note(c, err)
		if err == nil {
			return c, nil
		}
		if time.Now().After(giveUp) || ctx.Err() != nil || fail.Is(err, fail.Invalid) {
			return nil, l.unavailable(err)
		}
	}
}

// Live is the connection, if there is one.
func (l *Link) Live() *Conn {
	c, _ := l.live()
	return c
}

func (l *Link) live() (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fail.New(fail.Unavailable, "auth client is closed")
	}
	if l.conn != nil && !l.conn.isDead() {
		return l.conn, nil
	}
	return nil, nil
}

// pause waits until the next dial is due. A caller whose patience ends first
// is told so at once, with the error of the last dial.
func (l *Link) pause(ctx context.Context, giveUp time.Time) error {
	l.mu.Lock()
	due, last := l.nextTry, l.lastErr
	l.mu.Unlock()
	wait := time.Until(due)
	if wait <= 0 {
		return nil
	}
	if due.After(giveUp) {
		return last
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return last
	}
}

func (l *Link) note(c *Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.backoff, l.lastErr, l.nextTry = 0, nil, time.Time{}
		l.conn = c
		if l.closed {
			c.kill(fail.New(fail.Unavailable, "auth client closed"))
		}
		return
	}
	l.backoff = min(max(2*l.backoff, minBackoff), maxBackoff)
	l.nextTry, l.lastErr = time.Now().Add(l.backoff), err
}

func (l *Link) unavailable(err error) error {
	return fail.Wrap(fail.Unavailable, err, "auth service at %s", l.cfg.Address)
}

// Dial opens a further connection, for what must not share one.
func (l *Link) Dial(ctx context.Context) (net.Conn, error) {
	nc, err := l.cfg.Dial(ctx)
	if err != nil {
		return nil, l.unavailable(err)
	}
	return nc, nil
}
