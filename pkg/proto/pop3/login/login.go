package login

import (
	"context"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/proto/pop3/wire"
)

// Attempt is one login attempt as the Authenticator sees it. USER and PASS
// arrive as PLAIN, the command APOP as the mechanism that Dovecot has for it.
type Attempt struct {
	Mechanism  string
	Initial    []byte // decoded initial response
	HasInitial bool
}

// Ask sends a challenge to the client and returns its decoded answer. Its
// errors end the exchange and are returned by the Authenticator as they are.
type Ask func(ctx context.Context, challenge []byte) ([]byte, error)

// Verdict is what a successful exchange yields, passed on untouched.
type Verdict struct {
	User  string // for logs; nobody downstream may believe it
	Token any
}

// Authenticator decides who somebody is. A failure is a *Refused when it
// chooses the reply itself; else fail.Denied is [AUTH] and everything that is
// not fail.Invalid is [SYS/TEMP].
type Authenticator interface {
	Mechanisms(secured bool) []string
	Authenticate(ctx context.Context, a Attempt, ask Ask) (Verdict, error)
}

// Refused is a rejection with a reply of its own: "-ERR [Code] Text".
type Refused struct{ Code, Text string }

func (e *Refused) Error() string { return e.Text }

// Options describe one connection. Zero limits mean their defaults.
type Options struct {
	Auth           Authenticator
	Greeting       string // "Postcote ready."
	Challenge      string // of APOP, "<…@host>", in the greeting; empty: no APOP
	Secured        bool   // private already: TLS from the first byte, or a peer on this host
	AllowPlaintext bool   // permits passwords on a connection that is not secured
	// XClient, if set, is told what a proxy in front says of its client by
	// XCLIENT, names in upper case. It reports false when a value cannot be.
	// Nil: the peer is nobody to believe.
	XClient func(pairs [][2]string) bool
	// StartTLS takes the raw connection through a handshake; nil: no STLS.
	StartTLS func(ctx context.Context, plain net.Conn) (net.Conn, error)

	Pools        *wire.Pools
	Wait         func() error  // see wire.Conn
	LoginTimeout time.Duration // whole time before a login, default 3 min
	AuthTimeout  time.Duration // one Authenticate, default 150 s
	MaxBad       int           // bad commands before the end, default 3
}

// Success is a finished login that nobody has answered yet.
type Success struct {
	Buffered  []byte // what the client pipelined behind it
	Mechanism string
	Verdict   Verdict
	Conn      net.Conn // after STLS the TLS one
}

// Reason says why a connection ended without a login.
type Reason uint8

// The closed list of reasons.
const (
	ReasonNone Reason = iota
	ReasonClosed
	ReasonLogout
	ReasonInactive
	ReasonBadCommand
	ReasonTLSFailed
	ReasonShutdown
)

// Outcome is how Run ended and what a log line about it needs.
type Outcome struct {
	Success   *Success
	Reason    Reason
	Err       error
	Attempts  int    // logins tried and failed
	User      string // last user name seen
	Mechanism string
	InAuth    bool // the client left inside an exchange
	Exposed   bool // a password was sent, or about to be, where none may be
	Secured   bool
	TLS       bool
	Duration  time.Duration
}
