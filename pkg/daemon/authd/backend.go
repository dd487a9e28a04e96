package authd

import (
	"context"
	"errors"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/identity/login"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Mechanisms is what is offered now.
func (d *daemon) Mechanisms() []dovecotauth.Mechanism { return d.state.Load().mechs }

// Begin starts an exchange.
func (d *daemon) Begin(r authserver.Request) (authserver.Exchange, error) {
	st := d.state.Load()
	for _, m := range st.mechs {
		if m.Name == r.Mech {
			x := &exchange{d: d, st: st, req: r, began: d.now()}
			mech, _ := sasl.Find(r.Mech)
			x.server = mech.NewServer(x, sasl.Setting{})
			return x, nil
		}
	}
	return nil, fail.New(fail.NotFound, "mechanism %.20q is not offered", r.Mech)
}

// exchange joins a SASL mechanism to the login trade.
type exchange struct {
	sasl.OnlyPasswords

	d      *daemon
	st     *state
	req    authserver.Request
	server gosasl.Server
	began  time.Time

	ctx     context.Context // of the step that runs
	account passdb.Account  // after VerifyPassword
	claimed string          // canonical name the peer claims
}

// Next runs one step of the mechanism.
func (x *exchange) Next(ctx context.Context, response []byte) (authserver.Step, error) {
	x.ctx = ctx
	challenge, done, err := x.server.Next(response)
	switch {
	case err != nil:
		return authserver.Step{}, x.end(err)
	case !done:
		return authserver.Step{Challenge: challenge}, nil
	}
	x.d.metrics.request(x.req.Mech, "ok", x.d.now().Sub(x.began))
	return authserver.Step{
		Done: true, Challenge: challenge, User: x.account.User, Fields: okFields(x.account),
	}, nil
}

// maxOKFields keeps OK lines readable for Exim, which takes 16 fields.
const maxOKFields = 12

// okFields are the passdb's extra fields that concern the peer.
func okFields(a passdb.Account) dovecotauth.Fields {
	var fs dovecotauth.Fields
	for _, f := range a.Fields {
		if f.Key != "allow_nets" && len(fs) < maxOKFields {
			fs = append(fs, dovecotauth.Field{Key: f.Key, Value: f.Value, Flag: f.Flag})
		}
	}
	return fs
}

// VerifyPassword is sasl.Backend.
func (x *exchange) VerifyPassword(c sasl.Credentials) error {
	var err error
	x.account, err = x.st.login.Try(x.ctx, login.Attempt{
		User: c.Authcid, ActAs: c.Authzid, Password: c.Password,
		Remote: x.req.Remote.Addr(), NoPenalty: x.req.NoPenalty,
	}, x.decided)
	return err
}

// decided logs the verdict as soon as there is one.
func (x *exchange) decided(user string, err error) {
	x.claimed = user
	if errors.Is(err, context.Canceled) {
		return // the peer is gone; nobody asks any more
	}
	who := subject{user: user, peer: x.req.Remote.Addr(), session: x.req.Session, service: x.req.Service, mech: x.req.Mech}
	switch {
	case err == nil:
		x.d.log.Log(authenticated{who})
	case fail.Is(err, fail.Denied):
		x.d.log.Log(refused{who, err})
	default:
		x.d.log.Log(undecided{who, err})
	}
}

// end turns a mechanism's error into what the protocol may tell.
func (x *exchange) end(err error) error {
	result := "outage"
	switch kind := fail.KindOf(err); {
	case errors.Is(err, context.Canceled):
		result = "cancelled"
	case kind == fail.Denied:
		result = "refused"
		r := authserver.Refusal{User: x.claimed}
		if errors.Is(err, login.ErrActAs) {
			r.Code = "authz_fail"
		}
		err = authserver.Refuse(r)
	case kind == fail.Invalid:
		result = "invalid"
		x.d.log.Log(malformed{subject{peer: x.req.Remote.Addr(), session: x.req.Session, service: x.req.Service, mech: x.req.Mech}, err})
	}
	x.d.metrics.request(x.req.Mech, result, x.d.now().Sub(x.began))
	return err
}
