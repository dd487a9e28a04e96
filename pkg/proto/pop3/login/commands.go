package login

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Texts of Dovecot, which clients and fail2ban know.
const (
	textFailed      = "Authentication failed."
	textUnavailable = "Temporary authentication failure."
	textPlaintext   = "Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
)

// errCancelled: the client sent "*".
var errCancelled = errors.New("cancelled")

// errBase64: the client's answer was not base64.
var errBase64 = errors.New("invalid base64")

func (e *Engine) passwordsAllowed() bool { return e.out.Secured || e.opt.AllowPlaintext }

// CAPA: RFC 2449 section 5, in Dovecot's order.
func (e *Engine) capa(context.Context, string) step {
	e.conn.Printf("+OK")
	for _, c := range []string{"CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE"} {
		e.conn.Printf("%s", c)
	}
	if e.opt.StartTLS != nil && !e.out.TLS {
		e.conn.Printf("STLS")
	}
	if e.passwordsAllowed() {
		e.conn.Printf("USER")
	}
	e.conn.Printf("SASL%s", strings.Join(append([]string{""}, e.opt.Auth.Mechanisms(e.passwordsAllowed())...), " "))
	e.conn.Printf(".")
	return goOn
}

// STLS: RFC 2595 section 4. What came behind the command is dropped.
func (e *Engine) stls(ctx context.Context, _ string) step {
	if e.opt.StartTLS == nil || e.out.TLS {
		return e.faultStep("TLS is not available or already active.")
	}
	e.conn.Printf("+OK Begin TLS negotiation now.")
	if err := e.conn.Flush(); err != nil {
		e.out.Reason, e.out.Err = ReasonClosed, err
		return leave
	}
	e.conn.Release()
	c, err := e.opt.StartTLS(ctx, e.raw)
	if err != nil {
		e.out.Reason, e.out.Err = ReasonTLSFailed, err
		return leave
	}
	e.raw, e.user = c, ""
	e.conn.Swap(c)
	e.out.TLS, e.out.Secured = true, true
	return goOn
}

func (e *Engine) userCmd(_ context.Context, arg string) step {
	if !e.passwordsAllowed() {
		return e.exposed()
	}
	if arg == "" || len(arg) > 320 {
		return e.faultStep("Invalid user name.")
	}
	e.user = arg
	e.conn.Printf("+OK")
	return goOn
}

func (e *Engine) exposed() step {
	e.out.Exposed = true
	e.conn.Printf("-ERR %s", textPlaintext)
	return goOn
}

func (e *Engine) pass(ctx context.Context, arg string) step {
	if e.user == "" {
		e.conn.Printf("-ERR No username given.")
		return goOn
	}
	user := e.user
	e.user = ""
	e.out.User = user
	return e.attempt(ctx, Attempt{Mechanism: "PLAIN", Initial: []byte("\x00" + user + "\x00" + arg), HasInitial: true})
}

// APOP: RFC 1939 section 7. authd checks the digest and that the challenge is
// its own.
func (e *Engine) apop(ctx context.Context, arg string) step {
	if e.opt.Challenge == "" {
		return e.faultStep("APOP not enabled.")
	}
	i := strings.LastIndexByte(arg, ' ')
	if i < 1 || len(arg)-i-1 != 2*md5.Size {
		return e.faultStep("Invalid parameters.")
	}
	digest, err := hex.DecodeString(arg[i+1:])
	if err != nil {
		return e.faultStep("Invalid characters in MD5 response.")
	}
	initial := sasl.APOPResponse(e.opt.Challenge, arg[:i], [md5.Size]byte(digest))
	return e.attempt(ctx, Attempt{Mechanism: "APOP", Initial: initial, HasInitial: true})
}

// AUTH: RFC 5034; without argument it lists the mechanisms (RFC 1734 clients).
func (e *Engine) auth(ctx context.Context, arg string) step {
	mech, initial, _ := strings.Cut(arg, " ")
	mech, has := strings.ToUpper(mech), initial != ""
	offered := e.opt.Auth.Mechanisms(e.passwordsAllowed())
	if mech == "" {
		e.conn.Printf("+OK")
		for _, m := range append(slices.Clone(offered), ".") {
			e.conn.Printf("%s", m)
		}
		return goOn
	}
	if !slices.Contains(offered, mech) {
		// Known on a secured connection: the client exposed a password.
		if slices.Contains(e.opt.Auth.Mechanisms(true), mech) {
			return e.exposed()
		}
		e.reply("AUTH", "Unsupported authentication mechanism.")
		return goOn
	}
	a := Attempt{Mechanism: mech, HasInitial: has}
	if has && initial != "=" {
		var err error
		if a.Initial, err = base64.StdEncoding.DecodeString(initial); err != nil {
			e.reply("AUTH", "Invalid base64 data in initial response")
			return goOn
		}
	}
	return e.attempt(ctx, a)
}

func (e *Engine) attempt(ctx context.Context, a Attempt) step {
	e.out.Mechanism, e.out.InAuth = a.Mechanism, true
	actx, cancel := context.WithTimeout(ctx, e.opt.AuthTimeout)
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
	v, err := e.opt.Auth.Authenticate(actx, a, func(ctx context.Context, challenge []byte) ([]byte, error) {
		answer, err := e.ask(ctx, challenge)
		if err == nil {
			note(answer)
		}
		return answer, err
	})
	cancel()
	if v.User != "" {
		e.out.User = v.User
	}
	if err == nil {
		e.out.InAuth = false
		if ferr := e.conn.Flush(); ferr != nil {
			e.out.Reason, e.out.Err = ReasonClosed, ferr
			return leave
		}
		e.out.Success = &Success{Buffered: e.conn.Unread(), Mechanism: a.Mechanism, Verdict: v, Conn: e.raw}
		return loggedIn
	}
	return e.failed(ctx, err)
}

// failed answers an exchange that did not succeed.
func (e *Engine) failed(ctx context.Context, err error) step {
	var refused *Refused
	var gone *lostError
	switch {
	case errors.As(err, &gone):
		e.stop(gone.err, ctx)
		return leave
	case ctx.Err() != nil:
		e.stop(ctx.Err(), ctx)
		return leave
	}
	e.out.InAuth = false
	switch {
	case errors.Is(err, errCancelled):
		e.conn.Printf("-ERR Authentication aborted by client.")
	case errors.Is(err, errBase64):
		e.reply("AUTH", "Invalid base64 in response")
	case errors.As(err, &refused):
		e.out.Attempts++
		e.reply(refused.Code, refused.Text)
	case fail.Is(err, fail.Denied):
		e.out.Attempts++
		e.reply("AUTH", textFailed)
	case fail.Is(err, fail.Invalid):
		return e.faultStep("Invalid authentication data.")
	default:
		e.reply("SYS/TEMP", textUnavailable)
	}
	return goOn
}

// lostError: the connection broke inside an exchange.
type lostError struct{ err error }

func (e *lostError) Error() string { return "connection lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// ask is one challenge and its answer.
func (e *Engine) ask(_ context.Context, challenge []byte) ([]byte, error) {
	e.conn.Printf("+ %s", base64.StdEncoding.EncodeToString(challenge))
	line, err := e.conn.ReadLine()
	if err != nil {
		return nil, &lostError{err}
	}
	if string(line) == "*" {
		return nil, errCancelled
	}
	answer, err := base64.StdEncoding.DecodeString(string(line))
	if err != nil {
		return nil, errBase64
	}
	return answer, nil
}

// maxXClient caps the parameters of one XCLIENT.
const maxXClient = 30

// xclient takes the word of a proxy for who the client is, as Postfix's XCLIENT
// does. A peer that is nobody to believe hears so, and that it may go on.
func (e *Engine) xclient(_ context.Context, arg string) step {
	if e.opt.XClient == nil {
		e.conn.Printf("+OK You are not from trusted IP - ignoring")
		return goOn
	}
	var pairs [][2]string
	for word := range strings.FieldsSeq(arg) {
		name, value, _ := strings.Cut(word, "=")
		pairs = append(pairs, [2]string{strings.ToUpper(name), value})
	}
	if len(pairs) > maxXClient || !e.opt.XClient(pairs) {
		return e.faultStep("Invalid parameters")
	}
	e.conn.Printf("+OK Updated")
	return goOn
}

func (e *Engine) quit(context.Context, string) step {
	e.conn.Printf("+OK Logging out")
	e.out.Reason = ReasonLogout
	return leave
}
