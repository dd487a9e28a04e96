package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// blockSize is how much content leaves in one write, and the size of the read
// buffer.
const blockSize = 32 << 10

// Conn is an open session with a server. It is for one goroutine at a time.
type Conn struct {
	cfg   Config
	raw   net.Conn // as given to New
	net   net.Conn // raw, or TLS above it
	in    *wire.Reader
	out   *bufio.Writer
	block []byte // for reading content
	tls   *tls.ConnectionState
	ext   map[string]string
	hi    wire.Reply
	uses  int
	name  string // the server's, in its reply to EHLO
	login bool   // was granted
	dirty bool   // the server has a transaction open
	dead  bool
	odd   bool // see Odd
}

// New runs the greeting, EHLO, STARTTLS and AUTH on conn and returns the
// session. On error, a *SiteError, conn is closed.
func New(ctx context.Context, conn net.Conn, cfg Config) (*Conn, error) {
	cfg.Timeouts = cfg.Timeouts.orDefaults()
	c := &Conn{cfg: cfg, raw: conn}
	c.use(conn)
	defer c.watch(ctx)()
	if err := c.open(ctx); err != nil {
		var site *SiteError
		if errors.As(err, &site) {
			return nil, c.lost(site)
		}
		c.Close()
		return nil, err
	}
	return c, nil
}

// open is everything before the first transaction.
func (c *Conn) open(ctx context.Context) error {
	if c.cfg.TLSMode == ImplicitTLS {
		if err := c.handshake(ctx); err != nil {
			return err
		}
	}
	hi, err := c.reply(ctx, StageConnect, c.cfg.Timeouts.Greeting)
	if err != nil {
		return err
	}
	if c.hi = hi; !hi.OK() {
		return &SiteError{Stage: StageConnect, Reply: hi}
	}
	if err := c.hello(ctx); err != nil {
		return err
	}
	if err := c.startTLS(ctx); err != nil {
		return err
	}
	return c.auth(ctx)
}

// Reset ends whatever transaction is open and proves that the server is
// still there, before a session is used again.
func (c *Conn) Reset(ctx context.Context) error {
	if c.dead {
		return ErrClosed
	}
	defer c.watch(ctx)()
	r, err := c.command(ctx, StageReset, c.cfg.Timeouts.Reset, "RSET")
	if err == nil && !r.OK() {
		err = c.lost(&SiteError{Stage: StageReset, Reply: r})
	}
	if err != nil {
		return err
	}
	c.dirty = false
	return nil
}

// Quit says goodbye and closes the connection.
func (c *Conn) Quit(ctx context.Context) error {
	if c.dead {
		return ErrClosed
	}
	defer c.watch(ctx)()
	_, err := c.command(ctx, StageQuit, c.cfg.Timeouts.Quit, "QUIT")
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}

// Close closes the connection at once.
func (c *Conn) Close() error {
	if c.dead {
		return nil
	}
	c.dead = true
	c.in.Release()
	return c.net.Close()
}

// Extension returns the parameters of an EHLO keyword (upper case).
func (c *Conn) Extension(keyword string) (params string, ok bool) {
	params, ok = c.ext[keyword]
	return params, ok
}

// Name returns the name that the server gave itself in its reply to EHLO.
func (c *Conn) Name() string { return c.name }

// Greeting returns the server's first reply.
func (c *Conn) Greeting() wire.Reply { return c.hi }

// TLS returns the state of the connection, nil in the clear.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Uses returns the number of transactions that were begun.
func (c *Conn) Uses() int { return c.uses }

// Odd reports whether the server has called a command of a transaction one that
// it does not know, or a wrong one (500 to 509): one of us does not keep to the
// protocol.
func (c *Conn) Odd() bool { return c.odd }

// Usable reports whether another transaction may be tried.
func (c *Conn) Usable() bool { return !c.dead }

// use continues on conn. What was read before and not used is dropped: it was
// sent before TLS began and may be an attacker's.
func (c *Conn) use(conn net.Conn) {
	if c.in != nil {
		c.in.Release()
	}
	c.net = conn
	c.in = wire.NewReader(conn, wire.NewBuffers(blockSize))
	c.out = bufio.NewWriterSize(&blockWriter{c: c}, blockSize)
}

// blockWriter gives each write its own time limit. The deadline is moved only
// when it has drifted by a noticeable part: moving it costs as much as a reply.
type blockWriter struct {
	c     *Conn
	armed time.Time // the deadline the connection has
}

func (w *blockWriter) Write(p []byte) (int, error) {
	limit := w.c.cfg.Timeouts.Transfer
	if t := time.Now().Add(limit); t.Sub(w.armed) > limit/16 {
		w.armed = t
		_ = w.c.net.SetWriteDeadline(t) // fails only when closed
	}
	return w.c.net.Write(p)
}

// watch makes the end of ctx interrupt reads and writes until the returned
// function is called.
func (c *Conn) watch(ctx context.Context) func() {
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	return func() { stop() }
}

// command sends one line and waits for its reply.
func (c *Conn) command(ctx context.Context, stage Stage, timeout time.Duration, line string) (wire.Reply, error) {
	if stage == StageAuth {
		c.record("[login]")
	} else {
		c.record(line)
	}
	c.out.WriteString(line)   //nolint:errcheck // Flush returns it
	c.out.WriteString("\r\n") //nolint:errcheck // so here
	if err := c.flush(ctx, stage); err != nil {
		return wire.Reply{}, err
	}
	return c.reply(ctx, stage, timeout)
}

// record tells whom keeps a transcript of a command, which content may follow.
func (c *Conn) record(text string) {
	if c.cfg.Record != nil {
		line, _, _ := strings.Cut(text, "\r\n")
		c.cfg.Record.Out(line)
	}
}

// flush sends what was written. A server that closes its side may have said
// why before.
func (c *Conn) flush(ctx context.Context, stage Stage) error {
	err := c.out.Flush()
	if err == nil {
		return nil
	}
	site := c.failure(ctx, stage, err)
	_ = c.net.SetReadDeadline(time.Now().Add(time.Second))
	if r, rerr := c.in.ReadReply(wire.DefaultReplyLimits()); rerr == nil {
		site.Reply = r
	}
	return c.lost(site)
}

// reply reads one reply. 421 and whatever is no reply end the session.
func (c *Conn) reply(ctx context.Context, stage Stage, timeout time.Duration) (wire.Reply, error) {
	if !c.in.HasLine() {
		_ = c.net.SetReadDeadline(time.Now().Add(timeout)) // fails only when closed
	}
	r, err := c.in.ReadReply(wire.DefaultReplyLimits())
	switch {
	case err != nil:
		return r, c.lost(c.failure(ctx, stage, err))
	case c.heard(stage, r).Code == 421:
		return r, c.lost(&SiteError{Stage: stage, Reply: r})
	}
	return r, nil
}

// heard takes note of a reply.
func (c *Conn) heard(stage Stage, r wire.Reply) wire.Reply {
	switch stage {
	case StageMail, StageRcpt, StageData, StageChunk, StageEnd:
		c.odd = c.odd || r.Code >= 500 && r.Code < 510
	}
	if c.cfg.Record != nil {
		c.cfg.Record.In(string(r.Append(nil)))
	}
	return r
}

// failure names the context's end rather than what it did to the connection.
func (c *Conn) failure(ctx context.Context, stage Stage, err error) *SiteError {
	if cerr := context.Cause(ctx); cerr != nil {
		err = fail.Wrap(fail.Temporary, cerr, "given up")
	}
	return &SiteError{Stage: stage, Err: err, Encrypted: c.tls != nil}
}

// lost closes the connection because of err, with a goodbye to a server that
// listens.
func (c *Conn) lost(err *SiteError) error {
	if !c.dead && (err.Err == nil || err.Auth || err.TLS && err.Stage == StageSTARTTLS) {
		c.hangUp("QUIT\r\n")
	}
	c.Close()
	return err
}

// farewell is how long last words may take to leave.
const farewell = time.Second

// hangUp says last words, to which no reply is awaited, and closes.
func (c *Conn) hangUp(words string) {
	_ = c.net.SetWriteDeadline(time.Now().Add(farewell))
	_, _ = io.WriteString(c.net, words)
	c.Close()
}
