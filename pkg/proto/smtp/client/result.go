package client

import (
	"fmt"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// Stage is the command that a reply or a failure belongs to, in the words of
// Postfix's "(in reply to RCPT TO command)".
type Stage string

// The stages.
const (
	StageConnect  Stage = "initial server greeting"
	StageHello    Stage = "EHLO"
	StageLHLO     Stage = "LHLO"
	StageSTARTTLS Stage = "STARTTLS"
	StageTLS      Stage = "TLS handshake"
	StageAuth     Stage = "AUTH"
	StageForward  Stage = "XFORWARD"
	StageMail     Stage = "MAIL FROM"
	StageRcpt     Stage = "RCPT TO"
	StageData     Stage = "DATA"
	StageContent  Stage = "message body"
	StageEnd      Stage = "end of DATA"
	StageChunk    Stage = "BDAT"
	StageReset    Stage = "RSET"
	StageQuit     Stage = "QUIT"
)

// Result is what became of one recipient. A zero Code means that the server
// never said; the SiteError of the transaction then tells why.
type Result struct {
	Code     int
	Enhanced smtp.EnhancedCode // as sent, or X.0.0 for the code's class; 4.5.0 for a code below 200, and 3xx
	Text     string            // of the reply, lines separated by "\n"
	Stage    Stage
	Bare     bool   // the server sent no enhanced code, Enhanced is made up
	Said     string // see wire.Reply
}

// NoChunks reports whether the server does not understand BDAT, whatever it
// announced: by DATA it may take the message.
func (r Result) NoChunks() bool { return r.Stage == StageChunk && misunderstood(r.Code) }

// Known reports whether the server decided about the recipient.
func (r Result) Known() bool { return r.Code != 0 }

// Sent reports success.
func (r Result) Sent() bool { return r.Code/100 == 2 }

// Permanent reports a 5xx reply.
func (r Result) Permanent() bool { return r.Code/100 == 5 }

// Reply returns the reply as the server sent it.
func (r Result) Reply() wire.Reply {
	out := wire.Reply{Code: r.Code, Enhanced: r.Enhanced, Text: r.Text, Said: r.Said}
	if r.Bare {
		out.Enhanced = smtp.EnhancedCode{}
	}
	return out
}

func resultOf(r wire.Reply, stage Stage) Result {
	out := Result{Code: r.Code, Enhanced: r.Enhanced, Text: r.Text, Stage: stage, Said: r.Said}
	if r.Enhanced[0] == 0 {
		out.Enhanced, out.Bare = smtp.EnhancedCode{r.Code / 100, 0, 0}, true
	}
	if !r.OK() && r.Code < 400 { // a reply that no command can have
		out.Enhanced = smtp.EnhancedCode{4, 5, 0}
	}
	return out
}

// SiteError is a failure that says nothing about a message or a recipient:
// the server does not answer, does not want us, or closed the connection. The
// connection is closed.
type SiteError struct {
	Stage Stage
	Reply wire.Reply // zero when no reply was received
	Err   error      // of the network, TLS or reply syntax; nil when Reply tells all
	TLS   bool       // TLS failed or is missing: in the clear it might work
	// Encrypted: the connection broke, and TLS was on.
	Encrypted bool
	Auth      bool // our login was refused
	Chunk     bool // the content went by BDAT: by DATA it might arrive
}

func (e *SiteError) Error() string {
	switch {
	case e.Err != nil && !e.Reply.IsZero():
		return fmt.Sprintf("%v (after %q in reply to %s)", e.Err, e.Reply.String(), e.Stage)
	case e.Err != nil:
		return fmt.Sprintf("%v while waiting for %s", e.Err, e.Stage)
	}
	return fmt.Sprintf("server said: %s (in reply to %s)", e.Reply.String(), e.Stage)
}

// Unwrap returns Err.
func (e *SiteError) Unwrap() error { return e.Err }

// Permanent reports whether the server refused with a 5xx reply.
func (e *SiteError) Permanent() bool { return e.Reply.Permanent() }

// CapabilityError says that the message cannot go to this server as it is.
// Nothing was sent, and the connection can be used further.
type CapabilityError struct {
	Keyword  string            // 8BITMIME or SMTPUTF8
	Enhanced smtp.EnhancedCode // 5.6.3 or 5.6.7
}

func (e *CapabilityError) Error() string {
	return fmt.Sprintf("server does not offer %s, which this message needs", e.Keyword)
}

// ContentError says that reading our own content failed. The connection is
// closed without a final dot, so the server drops what it has.
type ContentError struct{ Err error }

func (e *ContentError) Error() string { return "reading the message failed: " + e.Err.Error() }

// Unwrap returns the reader's error.
func (e *ContentError) Unwrap() error { return e.Err }

// ErrClosed is what a Conn returns after it was closed.
var ErrClosed = fail.New(fail.Unavailable, "smtp connection is closed")
