package login

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/proto/pop3/wire"
)

// Engine runs one connection. It is not safe for concurrent use.
type Engine struct {
	raw     net.Conn // the current connection: plain, or TLS after STLS
	conn    *wire.Conn
	opt     Options
	out     Outcome
	user    string // of USER, waiting for PASS
	bad     int
	started time.Time
	greeted bool
}

// New prepares an engine. It sends nothing yet.
func New(c net.Conn, o Options) *Engine {
	if o.Pools == nil {
		o.Pools = wire.NewPools()
	}
	if o.LoginTimeout == 0 {
		o.LoginTimeout = 3 * time.Minute
	}
	if o.AuthTimeout == 0 {
		o.AuthTimeout = 150 * time.Second
	}
	if o.MaxBad == 0 {
		o.MaxBad = 3
	}
	e := &Engine{raw: c, conn: wire.NewConn(c, o.Pools, nil), opt: o, started: time.Now()}
	e.conn.Wait = o.Wait
	e.out.Secured = o.Secured
	return e
}

// verdict on one command.
type step uint8

const (
	goOn step = iota
	loggedIn
	leave
)

// Run sends the greeting (the first time) and serves commands until somebody
// is logged in or the connection is over. It never closes the connection.
// After a Success that could not be used, answer it with Refuse and call Run
// again.
func (e *Engine) Run(ctx context.Context) Outcome {
	e.out.Success, e.out.Reason, e.out.Err = nil, ReasonNone, nil
	e.conn.Done = ctx.Done()
	stop := context.AfterFunc(ctx, func() { _ = e.raw.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if !e.greeted {
		e.greeted = true
		greeting := e.opt.Greeting
		if e.opt.XClient != nil {
			greeting = "[XCLIENT] " + greeting // proxies look for it
		}
		if e.opt.Challenge != "" {
			greeting += " " + e.opt.Challenge
		}
		e.conn.Printf("+OK %s", greeting)
	}
	for {
		if done := e.turn(ctx); done {
			break
		}
	}
	if e.out.Success == nil {
		e.conn.Release()
	}
	e.out.Duration = time.Since(e.started)
	return e.out
}

// turn serves one line; true ends Run.
func (e *Engine) turn(ctx context.Context) bool {
	e.conn.ReadTimeout = max(time.Until(e.started.Add(e.opt.LoginTimeout)), time.Millisecond)
	if ctx.Err() != nil {
		return e.stop(ctx.Err(), ctx)
	}
	line, err := e.conn.ReadLine()
	if errors.Is(err, wire.ErrTooLong) {
		return e.fault("Too long line.")
	}
	if err != nil {
		return e.stop(err, ctx)
	}
	switch e.command(ctx, line) {
	case loggedIn, leave:
		return true
	}
	return false
}

// stop ends Run because of an I/O error or the end of ctx.
func (e *Engine) stop(err error, ctx context.Context) bool {
	e.out.Err = err
	switch {
	case ctx.Err() != nil:
		e.conn.Printf("-ERR [SYS/TEMP] Server shutting down.")
		e.out.Reason = ReasonShutdown
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.conn.Printf("-ERR Disconnected for inactivity.")
		e.out.Reason = ReasonInactive
	default:
		e.out.Reason = ReasonClosed
	}
	return true
}

// fault answers -ERR, counts, and ends Run when there were too many.
func (e *Engine) fault(text string) bool {
	e.bad++
	e.conn.Printf("-ERR %s", text)
	if e.bad < e.opt.MaxBad {
		return false
	}
	e.conn.Printf("-ERR Too many invalid bad commands.")
	e.out.Reason = ReasonBadCommand
	return true
}

func (e *Engine) faultStep(text string) step {
	if e.fault(text) {
		return leave
	}
	return goOn
}

type handler struct {
	name string
	run  func(e *Engine, ctx context.Context, arg string) step
}

// table is the commands of the AUTHORIZATION state.
func table() []handler {
	return []handler{
		{"CAPA", (*Engine).capa},
		{"STLS", (*Engine).stls},
		{"USER", (*Engine).userCmd},
		{"PASS", (*Engine).pass},
		{"APOP", (*Engine).apop},
		{"AUTH", (*Engine).auth},
		{"XCLIENT", (*Engine).xclient},
		{"QUIT", (*Engine).quit},
	}
}

func (e *Engine) command(ctx context.Context, line []byte) step {
	if bytes.IndexByte(line, 0) >= 0 {
		return e.faultStep("NULs in input.")
	}
	verb, arg, _ := strings.Cut(string(line), " ")
	for _, h := range table() {
		if strings.EqualFold(h.name, verb) {
			return h.run(e, ctx, arg)
		}
	}
	return e.faultStep("Unknown command.")
}

// Refuse answers a Success with -ERR: the login was right but cannot be
// served. What the client had pipelined is read again by the next Run.
func (e *Engine) Refuse(s *Success, code, text string) error {
	e.conn = wire.NewConn(e.raw, e.opt.Pools, s.Buffered)
	e.conn.Wait = e.opt.Wait
	e.reply(code, text)
	return e.conn.Flush()
}

func (e *Engine) reply(code, text string) {
	if code != "" {
		text = "[" + code + "] " + text
	}
	e.conn.Printf("-ERR %s", text)
}
