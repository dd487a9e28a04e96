package queue

import (
	"context"
	"io"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Consumers are what Run works with. All but Observer are required; all must
// be safe for concurrent use.
type Consumers struct {
	Router    Router
	Deliverer Deliverer
	Bouncer   Bouncer
	Observer  Observer
}

// Observer hears what happens, for the mail log. It must be quick and must not
// call the queue.
type Observer interface {
	// Activated: deliveries of a message begin, for so many recipients.
	Activated(id ID, env *Envelope, recipients int)
	// Attempted: one recipient's attempt is over.
	Attempted(a *Attempt)
	// Expired: the message was tried for as long as it may be, or an operator
	// has given it up (forced); what is left of its recipients is returned.
	Expired(id ID, env *Envelope, forced bool)
	// Notified: a notification about the message id was queued as notice, with
	// the Message-ID msgID.
	Notified(id ID, kind NoticeKind, notice ID, msgID string)
	// Discarded: a notice to the postmaster could not be delivered, and nobody
	// is told of that.
	Discarded(id ID)
	// Removed: the message has left the queue, all is done.
	Removed(id ID)
	// TransportFailed: nothing is tried over a transport for a while.
	TransportFailed(transport string, why error)
}

// Attempt is what an Observer hears of one recipient.
type Attempt struct {
	ID        ID
	Recipient Recipient
	Route     Route // zero when the Router had none
	Result    Result
	Before    time.Duration // from arrival until the message became active
	Queued    time.Duration // from then until the attempt began
	Suspended bool          // nothing was tried, the destination is known to be down
}

// Router says where a recipient's mail goes. It is asked each time a message
// becomes active, so a changed configuration applies to queued mail.
type Router interface {
	// Route may block. An error of kind fail.Permanent or fail.NotFound fails
	// the recipient; any other, and a panic, defers it.
	Route(ctx context.Context, env *Envelope, rcpt addr.Address) (Route, error)
}

// Route is a transport and a next hop. Equal Routes share one destination
// queue and may share one delivery.
type Route struct {
	Transport string // from a closed list: it is a metric label and selects Limits
	NextHop   string // "example.org", "[192.0.2.1]:25", "unix:/run/x"; opaque to the queue
}

// Deliverer makes one delivery attempt.
type Deliverer interface {
	// Deliver tries to hand the message to the next hop for all recipients of
	// the job. It must return soon after ctx is done. A result that is missing,
	// and a panic, defer the recipient.
	Deliver(ctx context.Context, job *Job) Outcome
}

// Outcome is what an attempt gave.
type Outcome struct {
	Results []Result // one for each of Job.Recipients, in that order

	// SiteFailure is true when the destination itself did not work (connect,
	// TLS, banner, EHLO, 421, lost connection), so that other mail for it
	// should wait as well.
	SiteFailure bool

	// TransportFailure says why the way itself did not work, whatever the
	// destination: nothing goes over this transport for a while. Its kind is
	// fail.Unavailable when there was nobody to talk to.
	TransportFailure error
}

// Result is what became of one recipient in one attempt.
type Result struct {
	Status     Status // Delivered, Deferred or Failed
	Code       Code   // enhanced status code; zero gives 2.0.0, 4.0.0 or 5.0.0
	Reason     string // one line for people and logs: "250 2.0.0 Ok", "host mx[192.0.2.1] said: 550 ..."
	Diagnostic string // the next hop's reply as received ("550 5.1.1 no such user"); empty when there was none
	Remote     string // host name of the next hop, empty when there was none
	Relayed    bool   // Delivered, to a host that announced DSN and got the NOTIFY parameter, or to recipients that inherit it
	Expanded   bool   // Delivered: the recipient is an alias, and others have taken its place (RFC 3461 section 5.2.7.3)

	// For the log line.
	TLS     string // version and cipher, empty without
	Relay   string // "mx.example.org[192.0.2.1]:25"; empty is shown as "none"
	ConnUse int    // how many messages the connection has carried with this one; 0 or 1 is not shown
	Connect time.Duration
	Send    time.Duration
}

// Job is one delivery attempt: some recipients of one message that have the
// same Route.
type Job struct {
	ID         ID
	Route      Route
	Envelope   *Envelope   // of the whole message, read only
	Recipients []Recipient // those of this job
	States     []State     // their states before this attempt
	Attempt    int         // 1 for the first try of this message

	open func() (*Content, error)
}

// Open gives the message's content. The caller closes it. An error of kind
// fail.Corrupt means that the stored message is damaged; the job's recipients
// are then to be deferred, the queue looks after the rest.
func (j *Job) Open() (*Content, error) { return j.open() }

// Notice says what a notification is about.
type Notice struct {
	Kind       NoticeKind
	To         addr.Address // who gets it
	ID         ID           // of the original message
	Envelope   *Envelope
	Recipients []NoticeRecipient
	Expires    time.Time // Delay only: when the queue gives up
	Now        time.Time
	Open       func() (*Content, error) // the original message; the caller closes it; nil if there is none
}

// NoticeRecipient is one recipient a notification reports on.
type NoticeRecipient struct {
	Recipient
	State
	Index     int    // in Envelope.Recipients
	Transport string // that delivered it (NoticeSuccess), Expanded, or empty when not known
}

// NoticeKind is the kind of a notification.
type NoticeKind uint8

// The kinds.
const (
	NoticeFailure NoticeKind = iota // recipients Failed or Expired
	NoticeDelay                     // still Deferred
	NoticeSuccess                   // Delivered, and NOTIFY asked for it, or a delay was told of

	// For the postmaster, see Settings.NotifyClasses.
	NoticeFailureCopy
	NoticeDelayCopy
	NoticeDouble // mail without a sender could not be delivered, most often a notification

	// NoticeVerify is about a question, not a message: where mail would go.
	// The queue has none of its own; see Notice.Open.
	NoticeVerify
)

var noticeNames = [...]string{"failure", "delay", "success", "failure_copy", "delay_copy", "double", "verify"}

// String returns the name, a metric label.
func (k NoticeKind) String() string { return noticeNames[min(int(k), len(noticeNames)-1)] }

// ForPostmaster reports whether a notification of this kind goes to the
// postmaster rather than to the sender.
func (k NoticeKind) ForPostmaster() bool { return k >= NoticeFailureCopy && k <= NoticeDouble }

// Failure reports whether a notification of this kind is about a failure.
func (k NoticeKind) Failure() bool {
	return k == NoticeFailure || k == NoticeFailureCopy || k == NoticeDouble
}

// Delay reports whether a notification of this kind is about a delay.
func (k NoticeKind) Delay() bool { return k == NoticeDelay || k == NoticeDelayCopy }

// Composed are the facts of a notification that its envelope and the log need.
type Composed struct {
	SMTPUTF8  bool
	EightBit  bool
	MessageID string // as the header has it, with its brackets
}

// Bouncer writes notifications. The queue chooses what to notify, takes the
// message written to w as its own from the null sender to n.To, and makes it
// durable.
type Bouncer interface {
	Compose(ctx context.Context, w io.Writer, id ID, n *Notice) (Composed, error)
}
