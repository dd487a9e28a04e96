package login

import (
	"context"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// dispatch runs one command whose tag and name are read. What it cannot parse
// it leaves as an error in e.r.
func (e *Engine) dispatch(ctx context.Context, tag, verb string) {
	switch verb {
	case "CAPABILITY":
		e.capability(tag)
	case "NOOP":
		if e.plain() {
			e.ok(tag, "NOOP completed.")
		}
	case "ID":
		e.id(tag)
	case "LOGOUT":
		if e.plain() {
			e.bye(ReasonLogout, "Logging out")
			e.ok(tag, "Logout completed.")
		}
	case "STARTTLS":
		e.startTLS(ctx, tag)
	case "LOGIN":
		e.login(ctx, tag)
	case "AUTHENTICATE":
		e.authenticate(ctx, tag)
	default:
		e.r.Fail("Unknown command " + printable(verb))
	}
}

// printable cuts an unknown verb for the reply: what came in goes out to the
// same peer only, but need not go out whole.
func printable(s string) string { return s[:min(len(s), 32)] }

// plain reads the end of a command without arguments.
func (e *Engine) plain() bool {
	e.r.End()
	return e.r.Ok()
}

func (e *Engine) ok(tag, text string) {
	e.w.Status(tag, imap.StatusResponseTypeOK, "", text)
}

// capability: RFC 3501 section 6.1.1.
func (e *Engine) capability(tag string) {
	if !e.plain() {
		return
	}
	e.w.Raw("* CAPABILITY ")
	e.w.Raw(e.capabilities())
	e.w.CRLF()
	e.ok(tag, "Pre-login capabilities listed, post-login capabilities have more.")
}

// maxClientID is Dovecot's bound on what is remembered of an ID.
const maxClientID = 255

// id: RFC 2971. What the client says about itself is remembered for the
// Authenticator.
func (e *Engine) id(tag string) {
	e.r.SP()
	client := e.r.ID()
	if !e.plain() {
		return
	}
	e.clientID = ""
	for _, p := range client {
		e.clientID = addPair(e.clientID, p)
	}
	if e.opt.Identified != nil {
		e.opt.Identified(client)
	}
	e.w.ID(e.opt.ID)
	e.ok(tag, "ID completed.")
}

// addPair leaves out a pair for which there is no more room.
func addPair(known string, p wire.IDPair) string {
	pair := quoted(p.Name) + " NIL"
	if !p.Nil {
		pair = quoted(p.Name) + " " + quoted(p.Value)
	}
	if known != "" {
		pair = " " + pair
	}
	if len(known)+len(pair) > maxClientID {
		return known
	}
	return known + pair
}

// quoted is a quoted string of printable ASCII; what is none is dropped, since
// nobody downstream expects it.
func quoted(s string) string {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		switch {
		case c < ' ' || c > '~':
			continue
		case c == '"' || c == '\\':
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return string(append(b, '"'))
}

// startTLS: RFC 3501 section 6.2.1. Whatever the client has sent behind the
// command was plaintext that anybody could have put there: it is dropped
// (CVE-2021-33515).
func (e *Engine) startTLS(ctx context.Context, tag string) {
	if !e.plain() {
		return
	}
	if e.out.TLS || e.opt.StartTLS == nil {
		text := "TLS support isn't enabled."
		if e.out.TLS || e.opt.Secured {
			text = "TLS is already active."
		}
		e.invalid(tag, text)
		return
	}
	e.ok(tag, "Begin TLS negotiation now.")
	if err := e.w.Flush(); err != nil {
		e.end(ctx, err)
		return
	}
	e.r.Drop()
	conn, err := e.opt.StartTLS(ctx, e.conn)
	if err != nil {
		e.out.Reason, e.out.Err = ReasonTLSFailed, err
		return
	}
	e.conn = conn
	e.out.TLS, e.opt.Secured = true, true
	e.clientID = "" // anybody could have said so
}
