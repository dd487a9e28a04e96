package authd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/login"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/waits"
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
	for _, m := range st.offered {
		if m.Name != r.Mech {
			continue
		}
		x := &exchange{d: d, mech: m.Name, noLogin: r.NoLogin, began: d.now(), immediate: st.immediate && m.Plaintext && !m.Token}
		x.attempt = st.login.Begin(requestOf(&r))
		x.attempt.NoPenalty, x.attempt.Decided = r.NoPenalty, x.decided
		x.server = m.NewServer(x, sasl.Setting{
			Host: d.host, PlusOffered: r.Binds && r.TLS.Protocol != "" && st.binds(),
			Stamp: sasl.Stamp{PID: d.pid, Conn: r.CUID, Since: d.started},
		})
		return x, nil
	}
	return nil, fail.New(fail.NotFound, "mechanism %.20q is not offered", r.Mech)
}

// binds reports whether a mechanism with channel binding is offered.
func (st *state) binds() bool {
	for _, m := range st.mechs {
		if m.ChannelBinding {
			return true
		}
	}
	return false
}

// requestOf is what identity knows of an AUTH line.
func requestOf(r *authserver.Request) *request.Request {
	return &request.Request{
		Service: r.Service, Mech: r.Mech, Session: r.Session, LocalName: r.LocalName, ClientID: r.ClientID,
		Local: r.Local, Remote: r.Remote, RealLocal: r.RealLocal, RealRemote: r.RealRemote,
		Secured: r.Secured, TLS: tlsOf(r), ClientCert: r.ClientCert, CertUser: r.CertUser, Forward: accountFields(r.Forward),
	}
}

// tlsOf names the encryption; a peer that only says that there is some does
// not say which.
func tlsOf(r *authserver.Request) string {
	if r.TLS.Protocol == "" && r.Transport == "TLS" {
		return "TLS"
	}
	return r.TLS.Protocol
}

func accountFields(fs dovecotauth.Fields) []account.Field {
	var out []account.Field
	for _, f := range fs {
		out = append(out, account.Field{Key: f.Key, Value: f.Value, Flag: f.Flag})
	}
	return out
}

// exchange joins a SASL mechanism to the login trade.
type exchange struct {
	d       *daemon
	mech    string
	noLogin bool // nobody will redeem it
	attempt *login.Attempt
	server  gosasl.Server
	began   time.Time

	immediate bool            // no step waits without notice
	ctx       context.Context // of the step that runs
	password  string          // for a proxy's next hop, once it was right
	db        string          // who decided, for the metrics
	logged    bool            // that nobody could decide
}

// Immediate lets steps run where their line was read.
func (x *exchange) Immediate() bool { return x.immediate }

// Next runs one step of the mechanism.
func (x *exchange) Next(ctx context.Context, response []byte) (authserver.Step, error) {
	x.ctx = ctx
	if x.immediate {
		x.ctx = waits.With(ctx, func() { authserver.Waiting(ctx) })
	}
	challenge, done, err := x.server.Next(response)
	switch {
	case err != nil:
		return authserver.Step{}, x.end(err)
	case !done:
		return authserver.Step{Challenge: challenge}, nil
	}
	x.d.metrics.request(x.mech, x.db, "ok", x.d.now().Sub(x.began))
	r := x.attempt.R
	step := authserver.Step{Done: true, Challenge: challenge, User: r.User, Fields: x.okFields(), Login: r}
	r.Password = "" // a redemption has to know all else
	return step, nil
}

// VerifyPassword is sasl.Backend.
func (x *exchange) VerifyPassword(c sasl.Credentials) error {
	err := x.attempt.Password(x.ctx, c)
	if err == nil {
		x.password = c.Password
	}
	return err
}

// Secret is sasl.Backend.
func (x *exchange) Secret(id sasl.Identity, kind sasl.SecretKind) (sasl.Secret, error) {
	return x.attempt.Secret(x.ctx, id, kind)
}

// Proved is sasl.Backend.
func (x *exchange) Proved(ok bool) error { return x.attempt.Proved(x.ctx, ok) }

// VerifyToken is sasl.Backend.
func (x *exchange) VerifyToken(t sasl.Token) error { return x.attempt.Token(x.ctx, t) }

// VerifyExternal is sasl.Backend.
func (x *exchange) VerifyExternal(authzid string) error { return x.attempt.External(x.ctx, authzid) }

// VerifyAnonymous is sasl.Backend.
func (x *exchange) VerifyAnonymous(string) error { return x.attempt.Anonymous(x.ctx) }

// ChannelBinding is sasl.Backend.
func (x *exchange) ChannelBinding(kind string) ([]byte, error) {
	return authserver.ChannelBinding(x.ctx, kind)
}

// decided logs the verdict as soon as there is one.
func (x *exchange) decided(v passdb.Verdict, err error) {
	x.db = v.DB
	if r := passdb.RefusedOf(err); r != nil {
		x.db = r.DB
	}
	if errors.Is(err, context.Canceled) {
		return // the peer is gone; nobody asks any more
	}
	for _, e := range v.Trouble {
		x.d.trouble(e)
	}
	if err == nil && len(v.Refusals) == 0 && x.attempt.R.AuthUser == "" && !x.d.log.Enabled(slog.LevelDebug) {
		return // the usual login: there is nothing that anybody would read
	}
	who := subjectOf(x.attempt.R)
	x.d.logRefusals(who, v.Refusals, err)
	switch {
	case err == nil:
		x.d.log.Log(newAuthenticated(x.attempt.R, v.DB, v.Label))
	case fail.Is(err, fail.Denied):
		x.d.failed(who, err)
	default:
		x.logged = true
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
		err = authserver.Refuse(x.refusal(err))
	case kind == fail.Invalid:
		result = "invalid"
		x.d.log.Log(malformed{subjectOf(x.attempt.R), err})
	case x.logged:
		err = logged{err}
	}
	x.d.metrics.request(x.mech, x.db, result, x.d.now().Sub(x.began))
	return err
}

// refusal is what the peer may know of one.
func (x *exchange) refusal(err error) authserver.Refusal {
	r := authserver.Refusal{User: x.attempt.R.Claimed}
	if errors.Is(err, login.ErrActAs) {
		r.Code = "authz_fail"
	}
	if why := passdb.RefusedOf(err); why != nil && why.Tell {
		switch why.Reason {
		case passdb.Disabled:
			r.Code = "user_disabled"
		case passdb.Expired:
			r.Code, r.Reason = "pass_expired", "Password expired"
		}
	}
	return r
}
