package mtad

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/gate/rate"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// authenticator relays AUTH to authd (or a Dovecot). mtad sees the exchange
// pass by and learns the name; it never looks at a password.
type authenticator struct {
	client *authclient.Client
	d      *daemon

	mu    sync.Mutex
	known []dovecotauth.Mechanism // of the last greeting
	retry time.Time               // authd was away: do not make EHLO wait for it before
}

// The time EHLO may wait for authd, and how long it does not try again.
const (
	greetingPatience = time.Second
	greetingPause    = 5 * time.Second
)

// Mechanisms lists what authd offers. While it is away the last list, or what
// every authd has, is announced all the same: a client that tries then gets
// 454 and comes back, one that sees no AUTH tells its user that the server has
// none.
func (a *authenticator) Mechanisms(c *server.Conn) []string {
	smtpd := &a.d.state.Load().cfg.Smtpd
	var names []string
	for _, m := range a.offered() {
		if !smtpd.Offers(m, c.TLS != nil) || m.Private || m.ChannelBinding && c.TLS == nil || m.Name == "EXTERNAL" && c.CertUser == "" {
			continue
		}
		names = append(names, m.Name)
	}
	return names
}

func (a *authenticator) offered() []dovecotauth.Mechanism {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.d.now(); !now.Before(a.retry) {
		ctx, cancel := context.WithTimeout(context.Background(), greetingPatience)
		defer cancel()
		mechs, err := a.client.Mechanisms(ctx)
		if err != nil {
			a.retry = now.Add(greetingPause)
		} else {
			a.known = mechs
		}
	}
	if a.known == nil {
		return []dovecotauth.Mechanism{{Name: "PLAIN", Plaintext: true}, {Name: "LOGIN", Plaintext: true}}
	}
	return a.known
}

// Start prepares an exchange; authd is asked when the first response is there.
func (a *authenticator) Start(_ context.Context, c *server.Conn, mech string) (server.Exchange, error) {
	if v, ok := a.d.sessions.Load(c); ok && v.(*session).tooMany(rate.Logins) {
		return nil, &server.Refusal{Reply: server.MakeReply(450, 4, 7, 1, "Error: too many AUTH commands from "+v.(*session).address)}
	}
	return &exchange{a: a, c: c, mech: mech}, nil
}

type exchange struct {
	a    *authenticator
	c    *server.Conn
	mech string
	x    *authclient.Exchange
}

// Next passes one response on. Outages are temporary whatever their cause.
func (e *exchange) Next(ctx context.Context, response []byte) (server.AuthStep, error) {
	var step authclient.Step
	var err error
	if e.x == nil {
		e.x, step, err = e.a.client.Start(ctx, e.request(response))
	} else {
		step, err = e.x.Next(ctx, response)
	}
	switch {
	case err != nil:
		return server.AuthStep{}, e.failed(err)
	case step.Done:
		if reason, forbidden := step.Result.Forbidden(); forbidden {
			return server.AuthStep{}, e.failed(fail.Wrap(fail.Denied, &authclient.Failure{User: step.Result.User, Reason: reason}, ""))
		}
		e.a.d.metrics.logins.WithLabelValues(e.c.Listener, "ok").Inc()
		return server.AuthStep{Done: true, Identity: step.Result.User}, nil
	}
	return server.AuthStep{Challenge: step.Challenge}, nil
}

func (e *exchange) request(initial []byte) authclient.Request {
	r := authclient.Request{
		Mech: e.mech, Service: e.a.d.state.Load().cfg.Smtpd.SASLService, NoLogin: true, Session: e.c.ID, Initial: initial,
		LocalAddr: netx.AddrPort(e.c.Local()), RemoteAddr: netx.AddrPort(e.c.Remote),
	}
	if t := e.c.TLS; t != nil {
		r.Secured, r.LocalName = true, t.ServerName
		r.TLSProtocol, r.TLSCipher, r.TLSCipherBits = tlsx.Version(t.Version), tlsx.Cipher(t.CipherSuite), tlsx.CipherBits(t.CipherSuite)
		r.ClientCert, r.CertUser = e.c.ClientCert, e.c.CertUser
		r.Binding = e.a.d.keeper.Binding(*t).ChannelBinding
	}
	return r
}

// The reasons of Postfix's "authentication failed: REASON".
const (
	noReason = "(reason unavailable)"
	authDown = "Connection lost to authentication server"
)

// failed logs a failure and words it for the client.
func (e *exchange) failed(err error) error {
	event := authFailed{client: e.a.d.clientOf(e.c), Mech: e.mech, Reason: noReason}
	result := "denied"
	var out error
	f := authclient.AsFailure(err)
	if f != nil {
		event.User = f.User
	}
	switch {
	case fail.Is(err, fail.Denied):
		if f != nil && f.Reason != "" {
			event.Reason = f.Reason
		}
		out = fail.New(fail.Denied, "%s", event.Reason)
	case fail.Is(err, fail.Invalid):
		result, event.Reason = "invalid", "Invalid authentication mechanism"
		out = fail.New(fail.Invalid, "malformed authentication request")
	default:
		result, event.Reason, event.Cause = "unavailable", authDown, err
		out = fail.New(fail.Unavailable, "%s", authDown)
	}
	e.a.d.metrics.logins.WithLabelValues(e.c.Listener, result).Inc()
	if !errors.Is(err, context.Canceled) {
		e.a.d.log.Log(event)
	}
	return out
}

// Close gives up an exchange that has not ended.
func (e *exchange) Close() {
	if e.x != nil {
		e.x.Cancel()
	}
}

// recipients asks authd's exists socket (or a Dovecot's auth-userdb, which
// answers more than is asked) whether a mailbox exists; it is the
// gate.Recipients of the running daemon.
type recipients struct{ users *userdbclient.Client }

// Exists asks with the address in lower case, as authd keys its users.
func (r recipients) Exists(ctx context.Context, rcpt addr.Address) error {
	user, err := r.users.User(ctx, rcpt.Key(), "smtp")
	switch {
	case err != nil:
		return err
	case user.Quota == "full":
		return fail.New(fail.Full, "mailbox %s is over its quota", rcpt)
	}
	return nil
}

// maxRecent caps the names in one half of a recent.
const maxRecent = 4096

// recent remembers for a short time which names were found, so that a busy
// server does not ask authd several times for each message. Only "yes" is
// remembered: a new mailbox works at once, and an outage is never mistaken for
// an answer. What was deleted, or is over its quota, is noticed a little later.
// A reload begins a new one.
type recent struct {
	keep time.Duration // 0: nothing is remembered
	now  func() time.Time

	mu         sync.Mutex
	young, old map[string]time.Time // when the name was found
}

func newRecent(keep time.Duration, now func() time.Time) *recent {
	return &recent{keep: keep, now: now, young: map[string]time.Time{}}
}

// has reports whether name was found not long ago.
func (r *recent) has(name string) bool {
	if r.keep <= 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.young[name]
	if !ok {
		at, ok = r.old[name]
	}
	age := r.now().Sub(at)
	return ok && age >= 0 && age < r.keep
}

// found remembers name; beyond the cap the older half is forgotten.
func (r *recent) found(name string) {
	if r.keep <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= maxRecent {
		r.old, r.young = r.young, map[string]time.Time{}
	}
	r.young[name] = r.now()
}

// recentDomains remembers what tables of domains said.
type recentDomains struct {
	route.Domains
	*recent
}

// HasMailboxes implements route.Domains.
func (d recentDomains) HasMailboxes(ctx context.Context, domain string) (bool, error) {
	if d.has(domain) {
		return true, nil
	}
	yes, err := d.Domains.HasMailboxes(ctx, domain)
	if yes && err == nil {
		d.found(domain)
	}
	return yes, err
}

// recentRecipients remembers which mailboxes exist and take mail.
type recentRecipients struct {
	gate.Recipients
	*recent
}

// Exists implements gate.Recipients.
func (r recentRecipients) Exists(ctx context.Context, rcpt addr.Address) error {
	name := rcpt.Key()
	if r.has(name) {
		return nil
	}
	err := r.Recipients.Exists(ctx, rcpt)
	if err == nil {
		r.found(name)
	}
	return err
}
