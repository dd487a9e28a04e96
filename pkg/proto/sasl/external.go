package sasl

import (
	"strings"
	"unicode"
	"unicode/utf8"

	gosasl "github.com/emersion/go-sasl"
)

// maxTrace is RFC 4505's 255 characters, at four bytes each.
const maxTrace = 4 * 255

// NewExternalServer serves EXTERNAL, RFC 4422 appendix A: the response is the
// name to act as, or empty.
func NewExternalServer(b Backend, _ Setting) gosasl.Server {
	return &once{mech: "EXTERNAL", take: func(response []byte) error {
		authzid := string(response)
		if authzid != "" {
			if err := checkName("EXTERNAL", authzid); err != nil {
				return err
			}
		}
		return b.VerifyExternal(authzid)
	}}
}

// NewAnonymousServer serves ANONYMOUS, RFC 4505: the response is a trace, an
// address or anything else, or empty.
func NewAnonymousServer(b Backend, _ Setting) gosasl.Server {
	return &once{mech: "ANONYMOUS", take: func(response []byte) error {
		trace := string(response)
		if len(trace) > maxTrace || !utf8.ValidString(trace) || strings.ContainsFunc(trace, unicode.IsControl) {
			return malformed("ANONYMOUS", "trace is too long or not text")
		}
		return b.VerifyAnonymous(trace)
	}}
}

// sayOnce is a client with a single message.
type sayOnce struct {
	mech, message string
	err           error
}

// NewExternalClient authenticates with EXTERNAL as Authzid.
func NewExternalClient(c Credentials) gosasl.Client {
	return &sayOnce{mech: "EXTERNAL", message: c.Authzid}
}

// NewAnonymousClient authenticates with ANONYMOUS; Authcid is the trace.
func NewAnonymousClient(c Credentials) gosasl.Client {
	return &sayOnce{mech: "ANONYMOUS", message: c.Authcid}
}

func (c *sayOnce) Start() (mech string, ir []byte, err error) {
	return c.mech, []byte(c.message), c.err
}

// Next answers the empty challenge of a server that ignored the initial
// response.
func (c *sayOnce) Next(challenge []byte) ([]byte, error) {
	if len(challenge) != 0 {
		return nil, gosasl.ErrUnexpectedServerChallenge
	}
	return []byte(c.message), c.err
}
