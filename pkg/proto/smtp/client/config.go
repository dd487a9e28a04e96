package client

import (
	"crypto/tls"
	"time"

	gosasl "github.com/emersion/go-sasl"
)

// TLSMode says what is done about STARTTLS.
type TLSMode uint8

// The modes.
const (
	NoTLS            TLSMode = iota // stay in the clear
	OpportunisticTLS                // use it when announced; a failed handshake is a SiteError with TLS set
	RequiredTLS                     // go no further without it
	ImplicitTLS                     // the handshake comes before the greeting
)

// Config is how to talk to a server.
type Config struct {
	Name    string // of this host, for EHLO or LHLO
	LMTP    bool
	TLSMode TLSMode
	TLS     *tls.Config // for the handshake; ServerName and verification are the caller's
	// Auth picks a mechanism when the server announces AUTH; state is nil
	// unless the connection is encrypted. nil: no AUTH. Its error, a server
	// without AUTH, and one that grants the login without proving itself where
	// the mechanism wants it to, are SiteErrors with Auth set.
	Auth func(offered []string, state *tls.ConnectionState) (gosasl.Client, error)
	// MailAuth says AUTH=<> in MAIL where Auth has logged in (RFC 4954 section 5).
	MailAuth bool
	Timeouts Timeouts // zero fields mean the defaults
	MaxLine  int      // octets of content lines, longer ones are broken by CRLF SP; 0: 998 for SMTP, none for LMTP; -1: none

	// Record hears the session, for a transcript; nil: nobody does.
	Record Recorder

	// Discard are EHLO keywords, in upper case, that are not seen when a server
	// announces them.
	Discard []string

	// SkipPipelining waits for each reply (for servers that announce
	// PIPELINING and break under it).
	SkipPipelining bool
}

// Recorder hears a session, for a transcript. It is called by the goroutine that
// uses the Conn. Content and what is sent to log in are not heard.
type Recorder interface {
	Out(line string) // a command, without its end
	In(reply string) // with CRLF
}

// Timeouts bound the wait for each reply.
type Timeouts struct {
	Greeting time.Duration
	Hello    time.Duration
	TLS      time.Duration // STARTTLS and the handshake
	Auth     time.Duration // each step
	Mail     time.Duration
	Rcpt     time.Duration // each recipient
	Data     time.Duration // for 354
	Transfer time.Duration // for each block of content to be taken
	Done     time.Duration // for the reply to the final dot; in LMTP for each
	Reset    time.Duration
	Quit     time.Duration
}

// DefaultTimeouts returns Postfix's.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Greeting: 300 * time.Second, Hello: 300 * time.Second, TLS: 300 * time.Second, Auth: 300 * time.Second,
		Mail: 300 * time.Second, Rcpt: 300 * time.Second, Data: 120 * time.Second,
		Transfer: 180 * time.Second, Done: 600 * time.Second, Reset: 20 * time.Second, Quit: 300 * time.Second,
	}
}

// orDefaults fills in what is zero.
func (t Timeouts) orDefaults() Timeouts {
	d := DefaultTimeouts()
	for _, p := range []struct{ have, want *time.Duration }{
		{&t.Greeting, &d.Greeting},
		{&t.Hello, &d.Hello},
		{&t.TLS, &d.TLS},
		{&t.Auth, &d.Auth},
		{&t.Mail, &d.Mail},
		{&t.Rcpt, &d.Rcpt},
		{&t.Data, &d.Data},
		{&t.Transfer, &d.Transfer},
		{&t.Done, &d.Done},
		{&t.Reset, &d.Reset},
		{&t.Quit, &d.Quit},
	} {
		if *p.have <= 0 {
			*p.have = *p.want
		}
	}
	return t
}
