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
	Final  []byte             // the mechanism's last message, if Request.FinalOK; may be nil
	// The three values by which the session role redeems the login
	// (userdbclient.Redeem). They are good once, as long as this connection
	// to authd stands.
	PID       uint32
	RequestID uint32
	Cookie    string
	// Sealed is for the session role alone, which opens it instead of redeeming
	// the login (userdbclient.Unseal). Empty: the login is to be redeemed.
	Sealed string
}

// Forbidden reports whether the login must be refused although the password
// was right: "nologin" (not here, or not now). reason is for the user; it may be
// empty. Whoever does not redeem logins has to ask.
func (r Result) Forbidden() (reason string, forbidden bool) {
	return r.Fields.Get("reason"), r.Fields.Has("nologin")
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
	call    *link.Call
	pid     uint32
	cookie  string
	binding func(kind string) ([]byte, error)
	bound   []byte // goes with the next response
}

// Next passes the peer's response on and waits for the answer. Errors:
// fail.Denied (wrong credentials; AsFailure has the details), fail.Unavailable
// (outage, lost connection, ctx ended: tell the peer to try later),
// fail.Invalid (the response is too long). After an error the exchange is over.
func (x *Exchange) Next(ctx context.Context, response []byte) (Step, error) {
	line := x.cont(base64.StdEncoding.EncodeToString(response))
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

// cont is the CONT line with data, and the channel binding that was asked for.
func (x *Exchange) cont(data string) []byte {
	params := []string{dovecotauth.FormatID(x.call.ID), data}
	if x.bound != nil {
		params = append(params, "channel_binding="+base64.StdEncoding.EncodeToString(x.bound))
		x.bound = nil
	}
	return dovecotauth.AppendLine(nil, "CONT", params...)
}

// Cancel gives the exchange up, as when the peer sends "*" or goes away. It is
// harmless after the end.
func (x *Exchange) Cancel() {
	if x.call.End() {
		_ = x.call.Send(dovecotauth.AppendLine(nil, "CANCEL", dovecotauth.FormatID(x.call.ID)))
	}
}

// outOfBand is data that is no part of the mechanism's exchange: the server
// asks us, not the peer.
const outOfBand = "#"

func (x *Exchange) await(ctx context.Context) (Step, error) {
	for {
		line, err := x.call.Wait(ctx)
		if err != nil {
			x.Cancel() // the server must not keep what nobody waits for
			return Step{}, err
		}
		if line.Verb == "CONT" {
			if err := x.bind(line.Fields(2)); err != nil {
				x.Cancel()
				return Step{}, err
			}
			if line.Param(1) == outOfBand {
				if err := x.call.Send(x.cont(outOfBand)); err != nil {
					x.call.End()
					return Step{}, err
				}
				continue
			}
		}
		step, err := x.answer(line)
		if err != nil || step.Done {
			x.call.End()
		}
		return step, err
	}
}

// bind gets the channel binding that the fields of a CONT ask for.
func (x *Exchange) bind(fs dovecotauth.Fields) error {
	kind, ok := fs.Lookup("channel_binding")
	switch {
	case !ok:
		return nil
	case x.binding == nil:
		return fail.Wrap(fail.Denied, &Failure{Reason: "Channel binding not supported"}, "")
	}
	data, err := x.binding(kind)
	if err != nil {
		return fail.Wrap(fail.Denied, &Failure{Reason: "Channel binding failed"}, "channel binding %.64q: %v", kind, err)
	}
	x.bound = data
	return nil
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
		return x.success(line.Fields(1))
	case "FAIL":
		return Step{}, refusal(line.Fields(1))
	}
	return Step{}, fail.New(fail.Unavailable, "auth service sent an unknown reply %.20q", line.Verb)
}

func (x *Exchange) success(fs dovecotauth.Fields) (Step, error) {
	r := Result{User: fs.Get("user"), Fields: fs, PID: x.pid, RequestID: x.call.ID, Cookie: x.cookie, Sealed: fs.Get("sealed")}
	if r.User == "" {
		return Step{}, fail.New(fail.Unavailable, "auth service confirmed a login without naming the user")
	}
	if b64, ok := fs.Lookup("resp"); ok {
		final, err := base64.StdEncoding.DecodeString(b64)
		if err != nil {
			return Step{}, fail.New(fail.Unavailable, "auth service sent a last message that is not base64")
		}
		r.Final = final
	}
	return Step{Done: true, Result: r}, nil
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
