package item

import (
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Envelope is what was said about a message when it was submitted. It is
// written once and never changes; what becomes of the recipients is kept
// apart (State).
type Envelope struct {
	Sender     addr.Address // null for notifications
	Recipients []Recipient
	Arrival    time.Time // set by Commit when zero
	Size       int64     // bytes of headers and body; set by Commit

	EnvID      string // ENVID of RFC 3461, decoded from xtext
	Return     Return // RET of RFC 3461
	SMTPUTF8   bool   // RFC 6531: may only travel to hosts that offer it
	EightBit   bool   // BODY=8BITMIME of RFC 6152
	RequireTLS bool   // RFC 8689

	Client     Client // where it came from
	SASLUser   string // authenticated user, empty when none
	SASLMethod string
	Origin     string // name of the listener or service that took it: "smtpd", "submission", "bounce", ...

	Hold bool // commit it on hold
}

// Origins of our own notifications: to senders, to the postmaster, and about
// what was asked by sendmail -bv.
const (
	OriginBounce = "bounce"
	OriginDouble = "2bounce"
	OriginVerify = "verify"
)

// Notice reports whether the message is a notification of our own.
func (e *Envelope) Notice() bool {
	return e.Origin == OriginBounce || e.Origin == OriginDouble || e.Origin == OriginVerify
}

// Client is the submitting peer, for logs, XFORWARD and bounces.
type Client struct {
	Name  string // verified host name, "unknown", or empty for local mail
	Addr  string // IP address, or empty
	Port  uint16
	Helo  string
	Proto string // ESMTP, ESMTPSA, LMTP, ... as in Received
	Ident string // queue id before a content filter brought the message back, else empty
}

// Recipient is one address the message goes to.
type Recipient struct {
	Addr     addr.Address
	Original addr.Address // before aliases and rewriting; null when it is the same
	ORCPT    string       // RFC 3461 "addr-type;address", decoded from xtext; empty when not given
	Notify   Notify
}

// Return is how much of the message a failure notice brings back.
type Return uint8

// RET values.
const (
	ReturnUnset Return = iota
	ReturnFull
	ReturnHeaders
)

// String returns the RET keyword, "" when unset.
func (r Return) String() string {
	switch r {
	case ReturnFull:
		return "FULL"
	case ReturnHeaders:
		return "HDRS"
	}
	return ""
}

// Notify is the set of events a sender wants to hear of (NOTIFY of RFC 3461).
type Notify uint8

// NOTIFY values; zero means that the parameter was absent, which is read as
// failure and delay (RFC 3461 section 4.1).
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay

	// NotifyExpanded marks an alias that stands in the envelope only to be
	// reported on: its addresses are recipients of their own, see Expand.
	NotifyExpanded
)

// Failure reports whether failures are to be notified.
func (n Notify) Failure() bool { return n == 0 || n&NotifyFailure != 0 && n&NotifyNever == 0 }

// Delay reports whether delays may be notified.
func (n Notify) Delay() bool { return n == 0 || n&NotifyDelay != 0 && n&NotifyNever == 0 }

// Success reports whether successful delivery is to be notified.
func (n Notify) Success() bool { return n&NotifySuccess != 0 && n&NotifyNever == 0 }

// Expand is the recipients that stand for r when it is an alias for to. One
// address inherits what the sender has asked for (RFC 3461 section 5.2.7.2);
// of several none reports success, but the alias itself reports that it was
// expanded (section 5.2.7.3 (c)).
func Expand(r Recipient, to []addr.Address) []Recipient {
	given := r.Addr
	if !r.Original.Null() {
		given = r.Original
	}
	out := make([]Recipient, 0, len(to)+1)
	each := r
	if len(to) > 1 && r.Notify.Success() {
		out = append(out, Recipient{Addr: r.Addr, Original: r.Original, ORCPT: r.ORCPT, Notify: NotifySuccess | NotifyExpanded})
		if each.Notify &^= NotifySuccess; each.Notify == 0 {
			each.Notify = NotifyNever // not even failures were asked for
		}
	}
	for _, a := range to {
		each.Addr, each.Original = a, addr.Address{}
		if a != given {
			each.Original = given
		}
		out = append(out, each)
	}
	return out
}

// String returns the NOTIFY value, "" when absent.
func (n Notify) String() string {
	if n&NotifyNever != 0 {
		return "NEVER"
	}
	out := ""
	for i, word := range [...]string{"SUCCESS", "FAILURE", "DELAY"} {
		if n&(NotifySuccess<<i) != 0 {
			if out != "" {
				out += ","
			}
			out += word
		}
	}
	return out
}
