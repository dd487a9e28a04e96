package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/proto/pop3/wire"
)

// Maildrop is the INBOX of one user as it was at login; messages are counted
// from 0. It is used by one goroutine.
type Maildrop interface {
	Len() int
	// Size is the exact number of octets that Open yields.
	Size(ctx context.Context, i int) (int64, error)
	// UIDL is the unique id of message i: 1 to 70 characters 0x21 to 0x7E.
	UIDL(i int) string
	// Open gives the message with CRLF line ends.
	Open(ctx context.Context, i int) (io.ReadCloser, error)
	// Seen marks a message that RETR has sent.
	Seen(ctx context.Context, i int) error
	// Delete removes messages for good: the UPDATE state.
	Delete(ctx context.Context, list []int) error
}

// Options of a session. Zero values mean the defaults.
type Options struct {
	Pools         *wire.Pools
	Buffered      []byte       // what the login role had read already
	Wait          func() error // see wire.Conn
	InactiveAfter time.Duration
	MaxBad        int // bad commands before the session ends, default 20
}

// Stats are the facts of the closing log line.
type Stats struct {
	Top, Retr           int
	TopBytes, RetrBytes int64
	Deleted, Messages   int
	Size                int64
	In, Out             int64
	Reason              string // Dovecot's: "Logged out", "Connection closed", "Inactivity", ...
}

type session struct {
	conn    *wire.Conn
	drop    Maildrop
	deleted []bool
	last    int // highest message number that was retrieved or deleted
	bad     int
	st      Stats
}

// errQuit ends the loop after QUIT.
var errQuit = errors.New("quit")

// Run serves one session to its end and greets with "+OK Logged in.". It does
// not close the connection. When ctx ends the client is told so.
func Run(ctx context.Context, c net.Conn, drop Maildrop, o Options) Stats {
	if o.Pools == nil {
		o.Pools = wire.NewPools()
	}
	s := &session{conn: wire.NewConn(c, o.Pools, o.Buffered), drop: drop, deleted: make([]bool, drop.Len())}
	s.conn.Wait, s.conn.Done = o.Wait, ctx.Done()
	if o.InactiveAfter > 0 {
		s.conn.ReadTimeout = o.InactiveAfter
	}
	if o.MaxBad == 0 {
		o.MaxBad = 20
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	s.conn.Printf("+OK Logged in.")
	s.end(ctx, s.loop(ctx, o.MaxBad))
	s.conn.Release()
	return s.stats()
}

func (s *session) loop(ctx context.Context, maxBad int) error {
	for ctx.Err() == nil {
		line, err := s.conn.ReadLine()
		switch {
		case errors.Is(err, wire.ErrTooLong):
			s.fault("Too long line.")
		case err != nil:
			return err
		default:
			if err := s.command(ctx, line); err != nil {
				return err
			}
		}
		if s.bad >= maxBad {
			return errTooMany
		}
	}
	return ctx.Err()
}

var errTooMany = errors.New("too many bad commands")

// end says goodbye where the client still listens, and names the reason.
func (s *session) end(ctx context.Context, err error) {
	switch {
	case errors.Is(err, errQuit):
		s.st.Reason = "Logged out"
	case ctx.Err() != nil:
		s.conn.Printf("-ERR [SYS/TEMP] Server shutting down.")
		s.st.Reason = "Server shutting down."
	case errors.Is(err, errTooMany):
		s.conn.Printf("-ERR Too many bad commands.")
		s.st.Reason = "Too many bad commands"
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.conn.Printf("-ERR Disconnected for inactivity.")
		s.st.Reason = "Disconnected for inactivity"
	default:
		s.st.Reason = "Connection closed"
	}
}

func (s *session) stats() Stats {
	s.st.In, s.st.Out = s.conn.BytesIn, s.conn.BytesOut
	s.st.Messages = s.drop.Len()
	return s.st
}

type handler struct {
	name string
	run  func(s *session, ctx context.Context, arg string) error
}

// table is the commands of the TRANSACTION state.
func table() []handler {
	return []handler{
		{"STAT", (*session).stat},
		{"LIST", (*session).list},
		{"UIDL", (*session).uidl},
		{"RETR", (*session).retr},
		{"TOP", (*session).top},
		{"DELE", (*session).dele},
		{"RSET", (*session).rset},
		{"NOOP", (*session).noop},
		{"LAST", (*session).lastCmd},
		{"CAPA", (*session).capa},
		{"QUIT", (*session).quit},
	}
}

func (s *session) command(ctx context.Context, line []byte) error {
	if bytes.IndexByte(line, 0) >= 0 {
		s.fault("NULs in input.")
		return nil
	}
	verb, arg, _ := strings.Cut(string(line), " ")
	for _, h := range table() {
		if strings.EqualFold(h.name, verb) {
			return h.run(s, ctx, strings.TrimSpace(arg))
		}
	}
	if len(verb) > 40 {
		verb = verb[:40]
	}
	s.fault("Unknown command: " + printable(strings.ToUpper(verb)))
	return nil
}

// fault answers -ERR and counts.
func (s *session) fault(text string) {
	s.bad++
	s.conn.Printf("-ERR %s", text)
}

func (s *session) tempFault(what string, err error) {
	s.conn.Printf("-ERR [SYS/TEMP] %s", what)
	_ = err // the maildrop has logged it with its cause; the client gets no internals
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}

// UIDL formats the id of a message as Dovecot's default does (%08Xu%08Xv), so
// that no client downloads again after a change of server.
func UIDL(uid, validity uint32) string { return fmt.Sprintf("%08x%08x", uid, validity) }
