package login

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// The texts of failed logins, which log parsers and clients know from
// Dovecot.
const (
	textFailed      = "Authentication failed."
	textUnavailable = "Temporary authentication failure."
	textPlaintext   = "Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
	textExposed     = "Plaintext authentication not allowed without SSL/TLS, but your client did it anyway. " +
		"If anyone was listening, the password was exposed."
	textAborted = "Authentication aborted by client."
	textBase64  = "Invalid base64 data in continued response."
)

// errAborted and errBase64 are how an Ask ends that the client has spoiled.
// They pass through the Authenticator and choose the reply.
var (
	errAborted = fail.New(fail.Invalid, textAborted)
	errBase64  = fail.New(fail.Invalid, textBase64)
)

// login: RFC 3501 section 6.2.3. It is AUTHENTICATE PLAIN in other words.
func (e *Engine) login(ctx context.Context, tag string) {
	e.r.SP()
	user := e.r.AString()
	e.r.SP()
	pass := e.r.AString()
	if !e.plain() {
		return
	}
	if !e.passwords() {
		e.exposed(tag)
		return
	}
	initial := []byte("\x00" + user + "\x00" + pass)
	e.exchange(ctx, tag, Attempt{Mechanism: "PLAIN", Initial: initial, HasInitial: true})
}

// exposed answers a password that came in the clear.
func (e *Engine) exposed(tag string) {
	e.out.Exposed = true
	e.w.Status("*", imap.StatusResponseTypeBad, "ALERT", textExposed)
	e.w.Status(tag, imap.StatusResponseTypeNo, string(imap.ResponseCodePrivacyRequired), textPlaintext)
}

// authenticate: RFC 3501 section 6.2.2 with the initial response of RFC 4959.
func (e *Engine) authenticate(ctx context.Context, tag string) {
	e.r.SP()
	a := Attempt{Mechanism: e.r.Word()}
	var encoded string
	if !e.r.AtEnd() {
		e.r.SP()
		// mutt with GNU SASL sends the space and nothing behind it where the
		// server begins (CRAM-MD5, DIGEST-MD5).
		if !e.r.AtEnd() {
			encoded, a.HasInitial = e.r.Atom(), true
		}
	}
	if !e.plain() {
		return
	}
	if a.HasInitial && encoded != "=" {
		b, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			e.invalid(tag, "Invalid base64 data in initial response.")
			return
		}
		a.Initial = b
	}
	if !slices.Contains(e.mechanisms(), a.Mechanism) {
		// Known on a secured connection: the client exposed a password.
		if slices.Contains(e.opt.Auth.Mechanisms(true), a.Mechanism) {
			e.exposed(tag)
			return
		}
		e.w.Status(tag, imap.StatusResponseTypeNo, "", "Unsupported authentication mechanism.")
		return
	}
	e.exchange(ctx, tag, a)
}

// exchange runs the Authenticator and answers for a failure.
func (e *Engine) exchange(ctx context.Context, tag string, a Attempt) {
	a.ClientID = e.clientID
	e.out.Mechanism = a.Mechanism
	actx, cancel := context.WithTimeout(ctx, e.opt.AuthTimeout)
	defer cancel()
	e.out.InAuth = true
	v, err := e.opt.Auth.Authenticate(actx, a, e.ask(a))
	if e.r.Err() != nil { // the client's answer could not be read
		e.settle(ctx, tag)
		return
	}
	e.out.InAuth = false
	if err == nil {
		buffered := bytes.Clone(e.r.Buffered())
		e.r.Drop()
		e.out.User = v.User
		e.out.Success = &Success{Tag: tag, Buffered: buffered, Mechanism: a.Mechanism, Verdict: v, Conn: e.conn}
		return
	}
	if ctx.Err() != nil {
		e.end(ctx, ctx.Err())
		return
	}
	e.refused(tag, err)
}

// refused answers a login that failed.
func (e *Engine) refused(tag string, err error) {
	var r *Refused
	switch {
	case errors.Is(err, errAborted), errors.Is(err, errBase64):
		e.w.Status(tag, imap.StatusResponseTypeBad, "", err.Error())
		return
	case errors.As(err, &r):
		e.out.Attempts++
		e.w.Status(tag, imap.StatusResponseTypeNo, string(r.Code), r.Text)
	case fail.Is(err, fail.Denied):
		e.out.Attempts++
		e.w.Status(tag, imap.StatusResponseTypeNo, string(imap.ResponseCodeAuthenticationFailed), textFailed)
	case fail.Is(err, fail.Invalid):
		e.out.Attempts++
		e.invalid(tag, textFailed)
	default:
		e.w.Status(tag, imap.StatusResponseTypeNo, string(imap.ResponseCodeUnavailable), textUnavailable)
		return
	}
	if limit := e.opt.MaxAuthFailed; limit > 0 && e.out.Attempts >= limit && e.out.Reason == ReasonNone {
		e.bye(ReasonAuthFailed, "Too many failed logins.")
	}
}

// ask is the Authenticator's way to the client.
func (e *Engine) ask(a Attempt) Ask {
	// For the log: whom the exchange is about. Only the first answer is looked
	// at: the next one of LOGIN is the password.
	first := true
	note := func(answer []byte) {
		if name := sasl.Claimed(a.Mechanism, answer); first && name != "" {
			e.out.User = name
		}
		first = false
	}
	if a.HasInitial {
		note(a.Initial)
	}
	return func(_ context.Context, challenge []byte) ([]byte, error) {
		e.w.Raw("+ ")
		e.w.Raw(base64.StdEncoding.EncodeToString(challenge))
		e.w.CRLF()
		if err := e.w.Flush(); err != nil {
			return nil, err
		}
		e.r.Start()
		line := e.r.Line()
		if err := e.r.Err(); err != nil {
			return nil, err
		}
		if string(line) == "*" {
			return nil, errAborted
		}
		answer, err := base64.StdEncoding.DecodeString(string(line))
		if err != nil {
			return nil, errBase64
		}
		note(answer)
		return answer, nil
	}
}
