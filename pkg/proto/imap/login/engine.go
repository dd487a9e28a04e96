package login

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// Engine runs one connection. It is not safe for concurrent use.
type Engine struct {
	opt     Options
	conn    net.Conn
	r       *wire.Reader
	w       *wire.Writer
	started time.Time
	greeted bool
	bad     int
	out     Outcome

	clientID string // what the client last said about itself
}

// writeTimeout bounds one write: what is said before a login is short.
const writeTimeout = 30 * time.Second

// New prepares an engine. It sends nothing yet.
func New(conn net.Conn, opt Options) *Engine {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.LoginTimeout == 0 {
		opt.LoginTimeout = 3 * time.Minute
	}
	if opt.AuthTimeout == 0 {
		opt.AuthTimeout = 150 * time.Second
	}
	if opt.MaxBad == 0 {
		opt.MaxBad = 3
	}
	lim := wire.LoginLimits()
	if opt.MaxLine > 0 {
		lim.Line, lim.Memory = opt.MaxLine, opt.MaxLine
	}
	if opt.LiteralMinus {
		lim.NonSync = wire.LiteralMinus
	}
	e := &Engine{opt: opt, conn: conn, started: opt.Now()}
	if opt.Buffers == nil {
		opt.Buffers = new(wire.Buffers)
	}
	e.r = opt.Buffers.Reader(reader{e}, lim, e.carryOn)
	e.w = opt.Buffers.Writer(writer{e})
	if opt.Resumed {
		e.greeted = true
		e.r.Preload(opt.Buffered)
	}
	return e
}

// reader and writer follow e.conn through STARTTLS.
type reader struct{ e *Engine }

func (r reader) Read(p []byte) (int, error) { return r.e.conn.Read(p) }

type writer struct{ e *Engine }

func (w writer) Write(p []byte) (int, error) {
	// Real time: the connection knows no other.
	_ = w.e.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return w.e.conn.Write(p)
}

// carryOn lets the client send a literal.
func (e *Engine) carryOn() error {
	e.w.Raw("+ OK\r\n")
	return e.w.Flush()
}

// Run sends the greeting (the first time it is called) and serves commands
// until somebody is logged in or the connection is over. It never closes the
// connection. After a Success that could not be used, answer it with Refuse
// and call Run again.
func (e *Engine) Run(ctx context.Context) Outcome {
	e.out.Success, e.out.Reason, e.out.Err = nil, ReasonNone, nil
	left := e.opt.LoginTimeout - e.opt.Now().Sub(e.started)
	_ = e.conn.SetReadDeadline(time.Now().Add(max(left, time.Millisecond)))
	stop := context.AfterFunc(ctx, func() { _ = e.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if !e.greeted {
		e.greeted = true
		e.w.Raw("* OK [CAPABILITY ")
		e.w.Raw(e.capabilities())
		e.w.Raw("] ")
		e.w.Raw(e.opt.Greeting)
		e.w.CRLF()
	}
	for e.out.Success == nil && e.out.Reason == ReasonNone {
		e.command(ctx)
	}
	_ = e.w.Release()
	if stop(); e.out.Success != nil {
		_ = e.conn.SetDeadline(time.Time{})
	} else {
		e.r.Drop()
	}
	e.out.Secured = e.opt.Secured
	e.out.Duration = e.opt.Now().Sub(e.started)
	return e.out
}

// Refuse answers a Success with NO: the login was right but cannot be served.
// The bytes in s.Buffered are read again by the next Run.
func (e *Engine) Refuse(s *Success, code imap.ResponseCode, text string) error {
	e.r.Preload(s.Buffered)
	e.w.Status(s.Tag, imap.StatusResponseTypeNo, string(code), text)
	return e.w.Flush()
}

// capabilities is the list for a client that is not logged in. ENABLE, IDLE
// and the like are named already, as Dovecot does, for the clients that never
// ask again.
func (e *Engine) capabilities() string {
	caps := []string{"IMAP4rev1", "SASL-IR", "ID", "ENABLE", "IDLE", "LITERAL+"}
	if e.opt.LiteralMinus {
		caps[len(caps)-1] = "LITERAL-"
	}
	if e.opt.StartTLS != nil && !e.out.TLS {
		caps = append(caps, "STARTTLS")
	}
	if !e.passwords() {
		caps = append(caps, "LOGINDISABLED")
	}
	for _, m := range e.mechanisms() {
		caps = append(caps, "AUTH="+m)
	}
	return strings.Join(caps, " ")
}

// passwords reports whether passwords may cross the connection.
func (e *Engine) passwords() bool { return e.opt.Secured || e.opt.AllowPlaintext }

func (e *Engine) mechanisms() []string { return e.opt.Auth.Mechanisms(e.passwords()) }

// command serves one command. It flushes before it waits.
func (e *Engine) command(ctx context.Context) {
	if len(e.r.Buffered()) == 0 {
		if err := e.w.Flush(); err != nil {
			e.end(ctx, err)
			return
		}
	}
	e.r.Start()
	if err := e.r.Fill(); err != nil {
		e.end(ctx, err)
		return
	}
	if c := e.r.Peek(); c == '\r' || c == '\n' { // an empty line is no command
		e.r.End()
		return
	}
	tag := e.r.Tag()
	e.r.SP()
	verb := e.r.Word()
	if e.r.Ok() {
		e.dispatch(ctx, tag, verb)
	}
	e.settle(ctx, tag)
}

// settle answers for a command that could not be parsed.
func (e *Engine) settle(ctx context.Context, tag string) {
	err := e.r.Err()
	if err == nil || e.out.Reason != ReasonNone {
		return
	}
	var syntax *wire.SyntaxError
	if !errors.As(err, &syntax) {
		e.end(ctx, err)
		return
	}
	if err := e.r.Recover(); err != nil {
		e.end(ctx, err)
		return
	}
	if tag == "" {
		tag = "*"
	}
	e.invalid(tag, "Error in IMAP command received by server: "+syntax.Text+".")
}

// invalid answers BAD, and ends a connection that gets too many of them:
// it speaks another protocol, or looks for holes.
func (e *Engine) invalid(tag, text string) {
	e.w.Status(tag, imap.StatusResponseTypeBad, "", text)
	if e.bad++; e.bad >= e.opt.MaxBad {
		e.bye(ReasonBadCommand, "Too many invalid IMAP commands.")
	}
}

// bye ends the connection from our side.
func (e *Engine) bye(why Reason, text string) {
	e.w.Status("*", imap.StatusResponseTypeBye, "", text)
	e.out.Reason = why
}

// end finds out why the connection cannot go on, and says so where somebody
// may still be listening.
func (e *Engine) end(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
		e.bye(ReasonShutdown, "Server shutting down.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.bye(ReasonInactive, "Disconnected for inactivity.")
	case errors.Is(err, wire.ErrTooLong):
		e.bye(ReasonBadCommand, "Input buffer full, aborting.")
	default:
		e.out.Reason = ReasonClosed
		if !errors.Is(err, io.EOF) {
			e.out.Err = err
		}
	}
}
