package login

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// How often authd is asked for its mechanisms, and how long that may take.
// Asking also keeps the connection to it up.
const (
	offerEvery = 10 * time.Second
	offerRetry = time.Second
	offerWait  = 5 * time.Second
)

// offer is what authd last said it can do. Greetings do not wait for it.
type offer struct {
	known atomic.Pointer[offered]
	err   atomic.Pointer[error]
}

// offered is what authd said in one greeting.
type offered struct {
	mechs []dovecotauth.Mechanism
	stamp sasl.Stamp // for APOP; zero when authd does not offer it
}

// refresh asks authd once.
func (o *offer) refresh(ctx context.Context, auth *authclient.Client) error {
	ctx, cancel := context.WithTimeout(ctx, offerWait)
	defer cancel()
	var now offered
	var err error
	if now.mechs, err = auth.Mechanisms(ctx); err == nil && slices.ContainsFunc(now.mechs, isAPOP) {
		now.stamp, err = stampOf(ctx, auth)
	}
	o.err.Store(&err)
	if err == nil {
		o.known.Store(&now)
	}
	return err
}

func isAPOP(m dovecotauth.Mechanism) bool { return m.Name == "APOP" }

func stampOf(ctx context.Context, auth *authclient.Client) (sasl.Stamp, error) {
	pid, conn, err := auth.Stamp(ctx)
	return sasl.Stamp{PID: pid, Conn: conn}, err
}

// keep refreshes until ctx is done.
func (o *offer) keep(ctx context.Context, auth *authclient.Client) {
	for {
		pause := offerEvery
		if o.refresh(ctx, auth) != nil {
			pause = offerRetry
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// health is the last refresh's error.
func (o *offer) health() error {
	if err := o.err.Load(); err != nil {
		return *err
	}
	return fail.New(fail.Unavailable, "authd has not answered yet")
}

// names lists mechanisms for a client; bound says that there is TLS to bind to,
// certified that a verified certificate names the user.
// Before authd was ever reached it is the pair that every setup has: a client
// that tries then hears [UNAVAILABLE], while an empty list would make it give
// up for good.
func (o *offer) names(secured, bound, certified bool) []string {
	known := o.known.Load()
	if known == nil {
		known = &offered{mechs: []dovecotauth.Mechanism{{Name: "PLAIN", Plaintext: true}, {Name: "LOGIN", Plaintext: true}}}
	}
	var names []string
	for _, m := range known.mechs {
		if m.Private || m.Plaintext && !secured || m.ChannelBinding && !bound || m.Name == "EXTERNAL" && !certified {
			continue
		}
		names = append(names, m.Name)
	}
	return names
}

// challenge makes the APOP challenge of a greeting; empty when authd does not
// offer APOP.
func (r *relay) challenge(host string) string {
	known := r.offer.known.Load()
	if known == nil || known.stamp.PID == 0 {
		return ""
	}
	r.stamp = known.stamp
	return r.stamp.Challenge(r.now(), rand.Text(), host)
}

// current fails when authd has come back since the greeting: its challenge can
// be answered no more, which is not the client's fault.
func (r *relay) current(ctx context.Context) error {
	stamp, err := stampOf(ctx, r.auth)
	if err == nil && stamp != r.stamp {
		err = fail.New(fail.Unavailable, "authd was restarted after the greeting with the APOP challenge")
	}
	return err
}

// relay passes the SASL exchanges of one connection on to authd and remembers
// what the log will tell of them.
type relay struct {
	auth  *authclient.Client
	offer *offer
	seal  *atomic.Pointer[string] // see role
	req   authclient.Request      // all but mechanism and response
	now   func() time.Time
	count func(result string)

	stamp     sasl.Stamp // of the greeting's APOP challenge
	first     time.Time  // of the attempts
	outage    bool       // the last attempt met one
	succeeded int
}

// again forgets the logins so far.
func (r *relay) again(session string) {
	r.first, r.outage, r.succeeded = time.Time{}, false, 0
	r.req.Session = session
}

// prompt is the way to the client, in both engines.
type prompt func(ctx context.Context, challenge []byte) ([]byte, error)

// refusal is a rejection with words of its own.
type refusal struct {
	code string // "", "user_disabled", "pass_expired", "authz_fail", "nologin"
	text string // for the client; empty takes the code's own
}

func (e *refusal) Error() string { return "login refused: " + e.code }

// login runs one exchange. Errors: *refusal, kinds Denied, Invalid and
// Unavailable, or what ask returned.
func (r *relay) login(ctx context.Context, mech string, initial []byte, hasInitial bool, ask prompt) (authclient.Result, error) {
	if r.first.IsZero() {
		r.first = r.now()
	}
	res, err := r.exchange(ctx, mech, initial, hasInitial, ask)
	r.outage = fail.Is(err, fail.Unavailable)
	var refused *refusal
	switch {
	case err == nil:
		r.succeeded++
	case errors.As(err, &refused), fail.Is(err, fail.Denied):
		r.count("failed")
	case r.outage:
		r.count("unavailable")
	}
	return res, err
}

func (r *relay) exchange(ctx context.Context, mech string, initial []byte, hasInitial bool, ask prompt) (authclient.Result, error) {
	if mech == "APOP" {
		if err := r.current(ctx); err != nil {
			return authclient.Result{}, err
		}
	}
	req := r.req
	req.Mech = mech
	if name := r.seal.Load(); name != nil {
		req.Seal = *name
	}
	if hasInitial {
		req.Initial = append([]byte{}, initial...) // empty is not nil
	}
	x, step, err := r.auth.Start(ctx, req)
	for err == nil && !step.Done {
		var answer []byte
		if answer, err = ask(ctx, step.Challenge); err != nil {
			x.Cancel()
			return authclient.Result{}, err
		}
		step, err = x.Next(ctx, answer)
	}
	if err != nil {
		return authclient.Result{}, refine(err)
	}
	for _, key := range []string{"nologin", "proxy"} {
		// A Dovecot as authd may send the user elsewhere; nobody could redeem
		// such a login.
		if step.Result.Fields.Has(key) {
			return authclient.Result{}, &refusal{code: "nologin", text: printable(step.Result.Fields.Get("reason"))}
		}
	}
	return step.Result, nil
}

// refine turns authd's FAIL into words where it has some.
func refine(err error) error {
	f := authclient.AsFailure(err)
	if f == nil || fail.Is(err, fail.Unavailable) {
		return err
	}
	switch f.Code {
	case "invalid_base64":
		return fail.Wrap(fail.Invalid, err, "")
	case "user_disabled", "pass_expired", "authz_fail":
		return &refusal{code: f.Code, text: printable(f.Reason)}
	}
	if f.Reason != "" {
		return &refusal{text: printable(f.Reason)}
	}
	return err
}

// printable makes a reason fit for a reply line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7E {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s[:min(len(s), 200)])
}
