package routing

import (
	"context"
	"os"
	"strings"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// LocalConfig says who delivers to names of domains.local that are no aliases,
// as the keys of local(8) do.
type LocalConfig struct {
	MailboxMaps      []string `yaml:"mailbox_transport_maps" reload:"true" example:"texthash:/etc/postcote/mailboxes" doc:"Tables with a transport:nexthop for some names of domains.local, asked by the bare name, once aliases and .forward files have been followed."`
	MailboxTransport string   `yaml:"mailbox_transport" reload:"true" example:"lmtp:unix:/run/cyrus/socket/lmtp" doc:"Transport for all other names of domains.local; empty is deliver.lmtp."`
	FallbackMaps     []string `yaml:"fallback_transport_maps" reload:"true" doc:"Tables with a transport:nexthop for names of domains.local that do not exist, by local_recipient_maps and exists_socket."`
	Fallback         string   `yaml:"fallback_transport" reload:"true" example:"lmtp:unix:/run/old/lmtp" doc:"Transport for all other names of domains.local that do not exist. With it, and with luser_relay, no name there is refused at RCPT, and what the transport refuses is returned."`
	LuserRelay       string   `yaml:"luser_relay" reload:"true" example:"admin+${local}@example.org" doc:"Address for the mail of names of domains.local that do not exist, where there is no fallback_transport. ${user}, ${extension}, ${local}, ${domain}, ${recipient} and ${recipient_delimiter} stand for parts of the address that mail was sent to."`
}

// Mailboxes finds the way to the mailbox of a name of a local domain. The
// caller has followed aliases and .forward files.
type Mailboxes struct {
	names  route.Names
	delims string
	usual  route.Hop // deliver.lmtp
	relay  string    // luser_relay

	mailbox, fallback choice
	exists            gate.Recipients // nil: every name does
}

// choice is a table of transports with a default.
type choice struct {
	key  string
	maps maps.Map
	hop  *route.Hop
}

// Way is where the mail of a name goes.
type Way struct {
	Hop     route.Hop
	Instead addr.Address // luser_relay: mail goes to this address; the null address for none
}

// Mailboxes builds it. exists knows the names; nil means that each exists.
// Errors: fail.Invalid.
func (c Config) Mailboxes(h Host, exists gate.Recipients) (*Mailboxes, error) {
	usual, err := route.ParseHop("lmtp:" + h.LMTP)
	if err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "deliver.lmtp")
	}
	m := &Mailboxes{names: c.names(h.LMTP), delims: h.Delimiter, usual: usual, relay: c.LuserRelay, exists: exists}
	m.mailbox, m.fallback = choice{key: "mailbox_transport"}, choice{key: "fallback_transport"}
	h.Tables.NoGroups = true
	for _, t := range []struct {
		into  *choice
		hop   string
		specs []string
	}{{&m.mailbox, c.MailboxTransport, c.MailboxMaps}, {&m.fallback, c.Fallback, c.FallbackMaps}} {
		if t.into.maps, err = maps.Open(t.into.key+"_maps", t.specs, h.Tables); err != nil {
			return nil, err
		}
		if t.hop == "" {
			continue
		}
		hop, err := m.hop(t.hop)
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "%s", t.into.key)
		}
		t.into.hop = &hop
	}
	if m.relay != "" {
		if _, err := m.instead(addr.Address{Local: "user", Domain: "example.org"}); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// hop reads a transport. It cannot be local again.
func (m *Mailboxes) hop(s string) (route.Hop, error) {
	hop, err := m.names.ParseHop(s)
	if err == nil && hop.Transport == route.LocalAgent {
		err = fail.New(fail.Invalid, "%q would come back here; name who delivers to the mailbox", s)
	}
	return hop, err
}

// Find is the way for a name. Errors: fail.Unavailable, or fail.Invalid for a
// value in a table that is no transport.
func (m *Mailboxes) Find(ctx context.Context, a addr.Address) (Way, error) {
	way, found, err := m.pick(ctx, m.mailbox, a)
	if found || err != nil {
		return way, err
	}
	if missing, err := m.missing(ctx, a); err != nil || !missing {
		return Way{Hop: m.usual}, err
	}
	if way, found, err = m.pick(ctx, m.fallback, a); found || err != nil {
		return way, err
	}
	if m.relay != "" {
		to, err := m.instead(a)
		if err == nil {
			explain.Say(ctx, func() explain.Step {
				return explain.Step{Key: "luser_relay", What: "does not exist", Input: a.String(), Result: to.String()}
			})
		}
		return Way{Instead: to}, err
	}
	return Way{Hop: m.usual}, nil
}

// missing reports whether a name is known not to exist; nobody is asked unless
// that makes a difference.
func (m *Mailboxes) missing(ctx context.Context, a addr.Address) (bool, error) {
	if m.exists == nil || m.fallback.hop == nil && m.fallback.maps.Empty() && m.relay == "" {
		return false, nil
	}
	switch err := m.exists.Exists(ctx, a); {
	case err == nil, fail.Is(err, fail.Full): // the delivery agent tells of a quota
		return false, nil
	case fail.Is(err, fail.NotFound):
		return true, nil
	default:
		return false, err
	}
}

// pick asks a table by the bare name, then takes the default.
func (m *Mailboxes) pick(ctx context.Context, c choice, a addr.Address) (way Way, found bool, err error) {
	if !c.maps.Empty() {
		user, _ := a.Split(m.delims)
		value, err := c.maps.Lookup(ctx, strings.ToLower(user))
		if err == nil {
			hop, err := m.hop(value)
			return Way{Hop: hop}, true, fail.Wrap(fail.KindOf(err), err, "%s", c.maps.Key)
		}
		if !fail.Is(err, fail.NotFound) {
			return way, false, err
		}
	}
	if c.hop == nil {
		return way, false, nil
	}
	explain.Say(ctx, func() explain.Step {
		return explain.Step{Key: c.key, What: "transport", Input: a.String(), Result: c.hop.String()}
	})
	return Way{Hop: *c.hop}, true, nil
}

// instead fills in luser_relay.
func (m *Mailboxes) instead(a addr.Address) (addr.Address, error) {
	user, extension := a.Split(m.delims)
	delimiter := ""
	if len(a.Local) > len(user) {
		delimiter = a.Local[len(user) : len(user)+1]
	}
	values := map[string]string{
		"user": user, "extension": extension, "recipient_delimiter": delimiter, "local": a.Local, "domain": a.Domain, "recipient": a.String(),
	}
	unknown := ""
	text := os.Expand(m.relay, func(name string) string {
		v, ok := values[name]
		if !ok {
			unknown = name
		}
		return v
	})
	if unknown != "" {
		return addr.Address{}, fail.New(fail.Invalid, "luser_relay: there is no ${%s} (user, extension, local, domain, recipient, recipient_delimiter)", unknown)
	}
	to, err := addr.Parse(text)
	if err == nil && (to.Null() || to.Domain == "") {
		err = fail.New(fail.Invalid, "it needs a domain")
	}
	return to, fail.Wrap(fail.Invalid, err, "luser_relay: %q is no address", text)
}

// Recipients are the names that are not refused: those that exist, and all for
// whom there is another way.
func (m *Mailboxes) Recipients() gate.Recipients {
	if m.exists == nil {
		return nil
	}
	return recipients{m}
}

type recipients struct{ m *Mailboxes }

// Exists implements gate.Recipients.
func (r recipients) Exists(ctx context.Context, a addr.Address) error {
	err := r.m.exists.Exists(ctx, a)
	if !fail.Is(err, fail.NotFound) {
		return err
	}
	if r.m.relay != "" {
		return nil
	}
	if _, found, perr := r.m.pick(ctx, r.m.fallback, a); found || perr != nil {
		return perr
	}
	return err
}
