package dnsx

import (
	"errors"
	"fmt"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Error is a question without an answer.
type Error struct {
	Name string // as asked
	Type string // "MX", "A", ...
	Why  Why
	Err  error // for Unreachable, the network's error
}

// Why tells the cases of Error apart.
type Why string

// The cases.
const (
	NXDomain    Why = "Host not found"                                  // the name does not exist
	NoData      Why = "Host found but no data record of requested type" // it exists, without such records
	NullMX      Why = "Domain does not accept mail (nullMX)"            // RFC 7505
	NullSRV     Why = "Service is not offered (null SRV)"               // RFC 2782
	ServFail    Why = "Host not found, try again"                       // the server could not find out
	Unreachable Why = "Name server is not reachable"                    // no server answered
	BadAnswer   Why = "Malformed or unexpected name server reply"
)

func (e *Error) Error() string {
	s := fmt.Sprintf("DNS lookup of %s, type=%s: %s", e.Name, e.Type, string(e.Why))
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// newError gives the case its kind.
func newError(name, typ string, why Why, err error) error {
	kind := fail.Temporary
	if why == NXDomain || why == NoData || why == NullMX || why == NullSRV {
		kind = fail.NotFound
	}
	return fail.Wrap(kind, &Error{Name: name, Type: typ, Why: why, Err: err}, "")
}

// WhyOf returns the case of err, "" when it is none of this package's.
func WhyOf(err error) Why {
	var e *Error
	if errors.As(err, &e) {
		return e.Why
	}
	return ""
}

// IsNXDomain reports whether err says that the name does not exist at all.
func IsNXDomain(err error) bool { return WhyOf(err) == NXDomain }

// IsNullMX reports whether err says that the domain takes no mail, by a
// record that says so (RFC 7505): a permanent failure without looking further.
func IsNullMX(err error) bool { return WhyOf(err) == NullMX }

// IsNullSRV reports whether err says that a domain does not offer a service.
func IsNullSRV(err error) bool { return WhyOf(err) == NullSRV }
