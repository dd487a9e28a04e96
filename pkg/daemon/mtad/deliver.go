package mtad

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/daemon/mtad/edge"
	"github.com/postcote/postcote/pkg/daemon/mtad/errormail"
	"github.com/postcote/postcote/pkg/daemon/mtad/forward"
	"github.com/postcote/postcote/pkg/daemon/mtad/piping"
	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/daemon/mtad/verifying"
	"github.com/postcote/postcote/pkg/mta/bounce"
	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
	"github.com/postcote/postcote/pkg/mta/rewrite"
	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/mta/verify"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	smtpclient "github.com/postcote/postcote/pkg/proto/smtp/client"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// router answers the queue from the table of the current configuration.
type router struct{ d *daemon }

// Route implements queue.Router.
func (r router) Route(ctx context.Context, env *queue.Envelope, rcpt addr.Address) (queue.Route, error) {
	var sender addr.Address
	if env != nil {
		sender = env.Sender
	}
	st := r.d.state.Load()
	to, err := st.route(ctx, st.routes, sender, rcpt)
	if err != nil {
		return queue.Route{}, err
	}
	return queue.Route{Transport: to.Via(), NextHop: to.Next()}, nil
}

// route is where a recipient's mail goes. What has moved goes nowhere, be it that
// an alias leads there; a name with neither an alias nor, maybe, a .forward file
// goes straight to its mailbox.
func (st *state) route(ctx context.Context, by *route.Table, sender, rcpt addr.Address) (route.Hop, error) {
	moved, err := st.rewriter.Moved(ctx, rcpt)
	switch {
	case err == nil:
		return route.Hop{Transport: route.Error, Text: "5.1.6 User has moved to " + string(wire.AppendPrintable(nil, moved))}, nil
	case !fail.Is(err, fail.NotFound):
		return route.Hop{}, err
	}
	to, err := by.Route(ctx, sender, rcpt)
	if err != nil || to.Hop.Transport != route.LocalAgent {
		return to.Hop, err
	}
	straight, err := st.rewriter.Straight(ctx, rcpt)
	if err != nil || !straight {
		return to.Hop, err
	}
	way, err := st.locals.Find(ctx, rcpt)
	if err != nil || !way.Instead.Null() {
		return to.Hop, err
	}
	return way.Hop, nil
}

// deliverer makes the queue's attempts: through package remote, or as what the
// transport is.
type deliverer struct{ d *daemon }

// Deliver implements queue.Deliverer.
func (x deliverer) Deliver(ctx context.Context, job *queue.Job) queue.Outcome {
	st := x.d.state.Load()
	out := x.deliver(ctx, st, job)
	st.filters.Apply(ctx, job.Route.Transport, &out)
	return out
}

func (x deliverer) deliver(ctx context.Context, st *state, job *queue.Job) queue.Outcome {
	hop, err := st.routes.ParseHop(job.Route.Transport + ":" + job.Route.NextHop)
	if err != nil { // the transport has gone since; the next try finds another
		return queue.Outcome{}
	}
	switch hop.Transport {
	case route.LocalAgent:
		return x.local(st).Deliver(ctx, job)
	case route.Pipe:
		return piping.Deliver(ctx, hop.Name, st.cfg.Transports[hop.Name], job, hop.Text)
	case route.SMTP:
		return x.smtp(ctx, st, job, hop)
	}
	return x.send(ctx, st, job, hop, job.Recipients, job.Envelope.Sender)
}

// local is the agent for names with aliases.
func (x deliverer) local(st *state) *forward.Agent {
	return &forward.Agent{
		Rewriter: st.rewriter, Queue: x.d.queue, Hostname: st.hostname, Now: x.d.now,
		Way: st.locals.Find, Made: observer(x).made,
		Mailbox: func(ctx context.Context, job *queue.Job, r queue.Recipient, hop route.Hop) queue.Result {
			if hop.Transport != route.Pipe {
				return x.send(ctx, st, job, hop, []queue.Recipient{r}, job.Envelope.Sender).Results[0]
			}
			one := *job
			one.Recipients = []queue.Recipient{r}
			return piping.Deliver(ctx, hop.Name, st.cfg.Transports[hop.Name], &one, hop.Text).Results[0]
		},
		Program: func(ctx context.Context, job *queue.Job, r queue.Recipient, t aliases.Target) queue.Result {
			name := st.cfg.Rewrite.AliasTransport
			if t.User != "" {
				return piping.Forward(ctx, st.rewriter.ForwardPrograms(t.User), job, r, t)
			}
			if own, ok := st.cfg.Transports[name]; ok {
				return piping.Alias(ctx, name, own, job, r, t)
			}
			return piping.NotSetUp()
		},
	}
}

// smtp sends to another host, each recipient under the sender that it needs.
func (x deliverer) smtp(ctx context.Context, st *state, job *queue.Job, hop route.Hop) queue.Outcome {
	out := queue.Outcome{Results: make([]queue.Result, len(job.Recipients))}
	group := map[addr.Address][]int{}
	var order []addr.Address
	for i, r := range job.Recipients {
		from, err := st.rewriter.Forwarded(ctx, job.Envelope.Sender, r.Addr, r.Original)
		if err == nil {
			from, err = st.rewriter.Outbound(ctx, from)
		}
		if err != nil {
			out.Results[i] = lookupFailed(err)
			continue
		}
		if group[from] == nil {
			order = append(order, from)
		}
		group[from] = append(group[from], i)
	}
	for _, from := range order {
		rcpts := make([]queue.Recipient, len(group[from]))
		for k, i := range group[from] {
			rcpts[k] = job.Recipients[i]
		}
		sent := x.send(ctx, st, job, hop, rcpts, from)
		for k, i := range group[from] {
			out.Results[i] = sent.Results[k]
		}
		out.SiteFailure = out.SiteFailure || sent.SiteFailure
	}
	return out
}

// lookupFailed is the result of a delivery for which a table was needed.
func lookupFailed(err error) queue.Result {
	return queue.Result{Status: queue.Deferred, Code: queue.Code{Class: 4, Subject: 3}, Reason: err.Error()}
}

// flags are the fields that a hop wants before a message.
func (st *state) flags(hop route.Hop) string {
	switch own, ok := st.cfg.Transports[hop.Name]; {
	case ok && own.Type != routing.KindVirtual:
		return own.Flags
	case hop.Transport == route.LMTP:
		return st.cfg.Deliver.Flags
	}
	return ""
}

// send makes one attempt through package remote, or one for each recipient
// where the message that each gets is its own.
func (x deliverer) send(ctx context.Context, st *state, job *queue.Job, hop route.Hop, to []queue.Recipient, from addr.Address) queue.Outcome {
	flags := st.flags(hop)
	if len(to) < 2 || !routing.Single(flags) {
		return x.attempt(ctx, st, job, hop, to, from, routing.Fields(flags, from, to[0].Original, to[0].Addr))
	}
	var all queue.Outcome
	for i, r := range to {
		if all.SiteFailure { // the others would meet the same
			all.Results = append(all.Results, slices.Repeat(all.Results[i-1:i], len(to)-i)...)
			break
		}
		one := x.attempt(ctx, st, job, hop, []queue.Recipient{r}, from, routing.Fields(flags, from, r.Original, r.Addr))
		all.Results, all.SiteFailure = append(all.Results, one.Results...), one.SiteFailure
	}
	return all
}

// attempt is one attempt, with fields before the content.
func (x deliverer) attempt(ctx context.Context, st *state, job *queue.Job, hop route.Hop, to []queue.Recipient, from addr.Address, fields string) queue.Outcome {
	rcpts := make([]remote.Recipient, len(to))
	away := hop.Transport == route.SMTP && st.rewriter.RewritesOutbound()
	for i, r := range to {
		rcpts[i] = recipientOf(r)
		if away {
			outside, err := st.rewriter.Outbound(ctx, r.Addr)
			if err != nil { // it will be the same for the others
				return queue.Outcome{Results: slices.Repeat([]queue.Result{lookupFailed(err)}, len(to))}
			}
			rcpts[i].To = outside
		}
	}
	env := job.Envelope
	outs := x.d.remote.Load().of(hop).Deliver(ctx, hop, remote.Message{
		From: from, Size: env.Size + int64(len(fields)), EightBit: env.EightBit, UTF8: env.SMTPUTF8,
		Return: dsnReturn(env.Return), EnvelopeID: env.EnvID, Forward: st.forwarded(job, hop), Notice: env.Notice(),
		Waited: x.d.now().Sub(env.Arrival),
		Login: func(ctx context.Context, hop route.Hop, host string) (*remote.Credentials, error) {
			return st.logins.For(ctx, env.Sender, hop, host)
		},
		Open: func() (io.ReadCloser, error) {
			open := openContent
			if away {
				open = func(job *queue.Job) (io.ReadCloser, error) { return openRewritten(ctx, st, job) }
			}
			c, err := open(job)
			if fields == "" || err != nil {
				return c, err
			}
			return content{io.MultiReader(strings.NewReader(fields), c), c}, nil
		},
	}, rcpts)
	result := queue.Outcome{Results: make([]queue.Result, len(outs))}
	for i, o := range outs {
		result.Results[i] = resultOf(o)
		result.SiteFailure = result.SiteFailure || o.Site
	}
	if result.SiteFailure && hop.Socket != "" {
		x.d.agents.away(hop.Socket)
	}
	return result
}

// probe finds out whether an address takes mail, by the ways that mail takes.
func (d *daemon) probe(ctx context.Context, rcpt addr.Address) verify.Answer {
	st := d.state.Load()
	return verifying.Probe(ctx, ways{d, st}, st.prober.Now(), rcpt)
}

// ways implements verifying.Ways.
type ways struct {
	d  *daemon
	st *state
}

func (w ways) Recipients(ctx context.Context, sender, rcpt addr.Address) ([]addr.Address, error) {
	to, err := w.st.routes.Resolve(ctx, rcpt)
	if err != nil {
		return nil, err
	}
	list, err := w.st.rewriter.Recipients(ctx, sender, []addr.Address{to})
	var out []addr.Address
	for _, r := range list {
		if r.Given >= 0 { // no blind copy
			out = append(out, r.Addr)
		}
	}
	return out, err
}

func (w ways) Route(ctx context.Context, sender, rcpt addr.Address) (route.Hop, error) {
	return w.st.route(ctx, w.st.probes, sender, rcpt)
}

func (w ways) Ask(ctx context.Context, hop route.Hop, sender, rcpt addr.Address) remote.Outcome {
	if hop.Transport == route.SMTP && w.st.rewriter.RewritesOutbound() {
		for _, a := range []*addr.Address{&sender, &rcpt} {
			out, err := w.st.rewriter.Outbound(ctx, *a)
			if err != nil {
				return remote.Outcome{Status: remote.Deferred, DSN: smtp.EnhancedCode{4, 3, 0}, Text: err.Error(), Relay: "none"}
			}
			*a = out
		}
	}
	return w.d.remote.Load().of(hop).Deliver(ctx, hop, remote.Message{
		From: sender, Verify: true,
		UTF8: slices.Contains(w.st.cfg.DetectUTF8, DetectVerify) && (sender.NeedsUTF8() || rcpt.NeedsUTF8()),
		Login: func(ctx context.Context, hop route.Hop, host string) (*remote.Credentials, error) {
			return w.st.logins.For(ctx, sender, hop, host)
		},
	}, []remote.Recipient{{To: rcpt}})[0]
}

// forwarded is what a next hop is to hear of the client, nil for nothing.
func (st *state) forwarded(job *queue.Job, hop route.Hop) *smtpclient.Forward {
	tell := st.cfg.Remote.Forward
	if hop.Transport == route.LMTP {
		tell = st.cfg.Deliver.Forward
	}
	if own, ok := st.cfg.Transports[hop.Name]; ok {
		tell = own.Forward
	}
	if !tell {
		return nil
	}
	c := &job.Envelope.Client
	f := &smtpclient.Forward{Name: c.Name, Addr: c.Addr, Proto: c.Proto, Helo: c.Helo, Ident: cmp.Or(c.Ident, job.ID.String()), Source: "REMOTE"}
	if c.Port != 0 {
		f.Port = strconv.Itoa(int(c.Port))
	}
	if st.rewriter.Homely(job.Envelope) {
		f.Source = "LOCAL"
	}
	return f
}

// openRewritten opens the content with the addresses of its header as the
// outside is to see them. A header too large to be held goes as it is.
func openRewritten(ctx context.Context, st *state, job *queue.Job) (io.ReadCloser, error) {
	c, err := job.Open()
	if err != nil {
		return nil, err
	}
	whole := c.Reader()
	start, err := io.ReadAll(io.LimitReader(whole, header.MaxBlock))
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	edit := header.NewEditor(header.Rules{Rewrite: func(name, value string) (string, bool, error) {
		return st.rewriter.OutboundField(ctx, name, value)
	}, Touches: rewrite.HasAddresses})
	_, _ = edit.Write(start)
	found := edit.Finish()
	if found.Err != nil {
		_ = c.Close()
		return nil, found.Err
	}
	if found.Edited && !found.TooLarge && len(start) < header.MaxBlock {
		start = append(found.Block, start[found.Skip:]...)
	}
	return content{io.MultiReader(bytes.NewReader(start), whole), c}, nil
}

type content struct {
	io.Reader
	io.Closer
}

func openContent(job *queue.Job) (io.ReadCloser, error) {
	c, err := job.Open()
	if err != nil {
		return nil, err
	}
	return content{c.Reader(), c}, nil
}

func resultOf(o remote.Outcome) queue.Result {
	r := queue.Result{
		Reason: o.Text, Diagnostic: o.Reply, Remote: o.Host, Relay: o.Relay, ConnUse: o.ConnUse,
		Connect: o.Connect, Send: o.Transfer, TLS: o.TLS, Relayed: o.Status == remote.Delivered && o.DSNOffered,
	}
	r.Code, _ = queue.ParseCode(o.Code())
	switch o.Status {
	case remote.Delivered:
		r.Status = queue.Delivered
	case remote.Bounced:
		r.Status = queue.Failed
	default:
		r.Status = queue.Deferred
	}
	return r
}

// recipientOf adds the DSN parameters. The original recipient goes along even
// if the sender asked for nothing, as from Postfix: delivery agents use it, and
// RFC 3461 section 5.2.1 lets a relay add what it was given itself.
func recipientOf(r queue.Recipient) remote.Recipient {
	out := remote.Recipient{To: r.Addr}
	if r.Notify != 0 {
		for _, w := range strings.Split(r.Notify.String(), ",") {
			out.Options.Notify = append(out.Options.Notify, smtp.DSNNotify(w))
		}
	}
	if kind, address, ok := strings.Cut(r.ORCPT, ";"); ok {
		out.Options.OriginalRecipientType, out.Options.OriginalRecipient = smtp.DSNAddressType(kind), address
		return out
	}
	original := r.Original
	if original.Null() {
		original = r.Addr
	}
	out.Options.OriginalRecipientType, out.Options.OriginalRecipient = "rfc822", original.String()
	if original.NeedsUTF8() {
		out.Options.OriginalRecipientType = "utf-8"
	}
	return out
}

func dsnReturn(r queue.Return) smtp.DSNReturn { return smtp.DSNReturn(r.String()) }

// bouncer writes notifications in the name of the current configuration.
type bouncer struct{ d *daemon }

// Compose implements queue.Bouncer.
func (b bouncer) Compose(ctx context.Context, w io.Writer, id queue.ID, n *queue.Notice) (queue.Composed, error) {
	st := b.d.state.Load()
	c := bounce.Composer{Hostname: st.hostname, Origin: st.cfg.origin(), Postmaster: st.cfg.Postmaster, SizeLimit: st.cfg.Bounce.SizeLimit.Int64(), Templates: st.templates, Relays: st.relays}
	return c.Compose(ctx, w, id, n)
}

// relays reports whether what a transport delivers may go further: to another
// host, or by a program that says nothing else.
func (st *state) relays(transport string) bool {
	own, ok := st.cfg.Transports[transport]
	if !ok {
		return transport == route.SMTP.String()
	}
	return !own.Final && (own.Type == route.SMTP.String() || own.Type == routing.KindPipe)
}

// senders are the clients of the transports that speak SMTP or LMTP.
type senders struct {
	usual *remote.Client
	named map[string]*remote.Client
}

// of is the client for a hop.
func (s *senders) of(hop route.Hop) *remote.Client {
	if c := s.named[hop.Name]; c != nil {
		return c
	}
	return s.usual
}

// Close ends idle sessions.
func (s *senders) Close() {
	s.usual.Close()
	for _, c := range s.named {
		c.Close()
	}
}

// newSenders makes the clients of a configuration.
func (d *daemon) newSenders(st *state) (*senders, error) {
	c := remote.Config{
		Hostname: st.hostname, Helo: st.cfg.Remote.HeloName, Self: []string{st.hostname}, Resolver: d.parts.Resolver, Dial: d.parts.Dial,
		ConnectTimeout: st.cfg.Remote.ConnectTimeout.Std(), Idle: st.cfg.Remote.Reuse.Std(), Now: d.now,
		Timeouts: st.cfg.Remote.Client(smtpclient.Timeouts{}), LMTPTimeouts: st.cfg.Deliver.Client(smtpclient.Timeouts{}),
		Mechanism: st.cfg.Remote.Allow, HardLogin: !st.cfg.Remote.SoftBounce,
		PlainAfter: st.cfg.Queue.MinBackoff.Std(), KeepEightBit: st.cfg.Remote.KeepEightBit, Families: st.cfg.Remote.families(), Sessions: st.cfg.Remote.MaxSessions,
		LineLength: cmp.Or(st.cfg.Remote.LineLength, -1),
		Discard:    routing.Upper(st.cfg.Remote.DiscardWords),
		Unreachable: func(transport, relay, why string) {
			d.log.Log(hostUnreachable{transport, st.cfg.program(transport), relay, why})
		},
		Own: d.own(st.cfg), ServiceFallback: st.cfg.Remote.ServiceFallback, ServiceIgnore: st.cfg.Remote.ServiceIgnore,
	}
	if slices.Contains(st.errors.On, errormail.Protocol) {
		c.Record = func() smtpclient.Recorder { return new(errormail.Transcript) }
		c.Odd = d.odd
	}
	if st.cfg.Remote.Port != 25 {
		c.Port = uint16(st.cfg.Remote.Port)
	}
	if c.Idle == 0 {
		c.Idle = -1
	}
	if len(st.cfg.Remote.Source) > 0 && c.Dial == nil {
		var err error
		if c.Dial, err = routing.DialFrom(st.cfg.Remote.Source); err != nil {
			return nil, err
		}
	}
	if err := st.cfg.Remote.secure(&c, st.cfg.tables()); err != nil {
		return nil, err
	}
	if err := st.cfg.Remote.Sessions.Apply(&c, st.cfg.tables()); err != nil {
		return nil, err
	}
	var err error
	if c.Services, err = st.cfg.Remote.services(); err != nil {
		return nil, err
	}
	if c.Fallback, err = routing.FallbackHops(st.cfg.FallbackRelay); err != nil {
		return nil, err
	}
	c.Handshake = func(h remote.Handshake) {
		level := st.cfg.Remote.TLSLog
		if h.Hop.Transport == route.LMTP {
			level = st.cfg.Deliver.TLSLog
		}
		if h.Err != nil || level > 0 {
			d.log.Log(handshaken{h, st.cfg.program(h.Hop.Via())})
		}
	}
	s := &senders{usual: remote.New(c), named: map[string]*remote.Client{}}
	for name, t := range st.cfg.Transports {
		own, err := t.Remote(c, d.parts.Dial != nil)
		if err != nil {
			return nil, err
		}
		s.named[name] = remote.New(own)
	}
	return s, nil
}

// odd tells the postmaster of a host that does not understand us.
func (d *daemon) odd(peer string, r smtpclient.Recorder) {
	t, ok := r.(*errormail.Transcript)
	if !ok {
		return
	}
	t.Note(errormail.Protocol)
	if err := d.letters.Send(context.Background(), t, errormail.Client, peer, d.state.Load().errors); err != nil {
		d.log.Error("the transcript of a session could not be queued", obs.Err(err))
	}
}

// own tells which addresses mail must not be sent to, as it would come back.
// It is first asked by deliveries, which begin when the listeners are open.
func (d *daemon) own(cfg Config) func(netip.Addr) bool {
	addresses := sync.OnceValue(func() func(netip.Addr) bool {
		var at []net.Addr
		for _, l := range d.listens {
			if a := l.ln.Addr(); !l.local && int(netx.AddrPort(a).Port()) == cfg.Remote.Port {
				at = append(at, a)
			}
		}
		return edge.Own(at, cfg.Domains.Local)
	})
	return func(ip netip.Addr) bool { return addresses()(ip) }
}

// families says which addresses of other hosts are used.
func (r Remote) families() remote.Families {
	return remote.Families{Only: remote.ParseFamily(r.Protocols), Prefer: remote.ParseFamily(r.Prefer), Balance: r.Balance, Limit: r.MaxAddresses}
}

// secure is what a configuration demands of TLS. The authorities are read
// once, here.
func (r Remote) secure(c *remote.Config, kinds lookup.Options) error {
	c.TLS, _ = tlspolicy.ParseLevel(r.TLS)
	c.Levels = tlspolicy.Defaults{Verify: r.TLSVerifyMatch, Secure: r.TLSSecureMatch}
	var err error
	if c.Levels.May, c.Levels.Mandatory, err = r.versions(); err != nil {
		return err
	}
	for _, f := range r.TLSFingerprints {
		print, err := tlspolicy.ParsePrint(f)
		if err != nil {
			return fail.Wrap(fail.Invalid, err, "remote.tls_fingerprints")
		}
		c.Levels.Prints = append(c.Levels.Prints, print)
	}
	if len(r.TLSPolicies) > 0 {
		policies, err := lookup.OpenAll(r.TLSPolicies, kinds)
		if err != nil {
			return fail.Wrap(fail.Invalid, err, "remote.tls_policy_maps")
		}
		c.Policies = policies
	}
	if r.TLSCAFile != "" {
		if c.Roots, err = tlspolicy.Authorities(r.TLSCAFile); err != nil {
			return fail.Wrap(fail.Invalid, err, "remote.tls_ca_file")
		}
	}
	if r.TLSCertFile != "" {
		c.Certificate = func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(r.TLSCertFile, r.TLSKeyFile)
			return &pair, err
		}
		if _, err := c.Certificate(); err != nil {
			return fail.Wrap(fail.Invalid, err, "remote.tls_cert_file")
		}
	}
	return nil
}
