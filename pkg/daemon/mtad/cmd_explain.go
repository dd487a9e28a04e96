package mtad

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/mtad/edge"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/dnsx"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
)

// question is what `mtad explain` is asked.
type question struct {
	from, to, client, auth, helo string
	json                         bool
}

func explainCommand() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "explain --to ADDRESS",
		Short: "Say what would become of a message, decision by decision",
		Long: "Follows a message from --from to --to through the configuration file: restrictions, rewriting, class, transport, next hop,\n" +
			"hosts, TLS and login, each with the key and the line that decided. Tables, authd and the DNS are asked; nothing is sent.\n" +
			"With --client it is mail from that address for a listener of role mx, with --auth from that user for one of role submission,\n" +
			"with neither from a local program. Exit code 1 when the message would be refused.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := service.LoadConfig(cmd)
			if err != nil {
				return err
			}
			c, ok := cfg.(*Config)
			if !ok {
				return fail.New(fail.Invalid, "mtad: configuration of type %T", cfg)
			}
			lines, err := conf.LoadLines(service.ConfigPath(cmd), &Config{})
			if err != nil {
				return err
			}
			e := &explanation{out: cmd.OutOrStdout(), json: q.json, lines: lines, class: map[string]bool{}}
			return e.run(cmd.Context(), *c, q, parts{Patience: time.Second})
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.from, "from", "", "sender `address`; empty for none, as in a notification")
	f.StringVar(&q.to, "to", "", "recipient `address`")
	f.StringVar(&q.client, "client", "", "`IP` address of the client")
	f.StringVar(&q.auth, "auth", "", "`user` that has logged in")
	f.StringVar(&q.helo, "helo", "client.example", "`name` in the client's EHLO")
	f.BoolVar(&q.json, "json", false, "one JSON object per decision and line")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// explanation prints the steps that the daemon's own code tells.
type explanation struct {
	out   io.Writer
	json  bool
	lines conf.Lines
	d     *daemon
	st    *state
	send  *senders
	class map[string]bool // domains whose class has been told
	err   error           // of the output
}

// told is a step with its place.
type told struct {
	explain.Step
	Where string `json:"where,omitempty"` // file:line
}

func (e *explanation) hear(s explain.Step) {
	if s.What == "class" { // which is asked for again and again
		if e.class[s.Input] {
			return
		}
		e.class[s.Input] = true
	}
	t := told{s, e.lines.Of(s.Key)}
	if e.json {
		line, err := json.Marshal(t)
		if err == nil {
			_, err = fmt.Fprintf(e.out, "%s\n", line)
		}
		e.fault(err)
		return
	}
	text := s.What + ": "
	switch {
	case s.Match != "" && s.Input != "":
		text += s.Input + " (" + s.Match + ")"
	default:
		text += s.Input + s.Match
	}
	if s.Result != "" {
		if s.Input != "" || s.Match != "" {
			text += " -> "
		}
		text += s.Result
	}
	switch {
	case t.Where != "":
		text += "   [" + s.Key + ", " + t.Where + "]"
	case s.Key != "":
		text += "   [" + s.Key + ", default]"
	}
	_, err := fmt.Fprintln(e.out, text)
	e.fault(err)
}

func (e *explanation) fault(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *explanation) note(what, input, result, key string) {
	e.hear(explain.Step{Key: key, What: what, Input: input, Result: result})
}

func (e *explanation) run(ctx context.Context, cfg Config, q question, p parts) error {
	from, err := addr.Parse(q.from)
	if err != nil {
		return err
	}
	to, err := addr.Parse(q.to)
	if err != nil {
		return err
	}
	facts, policy, err := q.facts()
	if err != nil {
		return err
	}
	if err := e.build(cfg, p); err != nil {
		return err
	}
	ctx = explain.With(ctx, e.hear)
	home := e.st.rewriter.Home(facts.Local, facts.User, facts.Peer)
	if home {
		from, to = e.st.rewriter.Complete(ctx, from), e.st.rewriter.Complete(ctx, to)
	}
	facts.Sender = from
	for _, stage := range []gate.Stage{gate.Connect, gate.Helo, gate.Mail, gate.Rcpt} {
		if stage == gate.Rcpt {
			facts.Rcpt = to
		}
		if v := e.st.gate.Check(ctx, &policy, stage, facts); v.Refused() {
			e.note("refused", stage.String(), v.String(), "")
			if v.Cause != nil {
				e.note("cause", "", v.Cause.Error(), "")
			}
			return fail.New(fail.Denied, "the message would be refused: %s", v)
		}
	}
	if err := e.message(ctx, from, to); err != nil {
		return err
	}
	return e.err
}

// facts is the session that a question describes.
func (q question) facts() (gate.Facts, gate.Policy, error) {
	f := gate.Facts{User: q.auth, Helo: q.helo, Name: edge.Unknown}
	var err error
	if q.client != "" {
		if f.Peer, err = netip.ParseAddr(q.client); err != nil {
			return f, gate.Policy{}, fail.Wrap(fail.Invalid, err, "--client")
		}
	}
	switch {
	case q.auth != "":
		f.TLS = true
		return f, gate.Submission(), nil
	case q.client != "":
		return f, gate.MX(), nil
	}
	f.Local = true
	return f, gate.Submit(), nil
}

// build makes what the daemon would run with.
func (e *explanation) build(cfg Config, p parts) error {
	e.d = &daemon{parts: p, now: time.Now}
	if p.Resolver == nil {
		r, err := dnsx.NewClient(cfg.DNS, time.Now)
		if err != nil {
			return err
		}
		e.d.parts.Resolver = r
	}
	var known gate.Recipients
	if cfg.ExistsSocket != "" {
		known = recipients{userdbclient.New(userdbclient.Config{Address: cfg.ExistsSocket, Patience: p.Patience})}
	}
	var err error
	if e.st, err = newState(cfg, known, time.Now); err != nil {
		return err
	}
	e.send, err = e.d.newSenders(e.st)
	return err
}

// message follows an accepted message.
func (e *explanation) message(ctx context.Context, from, to addr.Address) error {
	rcpt, err := e.st.routes.Resolve(ctx, to)
	if err != nil {
		return err
	}
	sender, err := e.st.rewriter.Sender(ctx, from)
	if err != nil {
		return err
	}
	list, err := e.st.rewriter.Recipients(ctx, sender, []addr.Address{rcpt})
	if err != nil {
		return err
	}
	for _, r := range list {
		original := to
		if r.Given < 0 || r.Addr == to {
			original = addr.Address{}
		}
		if err := e.delivery(ctx, sender, r.Addr, original, 0); err != nil {
			return err
		}
	}
	return nil
}

// maxForwards is how far names are followed.
const maxForwards = 10

func (e *explanation) delivery(ctx context.Context, sender, rcpt, original addr.Address, depth int) error {
	e.note("recipient", rcpt.String(), "", "")
	hop, err := e.st.route(ctx, e.st.routes, sender, rcpt)
	if err != nil {
		return err
	}
	switch hop.Transport {
	case route.LocalAgent:
		return e.alias(ctx, sender, rcpt, depth)
	case route.SMTP:
		return e.away(ctx, sender, rcpt, original, hop)
	case route.Error, route.Retry:
		e.note("not delivered", rcpt.String(), hop.String(), "")
		return nil
	}
	e.note("delivered by", rcpt.String(), hop.String(), "")
	return nil
}

// alias follows a name as package forward does.
func (e *explanation) alias(ctx context.Context, sender, rcpt addr.Address, depth int) error {
	if depth >= maxForwards {
		e.note("mail forwarding loop", rcpt.String(), "returned", "")
		return nil
	}
	targets, err := e.st.rewriter.Aliases(ctx, rcpt)
	switch {
	case fail.Is(err, fail.NotFound):
		return e.mailbox(ctx, sender, rcpt, depth)
	case fail.Is(err, fail.Permanent):
		e.note("not delivered", rcpt.String(), err.Error(), "rewrite.alias_maps")
		return nil
	case err != nil:
		return err
	}
	for _, t := range targets {
		from := sender
		if !t.Owner.Null() && !sender.Null() {
			from = t.Owner
			e.note("owner", t.Alias, from.String(), "rewrite.alias_maps")
		}
		switch t.Kind {
		case aliases.User:
			if err := e.mailbox(ctx, sender, t.Addr, depth); err != nil {
				return err
			}
		case aliases.Command, aliases.Path:
			what, by, key := "command", e.st.cfg.Rewrite.AliasTransport, "rewrite.alias_transport"
			if t.Kind == aliases.Path {
				what = "file"
			}
			if t.User != "" {
				by, key = e.st.rewriter.ForwardPrograms(t.User), "rewrite.forward_programs"
			}
			e.note(what, t.Text, by, key)
		default:
			if err := e.onward(ctx, from, t.Addr, rcpt, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// mailbox is a name that is followed no further.
func (e *explanation) mailbox(ctx context.Context, sender, rcpt addr.Address, depth int) error {
	if depth >= maxForwards {
		e.note("mail forwarding loop", rcpt.String(), "returned", "")
		return nil
	}
	way, err := e.st.locals.Find(ctx, rcpt)
	switch {
	case err != nil:
		return err
	case !way.Instead.Null():
		return e.onward(ctx, sender, way.Instead, rcpt, depth)
	}
	key := ""
	if way.Hop.Next() == e.st.cfg.Deliver.LMTP {
		key = "deliver.lmtp"
	}
	e.note("delivered by", rcpt.String(), way.Hop.String(), key)
	return nil
}

// onward is the new message that goes to an address in place of another.
func (e *explanation) onward(ctx context.Context, sender, to, original addr.Address, depth int) error {
	list, err := e.st.rewriter.Recipients(ctx, sender, []addr.Address{to})
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.Given < 0 {
			continue
		}
		if err := e.delivery(ctx, sender, r.Addr, original, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// away is mail that leaves by SMTP.
func (e *explanation) away(ctx context.Context, sender, rcpt, original addr.Address, hop route.Hop) error {
	from, err := e.st.rewriter.Forwarded(ctx, sender, rcpt, original)
	if err == nil {
		from, err = e.st.rewriter.Outbound(ctx, from)
	}
	if err != nil {
		return err
	}
	to, err := e.st.rewriter.Outbound(ctx, rcpt)
	if err != nil {
		return err
	}
	e.note("envelope", "", from.Path()+" to "+to.Path(), "")
	hosts, why := e.send.of(hop).Hosts(ctx, hop)
	if why != "" {
		e.note("hosts", hop.Next(), why, "")
		return nil
	}
	var relays []string
	for _, h := range hosts {
		relays = append(relays, h.Relay)
	}
	e.note("hosts", hop.Next(), strings.Join(relays, ", "), "")
	level, key := e.st.cfg.Remote.TLS, "remote.tls"
	if t, ok := e.st.cfg.Transports[hop.Name]; ok && t.TLS != "" {
		level, key = t.TLS, "transports["+hop.Name+"].tls"
	}
	policy, err := e.send.of(hop).Policy(ctx, hop)
	if err != nil {
		return err
	}
	if by := policy.Level.String(); by != level {
		level, key = by, "remote.tls_policy_maps"
	}
	e.note("TLS", hop.Via(), level, key)
	return e.logins(ctx, sender, hosts)
}

// logins are ours at hosts, which may each have their own.
func (e *explanation) logins(ctx context.Context, sender addr.Address, hosts []remote.Destination) error {
	for i, h := range hosts {
		if slices.ContainsFunc(hosts[:i], func(o remote.Destination) bool { return o.Host == h.Host && o.Hop == h.Hop }) {
			continue // another address of it
		}
		login, err := e.st.logins.For(ctx, sender, h.Hop, h.Host)
		if err != nil {
			return err
		}
		if login != nil {
			e.note("login", h.Host, "as "+login.User+", over TLS or to this host only", "")
		}
	}
	return nil
}
