package gate

import (
	"net/netip"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Stage is a point in the SMTP session at which rules are asked.
type Stage uint8

// The stages, in the order of a session.
const (
	Connect Stage = iota
	Helo
	Mail
	Rcpt
	Data
	numStages
)

var stageNames = [numStages]string{"CONNECT", "HELO", "MAIL", "RCPT", "DATA"}

// String returns the word Postfix uses in "reject: RCPT from".
func (s Stage) String() string {
	if s < numStages {
		return stageNames[s]
	}
	return "UNKNOWN"
}

// Facts is what is known about the session when a stage is asked. Later
// stages see everything earlier ones saw.
type Facts struct {
	Peer   netip.Addr   // invalid for a Unix socket
	Name   string       // forward-confirmed client name, or "unknown"
	Local  bool         // came by the submit socket: the kernel vouches for the uid
	TLS    bool         // the session is encrypted
	User   string       // authenticated user name, or ""
	Prints []string     // fingerprints of the client's certificate and of its key, if any are listed
	Helo   string       // name given with HELO or EHLO
	Sender addr.Address // from MAIL on; zero is the null sender
	Rcpt   addr.Address // Rcpt stage only
}

// Policy lists the rules of each stage of one kind of listener.
type Policy [numStages][]Rule

// MX is the policy of a port 25 listener: anybody may send to our domains,
// trusted networks and authenticated users to everybody.
func MX() Policy {
	return Policy{
		Mail: {NeedFullSender},
		Rcpt: {NeedFullRecipient, PermitTrusted, PermitAuthenticated, PermitCert, DenyRelay},
	}
}

// Submission is the policy of the 587 and 465 listeners (RFC 6409): nothing
// before TLS where the listener has it, nothing without authentication.
func Submission() Policy {
	return Policy{
		Mail: {NeedTLS, NeedAuth, NeedFullSender},
		Rcpt: {NeedFullRecipient, PermitAuthenticated, DenyRelay},
	}
}

// PlainSubmission is Submission for a listener that has TLS switched off, for
// tests and for use behind a proxy that ended TLS.
func PlainSubmission() Policy {
	p := Submission()
	p[Mail] = []Rule{NeedAuth, NeedFullSender}
	return p
}

// Submit is the policy of the Unix socket for local programs.
func Submit() Policy {
	return Policy{
		Mail: {NeedLocal, NeedFullSender},
		Rcpt: {NeedFullRecipient, PermitLocal, DenyRelay},
	}
}
