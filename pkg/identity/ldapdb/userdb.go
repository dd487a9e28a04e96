package ldapdb

import (
	"context"
	"iter"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
)

// Userdb is a user database in LDAP.
type Userdb struct {
	server *server
	user   search
	attrs  mappings
	all    search
	names  mappings
	addresses
}

// newUserdb makes the user database that c describes. Errors: fail.Invalid.
func newUserdb(s *server, c Config) (*Userdb, error) {
	u := &Userdb{server: s}
	var err error
	if u.attrs, err = parseMappings(c.UserAttrs, ""); err != nil {
		return nil, err
	}
	if u.user, err = newSearch(s, c, c.UserFilter, u.attrs.ask); err != nil {
		return nil, err
	}
	if u.names, err = parseMappings(c.IterateAttrs, ""); err != nil {
		return nil, err
	}
	if u.all, err = newSearch(s, c, c.IterateFilter, u.names.ask); err != nil {
		return nil, err
	}
	if u.addresses, err = newAddresses(s, c); err != nil {
		return nil, err
	}
	return u, nil
}

// Name is Dovecot's name of the driver.
func (*Userdb) Name() string { return name }

// Variables is what a record depends on.
func (u *Userdb) Variables() []string { return u.user.variables(u.attrs.variables()) }

// Lookup finds the user's entry.
func (u *Userdb) Lookup(ctx context.Context, r *request.Request) (userdb.Record, error) {
	e, err := u.user.user(ctx, r)
	if err != nil {
		return userdb.Record{}, err
	}
	fields, err := u.attrs.fields(r, e)
	if err != nil {
		return userdb.Record{}, fail.Wrap(fail.Unavailable, err, "entry %.200q", e.DN)
	}
	return userdb.FromFields(r.User, fields)
}

// pageSize is how many entries a listing asks for at a time. Servers cap it at
// 500 (OpenLDAP) or 1000 (Active Directory) by default.
const pageSize = 500

// List yields the names of all entries that iterate_filter finds, page by page
// (RFC 2696). It has a connection of its own, so lookups go on meanwhile.
func (u *Userdb) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		select {
		case u.server.listing <- struct{}{}:
			defer func() { <-u.server.listing }()
		case <-ctx.Done():
			yield("", u.server.outage(ctx.Err()))
			return
		}
		if err := u.list(ctx, func(name string) bool { return yield(name, nil) }); err != nil {
			yield("", err)
		}
	}
}

func (u *Userdb) list(ctx context.Context, yield func(string) bool) error {
	request, err := u.all.request(new(request.Request))
	if err != nil {
		return err
	}
	c, err := u.server.connect(ctx, true)
	if err != nil {
		return u.server.outage(err)
	}
	dead := false
	defer func() { c.close(dead) }()
	page := ldap.NewControlPaging(pageSize)
	request.Controls = []ldap.Control{page}
	for {
		var result *ldap.SearchResult
		dead, err = u.server.attempt(ctx, c, u.server.cfg.SearchTimeout.Std(), ldapwire.MaxPage, func(l *ldap.Conn) error {
			var err error
			result, err = l.Search(request)
			return err
		})
		if dead {
			return u.server.outage(err)
		}
		if err != nil {
			return u.all.failure(request, err)
		}
		if len(result.Referrals) > 0 && !u.all.ignoreRefs {
			return u.server.outage(fail.New(fail.Unavailable,
				"the listing met a reference to %.200q, which is not followed (if no users are there, set ignore_references)", result.Referrals[0]))
		}
		if done, err := u.page(result.Entries, yield); done || err != nil {
			return err
		}
		next, _ := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if next == nil || len(next.Cookie) == 0 {
			return nil
		}
		page.SetCookie(next.Cookie)
	}
}

// page yields the names of one page; done means that nobody wants more.
func (u *Userdb) page(entries []*ldap.Entry, yield func(string) bool) (done bool, err error) {
	for _, e := range entries {
		names, err := u.names.names(e)
		if err != nil {
			return false, u.server.outage(err)
		}
		for _, n := range names {
			if n != "" && !yield(account.Canonical(n)) {
				return true, nil
			}
		}
	}
	return false, nil
}
