package authclient

import (
	"context"
	"encoding/base64"
	"errors"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/link"
)

// Step is one answer of the server: a challenge to pass on, or the end.
type Step struct {
	Done      bool
	Challenge []byte // when not Done; may be empty
	Result    Result // when Done
}

// Result is a successful login.
type Result struct {
	User   string             // canonical name; never empty
	Fields dovecotauth.Fields // everything the server said, user included
	// The three values by which the session role redeems the login
	// (userdbclient.Redeem). They are good once, as long as this connection
	// to authd stands.
	PID       uint32
	RequestID uint32
	Cookie    string
}

// Failure is why a login was refused. Its text is safe to log, not to show.
type Failure struct {
	User   string // as far as the server knows it
	Reason string // for the peer; may be empty
	Code   string // "authz_fail", "user_disabled", "pass_expired", "invalid_base64", …; may be empty
}

func (f *Failure) Error() string {
	text := "authentication failed"
	if f.User != "" {
		text += " for " + f.User
	}
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	return text
}

// AsFailure returns the refusal in err's chain, or nil.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return nil
}

// Exchange is one running SASL exchange. It is used by one goroutine and ends
// with Done, an error, or Cancel.
type Exchange struct {
	call   *link.Call
	pid    uint32
	cookie string
}

// Next passes the peer's response on and waits for the answer. Errors:
// fail.Denied (wrong credentials; AsFailure has the details), fail.Unavailable
// (outage, lost connection, ctx ended: tell the peer to try later),
// fail.Invalid (the response is too long). After an error the exchange is over.
func (x *Exchange) Next(ctx context.Context, response []byte) (Step, error) {
	b64 := base64.StdEncoding.EncodeToString(response)
	line := dovecotauth.AppendLine(nil, "CONT", dovecotauth.FormatID(x.call.ID), b64)
	if len(line) > dovecotauth.MaxLine {
		x.Cancel()
		return Step{}, fail.New(fail.Invalid, "authentication response of %d bytes is too long", len(response))
	}
	if err := x.call.Send(line); err != nil {
		x.call.End()
		return Step{}, err
	}
	return x.await(ctx)
}

// Cancel gives the exchange up, as when the peer sends "*" or goes away. It is
// harmless after the end.
func (x *Exchange) Cancel() {
	if x.call.End() {
		_ = x.call.Send(dovecotauth.AppendLine(nil, "CANCEL", dovecotauth.FormatID(x.call.ID)))
	}
}

func (x *Exchange) await(ctx context.Context) (Step, error) {
	line, err := x.call.Wait(ctx)
	if err != nil {
		x.Cancel() // the server must not keep what nobody waits for
		return Step{}, err
	}
	step, err := x.answer(line)
	if err != nil || step.Done {
		x.call.End()
	}
	return step, err
}

func (x *Exchange) answer(line dovecotauth.Line) (Step, error) {
	switch line.Verb {
	case "CONT":
		challenge, err := base64.StdEncoding.DecodeString(line.Param(1))
		if err != nil {
			return Step{}, fail.New(fail.Unavailable, "auth service sent a challenge that is not base64")
		}
		return Step{Challenge: challenge}, nil
	case "OK":
		fs := line.Fields(1)
		user := fs.Get("user")
		if user == "" {
			return Step{}, fail.New(fail.Unavailable, "auth service confirmed a login without naming the user")
		}
		return Step{Done: true, Result: Result{
			User: user, Fields: fs, PID: x.pid, RequestID: x.call.ID, Cookie: x.cookie,
		}}, nil
	case "FAIL":
		return Step{}, refusal(line.Fields(1))
	}
	return Step{}, fail.New(fail.Unavailable, "auth service sent an unknown reply %.20q", line.Verb)
}

func refusal(fs dovecotauth.Fields) error {
	f := &Failure{User: fs.Get("user"), Reason: fs.Get("reason"), Code: fs.Get("code")}
	// Up to 2.2 Dovecot wrote these codes as bare keys.
	if f.Code == "" {
		for old, code := range map[string]string{
			"temp": "temp_fail", "authz": "authz_fail", "user_disabled": "user_disabled", "pass_expired": "pass_expired",
		} {
			if fs.Has(old) {
				f.Code = code
			}
		}
	}
	if f.Code == "temp_fail" {
		return fail.Wrap(fail.Unavailable, f, "auth service has a temporary failure")
	}
	return fail.Wrap(fail.Denied, f, "")
}
