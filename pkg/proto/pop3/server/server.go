package server

import (
	"bytes"
	"context"
	"errors"
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
	// Size is the number of octets that Open yields once all lines end in
	// CRLF.
	Size(ctx context.Context, i int) (int64, error)
	// Total is the sum of all sizes.
	Total(ctx context.Context) (int64, error)
	// AppendUIDL appends the unique id of message i: 1 to 70 characters 0x21
	// to 0x7E.
	AppendUIDL(ctx context.Context, dst []byte, i int) ([]byte, error)
	// Open gives the message. NotFound: it has been removed.
	Open(ctx context.Context, i int) (io.ReadCloser, error)
	// Seen reports whether message i is marked as seen.
	Seen(i int) bool
	// Mark sets or takes away the mark of being seen.
	Mark(ctx context.Context, list []int, seen bool) error
	// Delete removes messages for good: the UPDATE state.
	Delete(ctx context.Context, list []int) error
}

// Options of a session. Zero values mean the defaults.
type Options struct {
	Pools         *wire.Pools
	Buffered      []byte       // what the login role had read already
	Wait          func() error // see wire.Conn
	InactiveAfter time.Duration
	MaxBad        int // bad commands in a row before the session ends, default 20

	NoFlagUpdates bool // RETR marks nothing as seen
	EnableLast    bool // LAST, and RSET that takes all marks away (RFC 1460 section 8)
	NoNULs        bool // see wire.BodyOptions
	EndHeader     bool // see wire.BodyOptions
	TrackUIDLs    bool // fill Stats.UIDLs

	Session string                   // its id, for Stats
	Goodbye func(cause error) string // what a client hears when ctx ends; nil: that the server shuts down
	Failed  func(err error)          // told of what the client hears as [SYS/TEMP]
}

// Stats are the facts of the closing log line.
type Stats struct {
	Top, Retr           int
	TopBytes, RetrBytes int64
	Deleted, Messages   int
	DeletedBytes, Size  int64
	In, Out             int64
	UIDLs               UIDLChange
	Session             string
	Reason              string // Dovecot's: "Logged out", "Connection closed", "Inactivity", ...
}

// session holds nothing per message but bits, and those only from the first
// DELE or RETR on.
type session struct {
	conn     *wire.Conn
	drop     Maildrop
	opt      Options
	deleted  bitset
	seen     bitset // to be marked at the end
	lowest   int    // the lowest message number that was retrieved, 0: none
	last     int    // the highest one that was retrieved or is marked as seen
	expunged int    // the highest one that could not be sent because it is gone
	gone     int64  // octets that are marked as deleted
	bad      int    // bad commands in a row
	line     []byte
	st       Stats
}

// The ends of the loop that the client brings about.
var (
	errQuit    = errors.New("quit")
	errTooMany = errors.New("too many bad commands")
	errStorage = errors.New("storage error")
)

// Run serves one session to its end and greets with "+OK Logged in.". It does
// not close the connection. When ctx ends the client is told so.
func Run(ctx context.Context, c net.Conn, drop Maildrop, o Options) Stats {
	if o.Pools == nil {
		o.Pools = wire.NewPools()
	}
	s := &session{conn: wire.NewConn(c, o.Pools, o.Buffered), drop: drop, opt: o}
	s.conn.Wait, s.conn.Done = o.Wait, ctx.Done()
	if o.InactiveAfter > 0 {
		s.conn.ReadTimeout = o.InactiveAfter
	}
	if s.opt.MaxBad == 0 {
		s.opt.MaxBad = 20
	}
	s.opt.Buffered = nil
	if o.EnableLast {
		for s.last = drop.Len(); s.last > 0 && !drop.Seen(s.last-1); s.last-- {
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	s.conn.Printf("+OK Logged in.")
	s.end(ctx, s.loop(ctx))
	s.conn.Release()
	return s.stats(ctx)
}

func (s *session) loop(ctx context.Context) error {
	for ctx.Err() == nil {
		line, err := s.conn.ReadLine()
		if err != nil {
			return err
		}
		bad := s.bad
		if err := s.command(ctx, line); err != nil {
			return err
		}
		switch {
		case s.bad == bad:
			s.bad = 0
		case s.bad > s.opt.MaxBad:
			return errTooMany
		}
	}
	return ctx.Err()
}

// end says goodbye where the client still listens, and names the reason.
func (s *session) end(ctx context.Context, err error) {
	switch {
	case errors.Is(err, errQuit):
		s.st.Reason = "Logged out"
		return
	case errors.Is(err, errStorage):
		s.st.Reason = "Storage error during logout."
		return
	case ctx.Err() != nil:
		s.st.Reason = "Server shutting down."
		if s.opt.Goodbye != nil {
			s.st.Reason = s.opt.Goodbye(context.Cause(ctx))
		}
		s.conn.Printf("-ERR [SYS/TEMP] %s", s.st.Reason)
	case errors.Is(err, errTooMany):
		s.conn.Printf("-ERR Too many bad commands.")
		s.st.Reason = "Too many bad commands."
	case errors.Is(err, wire.ErrTooLong):
		s.conn.Printf("-ERR Input line too long.")
		s.st.Reason = "Input line too long"
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.conn.Printf("-ERR Disconnected for inactivity.")
		s.st.Reason = "Disconnected for inactivity"
	default:
		s.st.Reason = "Connection closed"
	}
	// No QUIT: nothing is deleted, but what was sent has been read.
	ctx = context.WithoutCancel(ctx)
	s.trackUIDLs(ctx, nil)
	if err := s.mark(ctx); err != nil {
		s.failed(err)
	}
}

// mark marks what was retrieved as seen.
func (s *session) mark(ctx context.Context) error {
	list := s.seen.list(func(i int) bool { return !s.deleted.has(i) })
	if len(list) == 0 {
		return nil
	}
	s.seen = nil
	return s.drop.Mark(ctx, list, true)
}

func (s *session) stats(ctx context.Context) Stats {
	s.st.In, s.st.Out = s.conn.BytesIn, s.conn.BytesOut
	s.st.Messages, s.st.Session = s.drop.Len(), s.opt.Session
	if size, err := s.drop.Total(context.WithoutCancel(ctx)); err == nil {
		s.st.Size = size
	}
	return s.st
}

type handler struct {
	name string
	run  func(s *session, ctx context.Context, arg string) error
}

// table is the commands of the TRANSACTION state.
func table() []handler {
	return []handler{
		{"RETR", (*session).retr},
		{"UIDL", (*session).uidl},
		{"LIST", (*session).list},
		{"STAT", (*session).stat},
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
			// Dovecot minds blanks at the end; some clients send them.
			return h.run(s, ctx, strings.Trim(arg, " "))
		}
	}
	s.unknown(verb)
	return nil
}

func (s *session) unknown(verb string) {
	s.fault("Unknown command: " + printable(strings.ToUpper(clip(verb))))
}

// fault answers -ERR and counts.
func (s *session) fault(text string) {
	s.bad++
	s.conn.Printf("-ERR %s", text)
}

// textInternal is Dovecot's, without the time that it puts behind.
const textInternal = "Internal error occurred. Refer to server log for more information."

// tempFault answers for the disk. The client gets no internals.
func (s *session) tempFault(err error) {
	s.failed(err)
	s.conn.Printf("-ERR [SYS/TEMP] %s", textInternal)
}

func (s *session) failed(err error) {
	if s.opt.Failed != nil {
		s.opt.Failed(err)
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
