package server

import (
	"context"
	"io"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Session decides for one connection. Its methods are called one at a time,
// from the goroutine that runs Serve; what they start themselves to fulfil a
// pending Verdict may run beside the next Rcpt, never beside other methods.
//
// The context of Helo ends when the server stops. That of the others ends with
// the connection only, because a transaction that has begun may be finished.
//
// Wherever a Reply or Verdict is returned, zero means the default success.
type Session interface {
	// Helo is asked after HELO, EHLO or LHLO parsed; c.Helo holds the name.
	Helo(ctx context.Context) Reply
	// Mail is asked for a transaction that has nothing but its sender.
	Mail(ctx context.Context, tx *Transaction) Verdict
	// Rcpt is asked for each recipient. tx.Rcpts holds those accepted before;
	// with pending verdicts it may lag behind, but never beside Rcpt.
	Rcpt(ctx context.Context, tx *Transaction, rcpt Recipient) Verdict
	// Data is asked once before content is taken, by DATA or the first BDAT.
	// Zero, or a reply of 354, lets the content in.
	Data(ctx context.Context, tx *Transaction) Verdict
	// Message takes the content: lines end in CRLF, dots are unstuffed. A read
	// error other than io.EOF means that the message is void (see the Err
	// values); the engine then knows its reply and ignores the Result. What
	// Message does not read the engine drops.
	Message(ctx context.Context, tx *Transaction, content io.Reader) Result
	// Reset ends a transaction for which Mail was called: after its last
	// reply was decided, or on RSET, EHLO, refusal and loss of connection.
	Reset(tx *Transaction)
	// Event tells what the engine decided by itself.
	Event(e Event)
	// Close is the last call, after the connection was closed.
	Close(s Summary)
}

// Verdict is a reply that may come later. The engine waits for Pending in
// command order; closing the channel without a value is 451 4.3.0.
type Verdict struct {
	Reply   Reply
	Pending <-chan Reply
}

// Say returns a verdict that is known now.
func Say(r Reply) Verdict { return Verdict{Reply: r} }

// Later returns a verdict that will arrive on ch, which should have room for
// one value, so that nobody waits when the connection is gone.
func Later(ch <-chan Reply) Verdict { return Verdict{Pending: ch} }

// Result is the outcome of a message. In LMTP mode Each holds one verdict per
// accepted recipient, in order; where it is too short, Verdict stands in. In
// SMTP mode only Verdict counts.
type Result struct {
	Verdict
	Each []Verdict
}

// Recipient is an accepted or proposed recipient.
type Recipient struct {
	To      addr.Address
	Options smtp.RcptOptions
	Number  int // of the RCPT command in its transaction, from 1, refused ones counted
}

// Transaction is the state between MAIL and its end.
type Transaction struct {
	Number  int // in the connection, from 1
	From    addr.Address
	Options smtp.MailOptions
	Rcpts   []Recipient // accepted, in command order
	BDAT    bool        // content came by BDAT
	More    bool        // in Rcpt: a further RCPT has arrived; else a pending verdict gains nothing
	Size    int64       // octets of content read so far
	Value   any         // the session's own
}

// Errors that content readers return in place of io.EOF.
var (
	// ErrTooBig: more than Limits.MessageSize; the reply is 552 5.3.4.
	ErrTooBig = fail.New(fail.Invalid, "message is larger than the limit")
	// ErrBareLF: the content is refused by wire.RejectBareLF; 550 5.5.2.
	ErrBareLF = fail.New(fail.Invalid, "message has a bare LF")
	// ErrAborted: the client gave up or vanished.
	ErrAborted = fail.New(fail.Temporary, "message was not finished by the client")
)

// Authenticator checks logins. It logs its own failures.
type Authenticator interface {
	// Mechanisms lists what EHLO announces, best first; empty when no login
	// could be checked now. It must not block for long.
	Mechanisms(c *Conn) []string
	// Start begins an exchange with a mechanism that Mechanisms listed. An
	// error is answered like one of Next.
	Start(ctx context.Context, c *Conn, mech string) (Exchange, error)
}

// Exchange is one SASL conversation.
type Exchange interface {
	// Next takes the client's decoded response; nil (not empty) in the first
	// call when there was no initial response. Errors: fail.Denied is 535, with its
	// text shown, fail.Invalid 501, everything else 454.
	Next(ctx context.Context, response []byte) (AuthStep, error)
	// Close is always called once, after success, failure or cancellation.
	Close()
}

// AuthStep is either a challenge or, when Done, success.
type AuthStep struct {
	Challenge []byte
	Done      bool
	Identity  string // authorization identity, when Done
}
