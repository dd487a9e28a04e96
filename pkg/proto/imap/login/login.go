package login

import (
	"context"
	"net"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// Attempt is one login attempt as the Authenticator sees it.
type Attempt struct {
	Mechanism  string // upper case, "PLAIN"; the LOGIN command arrives as PLAIN
	Initial    []byte // decoded initial response
	HasInitial bool   // false: the client sent none (an empty one is not none)
	// ClientID is what the client says about itself (RFC 2971), since the
	// encryption began if there is one: names and values as quoted strings, or
	// NIL, of printable ASCII, at most 255 bytes. Pairs beyond that are left out.
	ClientID string
}

// Ask sends a challenge to the client and returns its decoded answer. It
// fails when the client cancels ("*"), sends bad base64 or goes away; the
// Authenticator then ends the exchange and returns that error as it is.
type Ask func(ctx context.Context, challenge []byte) ([]byte, error)

// Verdict is what a successful exchange yields. The engine passes it on
// untouched.
type Verdict struct {
	User  string // for logs; nobody downstream may believe it
	Token any    // whatever the caller needs to hand the login over
}

// Authenticator decides who somebody is.
//
// A failure is a *Refused when the Authenticator chooses the reply itself,
// else its kind (pkg/platform/fail) chooses: Denied is
// [AUTHENTICATIONFAILED], Invalid is BAD, everything else [UNAVAILABLE].
type Authenticator interface {
	// Mechanisms returns the SASL mechanisms on offer, in the order to
	// announce them. secured says that passwords may cross the connection.
	Mechanisms(secured bool) []string
	// Authenticate runs one exchange. It returns when ctx ends.
	Authenticate(ctx context.Context, a Attempt, ask Ask) (Verdict, error)
}

// Refused is a rejection with a reply of its own: "NO [Code] Text".
type Refused struct {
	Code imap.ResponseCode // may be empty
	Text string
}

func (e *Refused) Error() string { return e.Text }

// Options describe one connection. The zero value of a limit means its
// default.
type Options struct {
	Auth Authenticator

	// Buffers are shared by all connections of a server. Nil: this one has its
	// own.
	Buffers *wire.Buffers

	// Greeting is the text after the capabilities, "Postcote ready.".
	Greeting string
	// ID is what the ID command answers, pairs of name and value in order.
	ID [][2]string
	// LiteralMinus announces LITERAL- in place of LITERAL+ (RFC 7888).
	LiteralMinus bool

	// Identified, if set, is told of each ID command before it is answered,
	// names as sent, at most 30 pairs: for the log, and for a proxy in front
	// that may say who the client is.
	Identified func(pairs []wire.IDPair)

	// Resumed goes on with a connection on which somebody was logged in
	// before (RFC 8437): there is no greeting, and Buffered was sent already.
	Resumed  bool
	Buffered []byte

	// Secured says that the connection is private already: TLS from the
	// first byte, or a peer on this host.
	Secured bool
	// AllowPlaintext permits passwords on a connection that is not secured.
	AllowPlaintext bool
	// StartTLS takes the raw connection through a handshake. Nil: STARTTLS
	// is not offered (or TLS is running already).
	StartTLS func(ctx context.Context, plain net.Conn) (net.Conn, error)

	Now           func() time.Time // nil: time.Now
	LoginTimeout  time.Duration    // whole time before a login, default 3 min
	AuthTimeout   time.Duration    // one Authenticate, default 150 s
	MaxLine       int              // bytes of a command, literals included, default 8192
	MaxBad        int              // bad commands before BYE, default 3
	MaxAuthFailed int              // failed logins before BYE, default 0: unlimited within LoginTimeout
}

// Success is a finished login that nobody has answered yet.
type Success struct {
	Tag       string   // of the LOGIN or AUTHENTICATE command
	Buffered  []byte   // what the client sent behind it, unread
	Mechanism string   // "PLAIN", …
	Verdict   Verdict  // the Authenticator's
	Conn      net.Conn // the connection, after STARTTLS the TLS one
}

// Reason says why a connection ended without a login.
type Reason uint8

// The closed list of reasons.
const (
	ReasonNone       Reason = iota // it did not end: a Success
	ReasonClosed                   // the client went away
	ReasonLogout                   // LOGOUT
	ReasonInactive                 // no login within LoginTimeout
	ReasonBadCommand               // too many invalid commands
	ReasonAuthFailed               // too many failed logins
	ReasonTLSFailed                // the handshake failed
	ReasonShutdown                 // ctx ended
)

// Outcome is how Run ended: a Success or a Reason, and the facts that a log
// line about the connection needs.
type Outcome struct {
	Success   *Success
	Reason    Reason
	Err       error         // the I/O or handshake error behind Reason, may be nil
	Attempts  int           // logins tried and failed
	User      string        // last user name seen, "" when none was readable
	Mechanism string        // last mechanism tried
	InAuth    bool          // the client left inside an exchange
	Exposed   bool          // a password was sent where none may be, and refused
	Secured   bool          // as it was at the end
	TLS       bool          // STARTTLS was completed here
	Duration  time.Duration // since New
}
