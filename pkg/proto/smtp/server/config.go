package server

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// Reply is what is said to a command; the zero value means the default.
type Reply = wire.Reply

// MakeReply returns a reply with an enhanced status code.
func MakeReply(code, class, subject, detail int, text string) Reply {
	return wire.MakeReply(code, class, subject, detail, text)
}

// Mode is the protocol of a listener.
type Mode uint8

// The modes.
const (
	SMTP Mode = iota // HELO, EHLO; one reply after the message
	LMTP             // LHLO; one reply for each accepted recipient (RFC 2033)
)

// Config describes one listener. Start from Default.
type Config struct {
	Hostname string // our name in banner, EHLO and 421 replies
	Greeting string // follows the name in the banner: "ESMTP Postcote"
	Listener string // a label for hooks and logs
	Mode     Mode

	TLS         *tls.Config // nil: no STARTTLS
	ImplicitTLS bool        // the handshake comes before the banner
	// Client judges the certificate that a peer may have shown, once after
	// the handshake, for Conn.ClientCert and CertUser; nil: it counts for nothing.
	Client func(tls.ConnectionState) (valid bool, user string)

	Auth Authenticator // nil: no AUTH
	// Footer adds to a reply of 400 and above what clients are to read with it
	// (Postfix's smtpd_reject_footer); nil adds nothing.
	Footer func(c *Conn, r Reply) Reply

	Policy   Policy // of each new connection; Accept may change its copy
	Timeouts Timeouts
	Replies  Replies

	// Forbidden are verbs, in upper case, that end the session (Postfix's
	// smtpd_forbidden_commands), besides lines that begin with no letter.
	Forbidden []string

	// Accept is asked before the banner. A reply that is not zero refuses the
	// client: it is sent in place of the banner, and after a 421 or 521 the
	// connection is closed; after others, every command but QUIT gets 503
	// (RFC 5321 section 3.1). Accept may take its time (see Conn.EarlyTalker).
	Accept func(ctx context.Context, c *Conn) (Session, Reply)
	// Overridden is asked in place of Accept after XCLIENT has changed c, for
	// the same session; it may change c.Policy. A reply refuses as that of Accept.
	Overridden func(ctx context.Context, c *Conn) Reply
	// Etrn is asked for a domain whose mail a client wants to have (RFC 1985),
	// as it stood in the command without its @ or #; nil: no ETRN.
	Etrn func(ctx context.Context, c *Conn, domain string) Reply

	Now   func() time.Time // for Conn.Start, not for time limits; nil: time.Now
	NewID func() string    // session identifiers; nil: 22 random characters
}

// Recorder hears a session, for a transcript. It is called by the goroutine of
// the session. Content and what is sent to log in are not heard.
type Recorder interface {
	In(line string)   // a command, without its end
	Out(reply string) // with CRLF
}

// Policy is what may differ from one client to the next.
type Policy struct {
	Record     Recorder // from the banner on; nil: nobody hears
	Words      Words
	BareLF     wire.BareLF // bare LF in message content
	RequireTLS bool        // 530 to all but EHLO, HELO, NOOP, QUIT and STARTTLS in the clear
	ClearAuth  bool        // AUTH may be used without TLS
	// StrictSync ends the session when input waits behind a command that
	// must end a pipelined group (RFC 2920 section 3.1), or when a client that
	// did not say EHLO pipelines at all.
	StrictSync bool
	StrictUTF8 bool // addresses in UTF-8 need the SMTPUTF8 parameter; else they count as if it were there
	VRFY       bool // VRFY asks Replies.Vrfy; otherwise it is refused
	XClient    bool // the peer is a proxy that may say by XCLIENT who its client is
	XForward   bool // the peer is a filter that may say by XFORWARD whose mail it brings back
	Limits     Limits
}

// Words selects the EHLO keywords. STARTTLS is announced when there is a TLS
// configuration and no TLS yet, AUTH when it could succeed, unless hidden. A
// keyword that is not announced is not served.
type Words struct {
	Pipelining     bool
	Size           bool
	VRFY           bool
	HideStartTLS   bool
	HideAuth       bool
	OldAuth        bool // AUTH is announced a second time as AUTH=, for clients older than RFC 2554
	EnhancedStatus bool
	EightBitMIME   bool
	DSN            bool
	SMTPUTF8       bool
	Chunking       bool
	HideETRN       bool
	HideXClient    bool
	HideXForward   bool
}

// Limits bound what one connection can make us do. Zero means no limit only
// where it is said.
type Limits struct {
	Line         int   // octets of a command line without CRLF
	MessageSize  int64 // octets of content; 0: no limit
	Recipients   int   // accepted per message; more get 452 4.5.3
	Overshoot    int   // of those, how many do not count as errors
	SoftErrors   int   // from here on each reply waits Timeouts.ErrorDelay; 0: never
	HardErrors   int   // from here on 421; 0: never
	Junk         int   // NOOP, RSET, VRFY, HELP, ETRN, EHLO without mail before they count as errors
	AuthResponse int   // octets of one base64 response
	Pending      int   // RCPT verdicts outstanding at once
	Overrun      int64 // octets read and dropped behind MessageSize before we hang up
}

// Timeouts bound how long we wait. A session that exceeds one gets 421 4.4.2.
type Timeouts struct {
	Command    time.Duration // for one complete command line
	Data       time.Duration // for a block of content
	MinRate    int64         // octets per second that content must reach on average; 0: none
	TLS        time.Duration // for a whole handshake
	Write      time.Duration // for the peer to take our output
	ErrorDelay time.Duration // slows down clients past SoftErrors
}

// Default returns Postfix's values for a public listener.
func Default() Config {
	return Config{
		Greeting:  "ESMTP Postcote",
		Forbidden: DefaultForbidden(),
		Policy: Policy{
			Words: Words{
				Pipelining: true, Size: true, EnhancedStatus: true,
				EightBitMIME: true, SMTPUTF8: true, Chunking: true,
			},
			StrictSync: true, StrictUTF8: true,
			Limits: DefaultLimits(),
		},
		Timeouts: DefaultTimeouts(),
		Replies:  DefaultReplies(),
	}
}

// DefaultLimits returns Postfix's limits.
func DefaultLimits() Limits {
	return Limits{
		Line: 2048, MessageSize: 50 << 20, Recipients: 1000, Overshoot: 1000,
		SoftErrors: 10, HardErrors: 20, Junk: 100,
		AuthResponse: 12288, Pending: 64, Overrun: 64 << 20,
	}
}

// DefaultTimeouts returns Postfix's time limits.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Command: 300 * time.Second, Data: 300 * time.Second, MinRate: 500,
		TLS: 300 * time.Second, Write: 300 * time.Second, ErrorDelay: time.Second,
	}
}
