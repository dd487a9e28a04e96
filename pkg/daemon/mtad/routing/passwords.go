package routing

import (
	"context"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Passwords finds our logins at other hosts.
type Passwords struct {
	relay     route.Hop
	atRelay   *remote.Credentials
	transport map[string]*remote.Credentials
	table     maps.Map
	delims    string
}

// Logins reads the files with credentials, and opens the tables. relay is the
// file for relayhost.
func (c Config) Logins(relay conf.SecretFile, delims string, o lookup.Options) (*Passwords, error) {
	p := &Passwords{transport: map[string]*remote.Credentials{}, delims: delims}
	var err error
	if p.table, err = maps.Open("password_maps", c.PasswordMaps, o); err != nil {
		return nil, err
	}
	p.table.Secret = true
	if p.relay, err = route.ParseRelayHost(c.RelayHost); err != nil {
		return nil, err
	}
	if p.atRelay, err = fromFile(relay); err != nil {
		return nil, err
	}
	for name, t := range c.Transports {
		if p.transport[name], err = fromFile(t.Credentials); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func fromFile(file conf.SecretFile) (*remote.Credentials, error) {
	if file == "" {
		return nil, nil
	}
	secret, err := file.Read()
	if err != nil {
		return nil, err
	}
	return parseLogin(string(file), secret)
}

// parseLogin reads user:password. The text stays out of the error.
func parseLogin(where, text string) (*remote.Credentials, error) {
	user, password, ok := strings.Cut(strings.TrimSpace(text), ":")
	if !ok || user == "" || password == "" {
		return nil, fail.New(fail.Invalid, "%s: want user:password in one line", where)
	}
	return &remote.Credentials{User: user, Password: password}, nil
}

// For is the login for mail of sender at a host of hop, which is a mail
// exchanger, or the host that hop names; nil for none.
func (p *Passwords) For(ctx context.Context, sender addr.Address, hop route.Hop, host string) (*remote.Credentials, error) {
	if c := p.transport[hop.Name]; c != nil {
		return c, nil
	}
	bare := hop
	bare.Name = ""
	if p.atRelay != nil && slices.Contains(p.relay.Each(), bare) {
		return p.atRelay, nil
	}
	if p.table.Empty() || hop.Transport != route.SMTP {
		return nil, nil
	}
	value, err := p.lookup(ctx, sender, hop, host)
	switch {
	case fail.Is(err, fail.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return parseLogin("password_maps", value)
}

// lookup asks in Postfix's order: the host comes before the next hop.
func (p *Passwords) lookup(ctx context.Context, sender addr.Address, hop route.Hop, host string) (string, error) {
	if !sender.Null() {
		found, err := p.table.Find(ctx, sender, maps.Query{Delims: p.delims})
		if err == nil || !fail.Is(err, fail.NotFound) {
			return found.Value, err
		}
	}
	value, err := p.table.Lookup(ctx, host)
	if fail.Is(err, fail.NotFound) && hop.Next() != host {
		value, err = p.table.Lookup(ctx, hop.Next())
	}
	return value, err
}
