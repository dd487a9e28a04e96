package login

import (
	"context"
	"errors"
	"net"

	imap "github.com/emersion/go-imap/v2"

	imaplogin "github.com/postcote/postcote/pkg/proto/imap/login"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
	pop3login "github.com/postcote/postcote/pkg/proto/pop3/login"

	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
)

// success is a login of either protocol.
type success struct {
	tag       string
	buffered  []byte
	mechanism string
	result    authclient.Result
	refuse    func(r reason)
}

// outcome is how an engine ended.
type outcome struct {
	success   *success
	why       ending
	err       error
	attempts  int
	user      string
	mechanism string
	inAuth    bool
	exposed   bool
}

// reason is a refusal after the password was right.
type reason struct {
	imap imap.ResponseCode
	pop3 string
	text string
}

// textInternal is Dovecot's.
const textInternal = "Internal login failure. Refer to server log for more information."

// starter is the TLS handshake of STARTTLS and STLS; nil offers none.
type starter func(ctx context.Context, plain net.Conn) (net.Conn, error)

type words struct {
	imap imap.ResponseCode
	text string
}

// ofCode is what a client hears about authd's fail codes.
func ofCode(code string) words {
	switch code {
	case "user_disabled":
		return words{imap.ResponseCodeContactAdmin, "This account is disabled."}
	case "pass_expired":
		return words{imap.ResponseCodeExpired, "The password has expired."}
	case "authz_fail":
		return words{imap.ResponseCodeAuthorizationFailed, "Authorization failed."}
	case "nologin":
		return words{imap.ResponseCodeContactAdmin, "This account cannot log in here."}
	}
	return words{imap.ResponseCodeAlert, "Authentication failed."}
}

func (r *refusal) words() words {
	w := ofCode(r.code)
	if r.text != "" {
		w.text = r.text
	}
	return w
}

// names lists what this connection is offered.
func (r *relay) names(secured bool) []string {
	return r.offer.names(secured, r.req.Binding != nil, r.req.CertUser != "")
}

// imapAuth is the relay as the IMAP engine sees it.
type imapAuth struct{ *relay }

func (a imapAuth) Mechanisms(secured bool) []string { return a.names(secured) }

func (a imapAuth) Authenticate(ctx context.Context, at imaplogin.Attempt, ask imaplogin.Ask) (imaplogin.Verdict, error) {
	a.req.ClientID = at.ClientID
	res, err := a.login(ctx, at.Mechanism, at.Initial, at.HasInitial, prompt(ask))
	var refused *refusal
	if errors.As(err, &refused) {
		w := refused.words()
		err = &imaplogin.Refused{Code: w.imap, Text: w.text}
	}
	return imaplogin.Verdict{User: res.User, Token: res}, err
}

// pop3Auth is the relay as the POP3 engine sees it.
type pop3Auth struct{ *relay }

func (a pop3Auth) Mechanisms(secured bool) []string { return a.names(secured) }

func (a pop3Auth) Authenticate(ctx context.Context, at pop3login.Attempt, ask pop3login.Ask) (pop3login.Verdict, error) {
	res, err := a.login(ctx, at.Mechanism, at.Initial, at.HasInitial, prompt(ask))
	var refused *refusal
	if errors.As(err, &refused) {
		err = &pop3login.Refused{Code: "AUTH", Text: refused.words().text}
	}
	return pop3login.Verdict{User: res.User, Token: res}, err
}

// runIMAP speaks IMAP until a login or the end.
func (c *client) runIMAP(ctx context.Context, start starter) outcome {
	o := imaplogin.Options{
		Auth: imapAuth{c.relay}, Buffers: &c.role.imap, Greeting: c.cfg.Greeting,
		ID: c.cfg.IMAPWords.ID(c.role.version), LiteralMinus: c.cfg.IMAPWords.Minus(),
		Identified: c.introduced,
		Secured:    c.secured(), AllowPlaintext: c.cfg.AllowPlaintext, StartTLS: start,
		Now: c.role.now, LoginTimeout: c.cfg.Limits.LoginTime.Std(), AuthTimeout: c.cfg.Limits.AuthTime.Std(),
		MaxBad: c.cfg.Limits.BadCommands, Resumed: c.back, Buffered: c.ahead,
	}
	e := imaplogin.New(c.conn, o)
	return c.imapOutcome(e, e.Run(ctx))
}

// introduced takes what a client, or a proxy in front of it, says by ID. The
// log hears of the first one.
func (c *client) introduced(pairs []wire.IDPair) {
	if c.trusted() {
		said := make([][2]string, len(pairs))
		for i, p := range pairs {
			said[i] = [2]string{p.Name, p.Value}
		}
		c.identified(said)
	}
	if text := wire.IDText(pairs, c.cfg.IMAPWords.IDLog); text != "" && !c.known {
		c.known = true
		c.role.log.Log(introduced{c.facts("", ""), text})
	}
}

func (c *client) imapOutcome(e *imaplogin.Engine, o imaplogin.Outcome) outcome {
	out := outcome{why: imapEnding(o.Reason), err: o.Err, attempts: o.Attempts, user: o.User, mechanism: o.Mechanism, inAuth: o.InAuth, exposed: o.Exposed}
	if s := o.Success; s != nil {
		res, _ := s.Verdict.Token.(authclient.Result)
		out.success = &success{tag: s.Tag, buffered: s.Buffered, mechanism: s.Mechanism, result: res, refuse: func(r reason) {
			_ = e.Refuse(s, r.imap, r.text)
		}}
	}
	return out
}

func imapEnding(r imaplogin.Reason) ending {
	switch r {
	case imaplogin.ReasonLogout:
		return endLogout
	case imaplogin.ReasonInactive:
		return endInactive
	case imaplogin.ReasonBadCommand, imaplogin.ReasonAuthFailed:
		return endBad
	case imaplogin.ReasonTLSFailed:
		return endTLS
	case imaplogin.ReasonShutdown:
		return endShutdown
	}
	return endClosed
}

// runPOP3 speaks POP3 until a login or the end.
func (c *client) runPOP3(ctx context.Context, start starter) outcome {
	o := pop3login.Options{
		Auth: pop3Auth{c.relay}, Greeting: c.cfg.Greeting, Challenge: c.relay.challenge(c.role.host), Pools: c.role.pop3,
		Secured: c.secured(), AllowPlaintext: c.cfg.AllowPlaintext, StartTLS: start,
		LoginTimeout: c.cfg.Limits.LoginTime.Std(), AuthTimeout: c.cfg.Limits.AuthTime.Std(),
		MaxBad: c.cfg.Limits.BadCommands,
	}
	if c.trusted() {
		o.XClient = c.identified
	}
	e := pop3login.New(c.conn, o)
	return c.pop3Outcome(e, e.Run(ctx))
}

func (c *client) pop3Outcome(e *pop3login.Engine, o pop3login.Outcome) outcome {
	out := outcome{why: pop3Ending(o.Reason), err: o.Err, attempts: o.Attempts, user: o.User, mechanism: o.Mechanism, inAuth: o.InAuth, exposed: o.Exposed}
	if s := o.Success; s != nil {
		res, _ := s.Verdict.Token.(authclient.Result)
		out.success = &success{buffered: s.Buffered, mechanism: s.Mechanism, result: res, refuse: func(r reason) {
			_ = e.Refuse(s, r.pop3, r.text)
		}}
	}
	return out
}

func pop3Ending(r pop3login.Reason) ending {
	switch r {
	case pop3login.ReasonLogout:
		return endLogout
	case pop3login.ReasonInactive:
		return endInactive
	case pop3login.ReasonBadCommand:
		return endBad
	case pop3login.ReasonTLSFailed:
		return endTLS
	case pop3login.ReasonShutdown:
		return endShutdown
	}
	return endClosed
}
