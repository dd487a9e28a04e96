package mtad

import (
	"context"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/mta/bounce"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// router answers the queue from the table of the current configuration.
type router struct{ d *daemon }

// Route implements queue.Router.
func (r router) Route(ctx context.Context, _ *queue.Envelope, rcpt addr.Address) (queue.Route, error) {
	to, err := r.d.state.Load().routes.Route(ctx, rcpt)
	if err != nil {
		return queue.Route{}, err
	}
	return queue.Route{Transport: to.Hop.Transport.String(), NextHop: to.Hop.Next()}, nil
}

// deliverer makes the queue's attempts through package remote.
type deliverer struct{ d *daemon }

// Deliver implements queue.Deliverer.
func (x deliverer) Deliver(ctx context.Context, job *queue.Job) queue.Outcome {
	hop, err := route.ParseHop(job.Route.Transport + ":" + job.Route.NextHop)
	if err != nil { // the table made the hop, so this cannot be
		return queue.Outcome{}
	}
	rcpts := make([]remote.Recipient, len(job.Recipients))
	for i, r := range job.Recipients {
		rcpts[i] = recipientOf(r)
	}
	env := job.Envelope
	outs := x.d.remote.Load().Deliver(ctx, hop, remote.Message{
		From: env.Sender, Size: env.Size, EightBit: env.EightBit, UTF8: env.SMTPUTF8,
		Return: dsnReturn(env.Return), EnvelopeID: env.EnvID,
		Open: func() (io.ReadCloser, error) { return openContent(job) },
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
// if the sender asked for nothing: delivery agents use it.
func recipientOf(r queue.Recipient) remote.Recipient {
	out := remote.Recipient{To: r.Addr}
	if r.Notify != 0 {
		for _, w := range strings.Split(r.Notify.String(), ",") {
			out.Options.Notify = append(out.Options.Notify, smtp.DSNNotify(w))
		}
	}
	switch kind, address, ok := strings.Cut(r.ORCPT, ";"); {
	case ok:
		out.Options.OriginalRecipientType, out.Options.OriginalRecipient = smtp.DSNAddressType(strings.ToUpper(kind)), address
	case !r.Original.Null():
		out.Options.OriginalRecipientType, out.Options.OriginalRecipient = smtp.DSNAddressTypeRFC822, r.Original.String()
		if r.Original.NeedsUTF8() {
			out.Options.OriginalRecipientType = smtp.DSNAddressTypeUTF8
		}
	}
	return out
}

func dsnReturn(r queue.Return) smtp.DSNReturn { return smtp.DSNReturn(r.String()) }

// bouncer writes notifications in the name of the current configuration.
type bouncer struct{ d *daemon }

// Compose implements queue.Bouncer.
func (b bouncer) Compose(ctx context.Context, w io.Writer, id queue.ID, n *queue.Notice) (queue.Composed, error) {
	st := b.d.state.Load()
	c := bounce.Composer{Hostname: st.hostname, Postmaster: st.cfg.Postmaster, SizeLimit: st.cfg.Bounce.SizeLimit.Int64(), Templates: st.templates}
	return c.Compose(ctx, w, id, n)
}

// newRemote makes the client of a configuration. The relay host's credentials
// are read once, here.
func (d *daemon) newRemote(st *state) (*remote.Client, error) {
	level, _ := remote.ParseTLSLevel(st.cfg.Remote.TLS)
	c := remote.Config{
		Hostname: st.hostname, Self: []string{st.hostname}, Resolver: d.parts.Resolver, Dial: d.parts.Dial,
		ConnectTimeout: st.cfg.Remote.ConnectTimeout.Std(), TLS: level, Idle: st.cfg.Remote.Reuse.Std(), Now: d.now,
	}
	if st.cfg.Remote.Port != 25 {
		c.Port = uint16(st.cfg.Remote.Port)
	}
	if c.Idle == 0 {
		c.Idle = -1
	}
	if file := st.cfg.Remote.RelayCredentials; file != "" {
		relay, err := route.ParseRelayHost(st.cfg.RelayHost)
		if err != nil {
			return nil, err
		}
		secret, err := file.Read()
		if err != nil {
			return nil, err
		}
		user, password, ok := strings.Cut(secret, ":")
		if !ok || user == "" || password == "" {
			return nil, fail.New(fail.Invalid, "%s: want user:password in one line", string(file))
		}
		c.Login = func(hop route.Hop) *remote.Credentials {
			if hop != relay {
				return nil
			}
			return &remote.Credentials{User: user, Password: password}
		}
	}
	return remote.New(c), nil
}
