package remote

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	gosasl "github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/mta/remote/sevenbit"
	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/sasl"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// session is an open connection to a target.
type session struct {
	c       *Client
	conn    *client.Conn
	target  target
	opened  time.Time
	connect time.Duration   // until the session was ready; 0 when it is used again
	reused  bool            // taken from the cache
	login   *Credentials    // as whom; nil: as nobody
	record  client.Recorder // nil: none, or it was told of
}

// connect opens a session. When that fails, met says that the host was
// reached, and the outcome says why it is of no use.
func (c *Client) connect(ctx context.Context, a *attempt, t target) (s *session, o Outcome, met bool) {
	if err := a.logIn(ctx, t.Host); err != nil {
		why := deferral(3, 0, "credentials for "+t.name()+" cannot be looked up: "+err.Error())
		why.Site = false
		return nil, why.outcome(), false
	}
	mode, why := a.tlsMode(t)
	start := a.start
	discard, err := c.discarded(ctx, t)
	if err != nil {
		why := deferral(3, 0, "EHLO keywords of "+t.name()+" cannot be looked up: "+err.Error())
		why.Site = false
		return nil, why.outcome(), false
	}
	for {
		raw, err := c.dial(ctx, t)
		if err != nil {
			if c.cfg.Unreachable != nil && !errors.Is(err, context.Canceled) {
				c.cfg.Unreachable(a.hop.Via(), t.relay(), systemText(err))
			}
			return nil, connectFailed(t, err).outcome(), false
		}
		cfg := c.clientConfig(a, t, mode, discard)
		conn, err := client.New(ctx, raw, cfg)
		if err == nil && t.best && strings.EqualFold(conn.Name(), c.cfg.Hostname) {
			_ = conn.Quit(ctx)
			o = loops(nameOnly(a.hop.Host)).outcome()
			o.Relay, o.Host = t.relay(), t.Host
			return nil, o, true
		}
		c.handshaken(a, t, conn, err)
		if err == nil {
			return &session{c: c, conn: conn, target: t, login: a.login, record: cfg.Record, opened: c.cfg.Now(), connect: c.cfg.Now().Sub(start)}, Outcome{}, true
		}
		if ctx.Err() == nil && a.mayBePlain(mode, err) {
			mode = client.NoTLS
			continue
		}
		o = c.connectTrouble(t, err, why).outcome()
		var site *client.SiteError
		if mode == client.OpportunisticTLS && errors.As(err, &site) && site.TLS {
			o.Site = false // the next message may have waited long enough to go in the clear
		}
		o.Relay, o.Host, o.Connect = t.relay(), t.Host, c.cfg.Now().Sub(start)
		return nil, o, true
	}
}

// handshaken tells what came of a handshake, if there was one.
func (c *Client) handshaken(a *attempt, t target, conn *client.Conn, err error) {
	if c.cfg.Handshake == nil {
		return
	}
	h := Handshake{Hop: a.hop, Peer: t.relay()}
	var site *client.SiteError
	switch {
	case err == nil && conn.TLS() != nil:
		h.State = *conn.TLS()
		policy := a.tls
		h.Trust = func() string { return policy.Trust(h.State, c.cfg.Roots, c.cfg.Now()) }
	case errors.As(err, &site) && site.TLS && site.Stage == client.StageTLS && !judged(site.Err):
		h.Err = site.Err
	default:
		return
	}
	c.cfg.Handshake(h)
}

// judged reports whether an error is the verdict of a policy, which an outcome
// has word for word.
func judged(err error) bool { return fail.Is(err, fail.Denied) || fail.Is(err, fail.Unavailable) }

// mayBePlain reports whether a host whose TLS failed, or whose encrypted
// connection broke, is to be tried in the clear: encryption where possible,
// delivery anyway (RFC 7435), but not because of one passing fault.
func (a *attempt) mayBePlain(mode client.TLSMode, err error) bool {
	var site *client.SiteError
	if mode != client.OpportunisticTLS || !errors.As(err, &site) || !site.TLS && !site.Encrypted {
		return false
	}
	return site.Stage == client.StageSTARTTLS || a.msg.Verify || a.login == nil && a.msg.Waited >= a.c.cfg.PlainAfter
}

// tlsMode decides for a target. Credentials demand TLS unless the target is
// this host; why is the wording for when it is missing.
func (a *attempt) tlsMode(t target) (client.TLSMode, string) {
	switch {
	case t.Network == "unix":
		return client.NoTLS, ""
	case a.hop.Transport == route.SMTP && t.Port == 465: // RFC 8314 section 3.3
		return client.ImplicitTLS, ""
	case a.tls.Level >= tlspolicy.Encrypt:
		return client.RequiredTLS, "TLS is required"
	case a.login != nil && !t.here():
		return client.RequiredTLS, "TLS is required for authentication"
	case a.tls.Level == tlspolicy.None, a.plain == t:
		return client.NoTLS, ""
	}
	return client.OpportunisticTLS, ""
}

// discarded are the EHLO keywords that are not used at a target.
func (c *Client) discarded(ctx context.Context, t target) ([]string, error) {
	if c.cfg.DiscardAt == nil || t.Network == "unix" {
		return c.cfg.Discard, nil
	}
	value, err := c.cfg.DiscardAt.Lookup(ctx, t.IP)
	switch {
	case fail.Is(err, fail.NotFound):
		return c.cfg.Discard, nil
	case err != nil:
		return nil, err
	}
	return strings.FieldsFunc(strings.ToUpper(value), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }), nil
}

func (c *Client) clientConfig(a *attempt, t target, mode client.TLSMode, discard []string) client.Config {
	cfg := client.Config{MailAuth: c.cfg.MailAuth, Name: cmp.Or(c.cfg.Helo, c.cfg.Hostname), LMTP: a.hop.Transport == route.LMTP, TLSMode: mode, Timeouts: c.cfg.Timeouts, Discard: discard}
	cfg.MaxLine = c.cfg.LineLength
	if cfg.LMTP {
		cfg.Name, cfg.Timeouts, cfg.MaxLine = c.cfg.Hostname, c.cfg.LMTPTimeouts, 0
	}
	if mode != client.NoTLS {
		cfg.TLS = c.tlsConfig(a, t)
	}
	if c.cfg.Record != nil {
		cfg.Record = c.cfg.Record()
	}
	if login := a.login; login != nil {
		cfg.Auth = func(offered []string, state *tls.ConnectionState) (gosasl.Client, error) {
			return c.mechanism(login, t, offered, state)
		}
	}
	return cfg
}

// mechanism picks how to log in. A host is not told that we looked for channel
// binding when the operator took it off the list.
func (c *Client) mechanism(login *Credentials, t target, offered []string, state *tls.ConnectionState) (gosasl.Client, error) {
	cred := sasl.Credentials{Authcid: login.User, Password: login.Password, Target: "smtp/" + t.Host}
	if state != nil {
		cred.Binder = tlsx.ClientBinding(*state)
	}
	if c.cfg.Mechanism != nil {
		offered = slices.DeleteFunc(slices.Clone(offered), func(name string) bool {
			away := !c.cfg.Mechanism(name, state != nil)
			if away && strings.HasSuffix(strings.ToUpper(name), "-PLUS") {
				cred.Binder = nil
			}
			return away
		})
	}
	return sasl.Choose(offered, state != nil || t.here(), cred)
}

// tlsConfig is for a handshake with a target. The certificate is judged by
// the policy alone, of a resumed session too.
func (c *Client) tlsConfig(a *attempt, t target) *tls.Config {
	policy, peer := a.tls, tlspolicy.Peer{Host: nameOnly(t.Host), NextHop: nameOnly(a.hop.Host)}
	if ascii, err := addr.ASCIIDomain(peer.NextHop); err == nil {
		peer.NextHop = ascii // as certificates have it
	}
	cfg := tlsx.Opportunistic(cmp.Or(policy.ServerName, peer.Host))
	cfg.ClientSessionCache = c.sessions
	cfg.MinVersion, cfg.MaxVersion = max(cfg.MinVersion, policy.MinVersion), policy.MaxVersion
	if c.cfg.Certificate != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cfg.Certificate() }
	}
	if policy.Level.Authentic() {
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			return policy.Judge(state, peer, c.cfg.Roots, c.cfg.Now())
		}
	}
	return cfg
}

// nameOnly is host unless it is an address, which has no name to prove.
func nameOnly(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}

// transact sends the message to the recipients that are to do, and records
// what became of them. It returns false when that is to be done again in
// another session: one that was idle turned out to be dead before anything was
// decided, the host does not know the BDAT that it announced, or its encryption
// broke.
func (s *session) transact(ctx context.Context, a *attempt) bool {
	begin := s.c.cfg.Now()
	content := &lazy{open: a.msg.Open}
	env := a.envelope()
	if _, ok := s.conn.Extension("8BITMIME"); !ok {
		env.Body, content.convert = "", !s.c.cfg.KeepEightBit
	}
	_, utf8 := s.conn.Extension("SMTPUTF8")
	content.global = a.msg.Notice && !utf8
	env.Chunks = !s.c.noChunks.has(s.target.name(), begin)
	results, err := s.conn.Send(ctx, env, content)
	content.close()
	if s.noChunks(results, err) && ctx.Err() == nil {
		return false // the connection is closed
	}
	if stale(err) && !anyKnown(results) && ctx.Err() == nil {
		if s.reused {
			_ = s.conn.Close()
			return false
		}
		if mode, _ := a.tlsMode(s.target); a.mayBePlain(mode, err) {
			a.plain = s.target
			return false // the connection is closed
		}
	}
	base := Outcome{
		Relay: s.target.relay(), Host: s.target.Host, ConnUse: s.conn.Uses(),
		Connect: s.connect, Transfer: s.c.cfg.Now().Sub(begin), TLS: describe(s.conn.TLS()),
	}
	_, base.DSNOffered = s.conn.Extension("DSN")
	a.record(results, s.failed(ctx, a, err), base, s.target)
	if s.record != nil && !a.msg.Notice && s.conn.Odd() { // of a transcript there is none
		s.c.cfg.Odd(s.target.relay(), s.record)
		s.record = nil
	}
	s.release(a.key)
	return true
}

// record files results; what remains to do may be tried at the next host.
func (a *attempt) record(results []client.Result, failed *trouble, base Outcome, t target) {
	var left []int
	for k, i := range a.todo {
		o := base
		switch {
		case k < len(results) && results[k].Known():
			o.decide(results[k], t)
			a.heard[i] = true
		case a.heard[i]:
			left = append(left, i)
			continue
		case failed != nil:
			o.Status, o.DSN, o.Text, o.Site, o.Reply = failed.Status, failed.DSN, failed.Text, failed.Site, failed.Reply
		default:
			o.Status, o.DSN = Deferred, smtp.EnhancedCode{4, 3, 0}
			o.Text = "host " + t.name() + " gave no answer for this recipient"
		}
		a.out[i] = o
		if o.Status == Deferred {
			left = append(left, i)
		}
	}
	a.todo = left
}

// decide fills in what the peer said about a recipient.
func (o *Outcome) decide(r client.Result, t target) {
	reply := r.Reply()
	o.Reply, o.DSN = reply.String(), r.Enhanced
	switch {
	case r.Sent():
		o.Status, o.Text = Delivered, o.Reply
		return
	case r.Permanent():
		o.Status = Bounced
	default:
		o.Status, o.Site = Deferred, r.Code == 421
	}
	o.Text = said(t, o.Reply, r.Stage)
}

// release keeps the session for the next message, or ends it.
func (s *session) release(key string) {
	if !s.conn.Usable() {
		_ = s.conn.Close()
		return
	}
	s.connect, s.reused = 0, true
	if s.c.cfg.Now().Sub(s.opened) > s.c.cfg.MaxAge || s.c.cfg.MaxUses > 0 && s.conn.Uses() >= s.c.cfg.MaxUses {
		key = ""
	}
	s.c.idle.put(key, s)
}

// failed turns the error of a transaction into trouble; nil for none.
func (s *session) failed(ctx context.Context, a *attempt, err error) *trouble {
	if err == nil {
		return nil
	}
	var capability *client.CapabilityError
	var content *client.ContentError
	var t trouble
	switch {
	case errors.As(err, &capability) && capability.Keyword == "SIZE":
		limit, _ := s.conn.Extension("SIZE")
		t = trouble{
			Status: Bounced, DSN: capability.Enhanced,
			Text: fmt.Sprintf("message size %d exceeds size limit %s of server %s", a.msg.Size, limit, s.target.name()),
		}
	case errors.As(err, &capability):
		t = trouble{
			Status: Bounced, DSN: capability.Enhanced,
			Text: fmt.Sprintf("%s is required, but was not offered by host %s", capability.Keyword, s.target.name()),
		}
	case errors.As(err, &content) && fail.Is(content.Err, fail.Permanent):
		t = trouble{
			Status: Bounced, DSN: smtp.EnhancedCode{5, 6, 3},
			Text: fmt.Sprintf("8BITMIME is not offered by host %s, and the message cannot be converted: %v", s.target.name(), content.Err),
		}
	case errors.As(err, &content):
		t = deferral(3, 0, "the queued message cannot be read")
		t.Site = false
	case ctx.Err() != nil:
		t = canceled()
	default:
		t = siteTrouble(s.target, err, "")
	}
	return &t
}

// stale reports whether the session broke before the message was sent.
func stale(err error) bool {
	var site *client.SiteError
	if errors.As(err, &site) {
		return site.Stage != client.StageContent && site.Stage != client.StageEnd
	}
	return errors.Is(err, client.ErrClosed)
}

func anyKnown(results []client.Result) bool {
	for _, r := range results {
		if r.Known() {
			return true
		}
	}
	return false
}

func (a *attempt) envelope() client.Envelope {
	env := client.Envelope{
		From: a.msg.From, Size: a.msg.Size, UTF8: a.msg.UTF8, Return: a.msg.Return, EnvelopeID: a.msg.EnvelopeID, Verify: a.msg.Verify, Forward: a.msg.Forward,
		To: make([]client.Recipient, len(a.todo)),
	}
	if a.msg.EightBit {
		env.Body = smtp.Body8BitMIME
	}
	for k, i := range a.todo {
		env.To[k] = a.rcpts[i]
	}
	return env
}

func describe(state *tls.ConnectionState) string {
	if state == nil {
		return ""
	}
	return tlsx.Brief(*state)
}

// lazy opens the content when it is first read: most refusals come before.
type lazy struct {
	open    func() (io.ReadCloser, error)
	convert bool // to 7-bit text
	global  bool // that only in parts of RFC 6533 (section 4.5)
	r       io.ReadCloser
	in      io.Reader // r, or what converts it
	err     error
}

func (l *lazy) Read(p []byte) (int, error) {
	if l.r == nil && l.err == nil {
		if l.r, l.err = l.open(); l.err == nil {
			l.in = l.r
			switch {
			case l.convert:
				l.in = sevenbit.NewReader(l.r)
			case l.global:
				l.in = sevenbit.NewGlobalReader(l.r)
			}
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.in.Read(p)
}

func (l *lazy) close() {
	if l.r != nil {
		_ = l.r.Close()
	}
}
