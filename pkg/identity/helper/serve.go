package helper

import (
	"errors"
	"io"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Request is what a helper program is asked.
type Request struct {
	Service, User, Password string // Service and Password are empty in a lookup
	Fields                  dovecotauth.Fields
}

// Backend is what a helper program can do. A method that it cannot serve
// returns an outage. Errors: a Refusal in the chain, else an outage.
type Backend interface {
	Auth(r Request) (Answer, error)
	User(name string) (Answer, error)
}

// Deadliner is a connection whose reading can be limited; standard input of a
// socket unit is one.
type Deadliner interface{ SetReadDeadline(t time.Time) error }

// readTimeout is how long authd may take to say what it wants.
const readTimeout = 10 * time.Second

// Serve answers one request. The error is for the log; the peer has been told.
func Serve(rw io.ReadWriter, b Backend) error {
	if d, ok := rw.(Deadliner); ok {
		_ = d.SetReadDeadline(time.Now().Add(readTimeout))
	}
	l, err := dovecotauth.NewReader(rw).Next()
	if err != nil {
		return fail.Wrap(fail.Invalid, err, "reading the request")
	}
	a, err := answer(l, b)
	var r Refusal
	switch {
	case err == nil:
		_, werr := rw.Write(dovecotauth.AppendLine(nil, "OK", append([]string{a.User}, a.Fields.Params()...)...))
		return werr
	case errors.As(err, &r):
		_, werr := rw.Write(dovecotauth.AppendLine(nil, "FAIL", string(r)))
		return werr
	}
	_, _ = rw.Write(dovecotauth.AppendLine(nil, "TEMP", err.Error()))
	return err
}

func answer(l dovecotauth.Line, b Backend) (Answer, error) {
	switch {
	case l.Verb == "AUTH" && len(l.Params) >= 3 && l.Param(1) != "":
		if l.Param(2) == "" { // some PAM modules take an empty password for "none asked"
			return Answer{}, Mismatch
		}
		return b.Auth(Request{Service: l.Param(0), User: l.Param(1), Password: l.Param(2), Fields: l.Fields(3)})
	case l.Verb == "USER" && l.Param(0) != "":
		return b.User(l.Param(0))
	}
	return Answer{}, fail.New(fail.Invalid, "request %.20q is not understood", l.Verb)
}
