package ldapdb

import (
	"context"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// name is Dovecot's name of the driver.
const name = "ldap"

// newPassdb makes the password database that c describes: a passdb.Verifier
// with auth_bind, otherwise a passdb.Lookuper. Errors: fail.Invalid.
func newPassdb(s *server, c Config) (passdb.Driver, error) {
	if c.AuthBind && c.AuthBindUserDN != "" {
		d, err := parseDN(c.AuthBindUserDN, true)
		if err == nil {
			err = known(d.text.Names())
		}
		if err != nil {
			return nil, err
		}
		return &templateBind{s, d}, nil
	}
	without := ""
	if c.AuthBind {
		without = "password"
	}
	attrs, err := parseMappings(c.PassAttrs, without)
	if err != nil {
		return nil, err
	}
	q, err := newSearch(s, c, c.PassFilter, attrs.ask)
	if err != nil {
		return nil, err
	}
	f := finder{q, attrs, c.DefaultPassScheme}
	if c.AuthBind {
		return &searchBind{f}, nil
	}
	return &lookup{f}, nil
}

// finder finds accounts.
type finder struct {
	search search
	attrs  mappings
	scheme string
}

// Variables is what an answer depends on.
func (f finder) Variables() []string { return f.search.variables(f.attrs.variables()) }

func (f finder) find(ctx context.Context, r *request.Request) (passdb.Account, *ldap.Entry, error) {
	e, err := f.search.user(ctx, r)
	if err != nil {
		return passdb.Account{}, nil, err
	}
	fields, err := f.attrs.fields(r, e)
	if err != nil {
		return passdb.Account{}, nil, fail.Wrap(fail.Unavailable, err, "entry %.200q", e.DN)
	}
	a, err := passdb.FromFields(r.User, f.scheme, fields)
	return a, e, err
}

// lookup reads stored passwords.
type lookup struct{ finder }

// Name is Dovecot's name of the driver.
func (*lookup) Name() string { return name }

// Lookup finds the user's entry.
func (l *lookup) Lookup(ctx context.Context, r *request.Request) (passdb.Account, error) {
	a, _, err := l.find(ctx, r)
	return a, err
}

// searchBind finds the entry, then binds as it.
type searchBind struct{ finder }

// Name is Dovecot's name of the driver.
func (*searchBind) Name() string { return name }

// Verify checks the password. The account has the fields of pass_attrs.
func (b *searchBind) Verify(ctx context.Context, r *request.Request, password string) (passdb.Account, error) {
	if password == "" {
		return passdb.Account{}, passdb.Refuse(name, passdb.Mismatch)
	}
	a, e, err := b.find(ctx, r)
	if err != nil {
		return passdb.Account{}, err
	}
	v, err := b.search.server.authenticate(ctx, e.DN, password)
	switch {
	case err != nil:
		return passdb.Account{}, err
	case v.gone: // found a moment ago, perhaps by another replica: nobody knows
		return passdb.Account{}, fail.New(fail.Unavailable, "entry %.200q vanished between search and bind", e.DN)
	case !v.right:
		return passdb.Account{}, v.refusal()
	}
	a.Stored, a.NoPassword = "", false
	return a, nil
}

// templateBind binds as a DN made of the user's name.
type templateBind struct {
	server *server
	dn     dn
}

// Name is Dovecot's name of the driver.
func (*templateBind) Name() string { return name }

// Variables is what an answer depends on.
func (b *templateBind) Variables() []string { return distinct(append(b.dn.text.Names(), "user")) }

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// Verify checks the password. The account has no fields.
func (b *templateBind) Verify(ctx context.Context, r *request.Request, password string) (passdb.Account, error) {
	if password == "" {
		return passdb.Account{}, passdb.Refuse(name, passdb.Mismatch)
	}
	if err := possible(r); err != nil {
		return passdb.Account{}, err
	}
	dn, err := b.dn.expand(r)
	if err != nil {
		return passdb.Account{}, err
	}
	v, err := b.server.authenticate(ctx, dn, password)
	switch {
	case err != nil:
		return passdb.Account{}, err
	case v.gone:
		return passdb.Account{}, fail.New(fail.NotFound, "no entry %.200q", dn)
	case !v.right:
		return passdb.Account{}, v.refusal()
	}
	return passdb.Account{User: r.User}, nil
}

// authenticate binds as dn. Neither part may be empty: servers take a bind
// without a password, or without a name, for an anonymous one and say yes to
// it (RFC 4513 section 5.1.2).
func (s *server) authenticate(ctx context.Context, dn, password string) (verdict, error) {
	if password == "" {
		return verdict{reason: passdb.Mismatch}, nil
	}
	if dn == "" {
		return verdict{}, s.outage(fail.New(fail.Unavailable, "there is no DN to bind as"))
	}
	var v verdict
	err := s.run(ctx, s.binding, s.cfg.BindTimeout.Std(), func(l *ldap.Conn) error {
		result, err := l.SimpleBind(ldap.NewSimpleBindRequest(dn, password, []ldap.Control{ldap.NewControlBeheraPasswordPolicy()}))
		v, err = judge(result, err)
		return err
	})
	if err != nil && answered(err) {
		err = s.outage(fail.Wrap(fail.Unavailable, err, "%.200q", dn))
	}
	return v, err
}
