package server

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// cmdAuth is AUTH (RFC 4954 section 4).
func (e *engine) cmdAuth(args []byte) Reply {
	if r := e.authRefusal(args); !r.IsZero() {
		return e.refused("AUTH", r, nil) // args may hold a password
	}
	mech, initial, _ := strings.Cut(string(args), " ")
	mech = strings.ToUpper(mech)
	if !slices.Contains(e.cfg.Auth.Mechanisms(&e.pub), mech) {
		return e.authInvalid(mech, "Invalid authentication mechanism")
	}
	var response []byte
	if initial = strings.TrimSpace(initial); initial != "" {
		var err error
		if response, err = decodeResponse([]byte(initial)); err != nil {
			return e.authInvalid(mech, "Invalid base64 data in initial response")
		}
	}
	x, err := e.cfg.Auth.Start(e.ctx, &e.pub, mech)
	var no *Refusal
	if errors.As(err, &no) {
		return e.refused("AUTH", no.Reply, nil)
	}
	if err != nil {
		return e.authFailed(mech, err)
	}
	defer x.Close()
	return e.converse(mech, x, response)
}

// Refusal is the error of an Authenticator that does not let a login begin, with
// what is said to the client.
type Refusal struct{ Reply Reply }

// Error implements error.
func (r *Refusal) Error() string { return r.Reply.String() }

// authRefusal says why AUTH cannot begin.
func (e *engine) authRefusal(args []byte) Reply {
	switch {
	case e.cfg.Auth == nil || e.pub.Policy.Words.HideAuth:
		return MakeReply(503, 5, 5, 1, "Error: authentication not enabled")
	case e.pub.User != "":
		return MakeReply(503, 5, 5, 1, "Error: already authenticated")
	case e.pub.TLS == nil && !e.pub.Policy.ClearAuth:
		return MakeReply(504, 5, 5, 4, "Encryption required for requested authentication mechanism")
	case len(args) == 0 || len(strings.Fields(string(args))) > 2:
		return syntax("Syntax: AUTH mechanism")
	}
	return Reply{}
}

// converse runs the exchange to its end.
func (e *engine) converse(mech string, x Exchange, response []byte) Reply {
	for {
		step, err := x.Next(e.ctx, response)
		if err != nil {
			return e.authFailed(mech, err)
		}
		if step.Done {
			e.pub.Mech, e.pub.User = mech, step.Identity
			e.hooks.Event(Event{Kind: EventAuth, Verb: "AUTH", Mech: mech})
			return MakeReply(235, 2, 7, 0, "Authentication successful")
		}
		e.out.reply(Reply{Code: 334, Text: base64.StdEncoding.EncodeToString(step.Challenge)})
		e.out.flush()
		line, r := e.authLine(mech)
		e.hide()
		if !r.IsZero() {
			return r
		}
		if response, err = decodeResponse(line); err != nil {
			return e.authInvalid(mech, "Invalid base64 data in continued response")
		}
	}
}

// authLine reads the client's next response.
func (e *engine) authLine(mech string) ([]byte, Reply) {
	e.src.command(e.cfg.Timeouts.Command, true)
	line, err := e.in.ReadLine(e.pub.Policy.Limits.AuthResponse)
	switch {
	case errors.Is(err, wire.ErrLineTooLong):
		return nil, e.refusedFor(TooLong, "AUTH", MakeReply(500, 5, 5, 6, "SASL response limit exceeded"), nil)
	case errors.Is(err, wire.ErrFlood):
		return nil, MakeReply(421, 4, 7, 0, e.cfg.Hostname+" Error: authentication response too long")
	case err != nil:
		e.lost(err)
		return nil, Reply{Code: said}
	case e.bareLF():
		return nil, e.bareCommand("AUTH", nil)
	case e.in.Buffered() > 0 && e.pub.Policy.StrictSync:
		return nil, e.tooEager("AUTH")
	case string(line) == "*":
		e.hooks.Event(Event{Kind: EventAuthAborted, Verb: "AUTH", Mech: mech})
		return nil, e.refused("AUTH", MakeReply(501, 5, 7, 0, "Authentication aborted"), nil)
	}
	return line, Reply{}
}

// decodeResponse: "=" is an empty response, which is not the same as none.
func decodeResponse(b []byte) ([]byte, error) {
	if string(b) == "=" {
		return []byte{}, nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Strict().Decode(out, b)
	return out[:n], err
}

// authFailed is the reply to a failed login. An outage is never a rejection.
func (e *engine) authFailed(mech string, err error) Reply {
	return e.loginFailed(mech, err, false)
}

// authInvalid is authFailed for what the Authenticator does not get to see.
func (e *engine) authInvalid(mech, text string) Reply {
	return e.loginFailed(mech, fail.New(fail.Denied, "%s", text), true)
}

func (e *engine) loginFailed(mech string, err error, own bool) Reply {
	var r Reply
	switch fail.KindOf(err) {
	case fail.Denied:
		r = MakeReply(535, 5, 7, 8, "Error: authentication failed: "+err.Error())
	case fail.Invalid:
		r = MakeReply(501, 5, 5, 2, "Error: malformed authentication response")
	default:
		r = MakeReply(454, 4, 7, 0, "Temporary authentication failure: "+err.Error())
	}
	e.hooks.Event(Event{Kind: EventAuthFailed, Verb: "AUTH", Mech: printable([]byte(mech)), Reply: r, Err: err, Own: own})
	return r
}
