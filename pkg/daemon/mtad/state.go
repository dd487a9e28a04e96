package mtad

import (
	"net/netip"
	"time"

	"github.com/postcote/postcote/pkg/mta/bounce"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// state is what a configuration means, made once and never changed. Sessions
// keep the one they began with; SIGHUP makes a new one for those to come.
type state struct {
	cfg      Config
	hostname string
	routes   *route.Table
	gate     *gate.Gate

	templates bounce.Templates
}

func newState(cfg Config, rcpts gate.Recipients, now func() time.Time) (*state, error) {
	s := &state{cfg: cfg, hostname: cfg.hostname()}
	local, err := route.ParseHop("lmtp:" + cfg.Deliver.LMTP)
	if err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "deliver.lmtp")
	}
	ask, err := route.OpenTables(cfg.Domains.Tables)
	if err != nil {
		return nil, err
	}
	if ask != nil {
		ask = recentDomains{ask, newRecent(cfg.LookupCache.Std(), now)}
	}
	if rcpts != nil {
		rcpts = recentRecipients{rcpts, newRecent(cfg.LookupCache.Std(), now)}
	}
	s.routes, err = route.New(route.Config{
		Hostname: s.hostname, Mailboxes: cfg.Domains.Mailbox, RelayTo: cfg.Domains.Relay, Ask: ask, Local: local,
		RelayHost: cfg.RelayHost, Transports: cfg.Transports, Delimiter: cfg.Delimiter, Postmaster: cfg.Postmaster,
	})
	if err != nil {
		return nil, err
	}
	if s.templates, err = cfg.Bounce.templates(); err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "bounce.template_file")
	}
	s.gate = gate.New(s.routes, rcpts, s.trusted())
	return s, nil
}

func (s *state) trusted() []netip.Prefix {
	out := make([]netip.Prefix, len(s.cfg.Trusted))
	for i, n := range s.cfg.Trusted {
		out[i] = n.Prefix()
	}
	return out
}

// policy is what the rules of a listener are.
func (l Listener) policy() gate.Policy {
	switch {
	case l.Role == RoleMX:
		return gate.MX()
	case l.TLS == TLSNone:
		return gate.PlainSubmission()
	}
	return gate.Submission()
}
