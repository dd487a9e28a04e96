package mtad

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/edge"
	"github.com/postcote/postcote/pkg/daemon/mtad/errormail"
	"github.com/postcote/postcote/pkg/daemon/mtad/rewriting"
	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/daemon/mtad/tables"
	"github.com/postcote/postcote/pkg/daemon/mtad/verifying"
	"github.com/postcote/postcote/pkg/mta/bounce"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/gate/rate"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// state is what a configuration means, made once and never changed. Sessions
// keep the one they began with; SIGHUP makes a new one for those to come.
type state struct {
	cfg      Config
	hostname string
	routes   *route.Table
	probes   *route.Table // the ways of probes
	prober   verifying.Sender
	rewriter *rewriting.Rewriter
	logins   *routing.Passwords
	filters  *routing.StatusFilters
	locals   *routing.Mailboxes
	gate     *gate.Gate
	footer   *edge.Footer // nil for none
	rates    rate.Limits

	templates bounce.Templates
	errors    errormail.To // who wants transcripts of sessions
}

func newState(cfg Config, rcpts gate.Recipients, now func() time.Time) (*state, error) {
	s := &state{cfg: cfg, hostname: cfg.hostname(), rates: cfg.Limits.rates(cfg.trusted())}
	ask, err := route.OpenTables(cfg.Domains.Tables, cfg.tables())
	if err != nil {
		return nil, err
	}
	if ask != nil {
		ask = recentDomains{ask, newRecent(cfg.LookupCache.Std(), now)}
	}
	if rcpts != nil {
		rcpts = recentRecipients{rcpts, newRecent(cfg.LookupCache.Std(), now)}
	}
	if s.prober, err = cfg.Verify.NewSender(cfg.DoubleBounce, cfg.origin(), now); err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "address_verify.sender")
	}
	host := cfg.routingHost(ask)
	if host.Sink, err = verifying.Named(cfg.DoubleBounce, cfg.origin()); err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "double_bounce_sender")
	}
	host.Alias = s.prober.Lasting
	if s.routes, err = cfg.Config.Table(cfg.Domains, host); err != nil {
		return nil, err
	}
	s.probes = s.routes
	if cfg.Verify.Overrides.Any() {
		if s.probes, err = cfg.Verify.Apply(cfg.Config).Table(cfg.Domains, host); err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "address_verify")
		}
	}
	if s.rewriter, err = cfg.Rewrite.New(cfg.rewritingHost(s.routes, now)); err != nil {
		return nil, err
	}
	if s.logins, err = cfg.Logins(cfg.Remote.RelayCredentials, cfg.Delimiter, cfg.tables()); err != nil {
		return nil, err
	}
	if s.filters, err = cfg.Filters(cfg.tables()); err != nil {
		return nil, err
	}
	known, err := cfg.recipientTables(rcpts, s.rewriter)
	if err != nil {
		return nil, err
	}
	if s.locals, err = cfg.Config.Mailboxes(cfg.routingHost(nil), known[route.Local]); err != nil {
		return nil, err
	}
	if all := s.locals.Recipients(); all != nil {
		known[route.Local] = all
	}
	if s.footer, err = cfg.Smtpd.NewFooter(s.hostname, cfg.tables(), cfg.warn); err != nil {
		return nil, err
	}
	if s.templates, err = cfg.Bounce.templates(cfg); err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "bounce.template_file")
	}
	notify := s.notices(cfg.Queue.Settings)
	s.errors = errormail.To{Hostname: s.hostname, On: errormail.OfSessions(notify.NotifyClasses)}
	s.errors.Bounces, _ = addr.Parse(notify.BounceNotice)
	s.errors.Errors, _ = addr.Parse(notify.ErrorNotice)
	gc := gate.Config{Routes: s.routes, Recipients: known, Rewriting: s.rewriter, Owners: s.rewriter, Trusted: cfg.trusted()}
	if err := cfg.Smtpd.Gate(&gc, cfg.tables()); err != nil {
		return nil, err
	}
	s.gate = gate.New(gc)
	return s, nil
}

// tables is how lookup tables are opened. Without a daemon, whose tables are
// kept, they are nobody's: that is for those who only check their names.
func (c Config) tables() lookup.Options {
	if c.lookups.Drivers == nil {
		return tables.New(tables.Events{}).Options()
	}
	return c.lookups
}

// notices are settings in which those who get notices have full addresses.
func (s *state) notices(set queue.Settings) queue.Settings {
	for _, a := range []*string{&set.BounceNotice, &set.DelayNotice, &set.DoubleNotice, &set.ErrorNotice} {
		switch {
		case *a == "" || strings.Contains(*a, "@"):
		case strings.EqualFold(*a, "postmaster"):
			*a = s.routes.Postmaster().String()
		default:
			*a += "@" + s.hostname
		}
	}
	return set
}

// origin is the domain of addresses without one.
func (c Config) origin() string { return cmp.Or(c.Rewrite.Origin, c.hostname()) }

func (c Config) routingHost(ask route.Domains) routing.Host {
	return routing.Host{
		Hostname: c.hostname(), Origin: c.Rewrite.Origin, Delimiter: c.Delimiter, Postmaster: c.Postmaster, LMTP: c.Deliver.LMTP,
		SRSDomain: c.Rewrite.SRS.Domain, Ask: ask, Tables: c.tables(),
	}
}

func (c Config) rewritingHost(routes *route.Table, now func() time.Time) rewriting.Host {
	return rewriting.Host{
		Hostname: c.hostname(), Delims: c.Delimiter, Trusted: c.trusted(), Routes: routes, Tables: c.tables(), Now: now, Warn: c.warn,
	}
}

// recipientTables are who knows the recipients of each class.
func (c Config) recipientTables(mailboxes gate.Recipients, r *rewriting.Rewriter) (map[route.Class]gate.Recipients, error) {
	known := map[route.Class]gate.Recipients{}
	if mailboxes != nil {
		known[route.Mailbox] = mailboxes
	}
	listed, err := maps.Open("virtual_mailbox_maps", c.VirtualMailboxMaps, c.tables())
	if err != nil {
		return nil, err
	}
	if !listed.Empty() {
		known[route.Mailbox] = rewriting.ListedRecipients{Map: listed, Others: mailboxes}
	}
	local, err := maps.Open("local_recipient_maps", c.LocalRecipientMaps, c.tables())
	if err != nil {
		return nil, err
	}
	if mailboxes != nil || !local.Empty() {
		known[route.Local] = rewriting.LocalRecipients{Rewriter: r, Map: local, Mailboxes: mailboxes}
	}
	relay, err := maps.Open("relay_recipient_maps", c.RelayRecipientMaps, c.tables())
	if err != nil {
		return nil, err
	}
	if !relay.Empty() {
		known[route.Relay] = rewriting.ListedRecipients{Map: relay}
	}
	return known, nil
}

// rates are what one client may do in a unit of time.
func (l Limits) rates(exempt []netip.Prefix) rate.Limits {
	out := rate.Limits{Unit: l.RateUnit.Std(), V4: l.RateV4, V6: l.RateV6, Exempt: exempt}
	out.Most[rate.Connections], out.Most[rate.Messages], out.Most[rate.Recipients] = l.ConnectionRate, l.MessageRate, l.RecipientRate
	out.Most[rate.Handshakes], out.Most[rate.Logins] = l.TLSRate, l.AuthRate
	return out
}

func (c Config) trusted() []netip.Prefix { return conf.Prefixes(c.Trusted) }

// policy is what the rules of a listener are.
func (l Listener) policy() gate.Policy {
	p := gate.Submission()
	switch {
	case l.Role == RoleMX:
		p = gate.MX()
	case l.TLS == TLSNone:
		p = gate.PlainSubmission()
	}
	owner := map[string]gate.Rule{
		"known": gate.RejectKnownSenderMismatch, "all": gate.RejectSenderMismatch,
		"unauthenticated": gate.RejectUnauthenticatedSenderMismatch, "authenticated": gate.RejectAuthenticatedSenderMismatch,
	}
	if rule, ok := owner[l.Owner]; ok {
		p[gate.Mail] = append(p[gate.Mail][:len(p[gate.Mail]):len(p[gate.Mail])], rule)
	}
	return p
}
