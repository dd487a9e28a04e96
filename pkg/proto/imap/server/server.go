package server

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// Config is what all sessions of a server share. Zero fields have defaults.
type Config struct {
	// ID is what the ID command answers, pairs of name and value in order.
	ID [][2]string
	// LogID names the parameters of a client's ID that Start.Identified hears
	// of; "*" is all of them.
	LogID []string
	// MaxMessage bounds the literal of APPEND, in bytes; default 50 MiB.
	MaxMessage int64
	// MaxLine bounds a command without its literals; default 64 KiB.
	MaxLine int
	// MaxBad is the number of bad commands that end a session; default 20.
	MaxBad int
	// IdleTimeout ends a session that sends no command; default 30 min (RFC
	// 3501 section 5.4 asks for as much). It does not count during IDLE.
	IdleTimeout time.Duration
	// Keepalive is how often IDLE says "* OK Still here"; default 2 min.
	Keepalive time.Duration
	// Stall bounds one read inside a command, and one write; default 5 min.
	Stall time.Duration
	// Workarounds of clients' faults.
	Workarounds Workaround
	// LiteralMinus offers LITERAL- in place of LITERAL+: literals that do not
	// wait are bounded to 4096 bytes (RFC 7888 section 5).
	LiteralMinus bool
	// UTF8 offers UTF8=ACCEPT. Then APPEND refuses 8-bit headers of clients
	// that have not enabled it, as RFC 6855 section 4 demands.
	UTF8 bool
	// Without names capabilities that are neither announced nor served.
	Without []string
	// Now is the clock of logs and durations; nil: time.Now.
	Now func() time.Time
	// Command is told of each finished command; result is "ok", "no" or
	// "bad". May be nil.
	Command func(verb, result string, took time.Duration)
	// Lot is where sessions wait that have been silent for a second: without a
	// goroutine. nil: each waits in its own.
	Lot *netx.Lot
}

// Workaround is a set of things done differently for the sake of clients.
type Workaround uint8

const (
	// DelayNewmail tells of new messages in the answers to NOOP and CHECK
	// only. Outlook Express showed messages twice or not at all, and Apple Mail
	// before version 2.1 ignored what came at other times.
	DelayNewmail Workaround = 1 << iota
	// TBExtraMailboxSep takes a separator at the end of names that are
	// subscribed, which Thunderbird sends for folders that it believes to hold
	// folders only.
	TBExtraMailboxSep
	// TBLsubFlags gives names in LSUB that cannot be selected \\Noselect, so that
	// Thunderbird shows them grey and not as folders that fail to open.
	TBLsubFlags
)

// Workarounds are the names of the workarounds, as Dovecot's
// imap_client_workarounds has them.
func Workarounds() map[string]Workaround {
	return map[string]Workaround{"delay-newmail": DelayNewmail, "tb-extra-mailbox-sep": TBExtraMailboxSep, "tb-lsub-flags": TBLsubFlags}
}

// Server runs sessions. It is safe for concurrent use.
type Server struct {
	cfg   Config
	table map[string]*spec
	caps  []capability
	bufs  wire.Buffers

	announcements sync.Map // of string, by the conditions that hold: a bit for each of caps

	watch      watch
	aheads     sync.Pool     // of *ahead
	searchBufs sync.Pool     // of *[]byte
	helping    atomic.Int64  // goroutines that help a search
	askAfter   time.Duration // see the constant; tests have another
	tellEvery  time.Duration // as well
	maxSaved   int           // as well
	parkAfter  time.Duration // as well
}

// parkAfter is how long a session is silent before it is parked: one between
// the commands of a client at work is not.
const parkAfter = time.Second

// New makes a server.
func New(cfg Config) *Server {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&cfg.IdleTimeout, 30*time.Minute)
	def(&cfg.Keepalive, 2*time.Minute)
	def(&cfg.Stall, 5*time.Minute)
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = 50 << 20
	}
	if cfg.MaxLine <= 0 {
		cfg.MaxLine = 64 << 10
	}
	if cfg.MaxBad <= 0 {
		cfg.MaxBad = 20
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Command == nil {
		cfg.Command = func(string, string, time.Duration) {}
	}
	return &Server{cfg: cfg, table: commandTable(), caps: without(capabilityTable(), cfg.Without), watch: watch{patience: patience}, askAfter: askAfter, tellEvery: tellEvery, maxSaved: maxSaved, parkAfter: parkAfter}
}

// Start is how a session begins.
type Start struct {
	// Tag is of the command that logged in and is answered first. Empty: the
	// session begins with a PREAUTH greeting.
	Tag string
	// Buffered is what the client has sent behind the login.
	Buffered []byte
	// Account is the mail; Delim stands between the levels of its names, which
	// begin with Prefix, except that of INBOX.
	Account Account
	Delim   byte
	Prefix  string
	// Shared says that other programs may write the mail at the same time:
	// what needs one writer, such as CONDSTORE, is not announced then.
	Shared bool
	// Back takes the connection back after UNAUTHENTICATE, which is offered
	// when it is set: it is called last, with what the client has sent behind
	// the command.
	Back func(buffered []byte)
	// Identified is told who the client says that it is: "name=Mail,
	// version=16.0", printable and short. May be nil.
	Identified func(text string)
	// Failed is told of errors behind a "NO [SERVERBUG]" or an outage, which
	// the client does not get to see, from any goroutine. May be nil.
	Failed func(verb string, err error)
}

// Summary is what a session has done, for the log.
type Summary struct {
	Reason string // "Logged out", "Connection closed", …
	Err    error  // the I/O error or panic behind Reason, may be nil

	In, Out                    int64 // bytes
	Deleted, Expunged, Trashed int   // messages marked \Deleted, removed, moved or copied to a \Trash folder
	HdrCount, BodyCount        int   // headers and bodies sent
	HdrBytes, BodyBytes        int64
	Commands, BadCommands      int
}

// Serve runs one session until the client is gone, misbehaves or ctx ends: a
// cause of ctx other than netx.ErrShutdown is what the client is told. It does
// not close conn. A panic inside ends this session only; it is in
// Summary.Err with its stack.
func (srv *Server) Serve(ctx context.Context, conn net.Conn, start Start) Summary {
	over := make(chan Summary, 1)
	srv.Begin(ctx, conn, start, func(sum Summary) { over <- sum })
	return <-over
}

// Begin is Serve for a caller who does not wait: over is called at the end.
// Begin returns then, or before, when the session has been parked in
// Config.Lot; it goes on, and ends, in other goroutines.
func (srv *Server) Begin(ctx context.Context, conn net.Conn, start Start, over func(Summary)) {
	s := newSession(srv, conn, start)
	s.over = over
	s.begin(ctx)
	s.stop = context.AfterFunc(ctx, s.io.poke)
	s.turn()
}

// Fault is the error of a session that panicked.
type Fault struct {
	Value any
	Stack []byte
}

func (*Fault) Error() string { return "panic in an IMAP session" }

// fault says goodbye after a panic, if the connection still lets us.
func (s *session) fault(v any, stack []byte) {
	s.end("Internal error", &Fault{v, stack})
	defer func() { _ = recover() }() // the writer itself may be what failed
	s.w.Raw("\r\n* BYE [SERVERBUG] Internal error occurred. Refer to server log for more information.\r\n")
	_ = s.w.Flush()
}
