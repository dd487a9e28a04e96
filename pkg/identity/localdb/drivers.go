package localdb

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Passdb is the store as a passdb.Driver and Lookuper.
type Passdb struct{ s *Store }

// Userdb is the store as a userdb.Driver, Lister, DomainFinder and Addresses.
type Userdb struct{ s *Store }

// Passdb is the store's side that knows passwords.
func (s *Store) Passdb() Passdb { return Passdb{s} }

// Userdb is the store's side that knows where mail is.
func (s *Store) Userdb() Userdb { return Userdb{s} }

// Name is the driver's, for the log.
func (Passdb) Name() string { return driverName }

// Name is the driver's, for the log.
func (Userdb) Name() string { return driverName }

// Lookup returns r.User's account with the app passwords that count for
// r.Service at this moment. The main password is left out where the
// configuration wants app passwords only.
func (p Passdb) Lookup(ctx context.Context, r *request.Request) (passdb.Account, error) {
	var a passdb.Account
	name := r.User
	err := p.s.read(ctx, func(c *conn) error {
		u, err := c.user(name)
		if err != nil {
			return err
		}
		fields := append([]account.Field{{Key: "password", Value: u.Stored}}, u.Fields...)
		if a, err = passdb.FromFields(u.Address, "", fields); err != nil {
			return err
		}
		a.Disabled = !u.Enabled || !u.domainEnabled
		return p.s.addAlternatives(c, &a, u.Address, r)
	})
	return a, err
}

// rehashPause is how long after a change of the password a better hash of the
// old one could still arrive.
const rehashPause = 5 * 60

// SetPassword stores r.User's password in another form, after a login with it.
// The password itself stays the same, so when it was changed stays too. It is
// left alone when it was changed moments ago, because the login may have begun
// before; the next login stores it.
func (p Passdb) SetPassword(ctx context.Context, r *request.Request, stored string) error {
	name := r.User
	return p.s.write(ctx, func(c *conn) error {
		return c.run("UPDATE users SET password = ?2 WHERE address = ?1 AND password <> '' AND password_changed < ?3",
			name, stored, p.s.now()-rehashPause)
	})
}

// Lookup finds r.User.
func (u Userdb) Lookup(ctx context.Context, r *request.Request) (userdb.Record, error) {
	var rec userdb.Record
	name := r.User
	err := u.s.read(ctx, func(c *conn) error {
		found, err := c.user(name)
		if err != nil {
			return err
		}
		rec, err = u.s.record(found)
		return err
	})
	return rec, err
}

// record is a user as the userdb tells it. Fields of the user win over its
// columns, and both over the defaults.
func (s *Store) record(u User) (userdb.Record, error) {
	r := userdb.Record{User: u.Address, UID: -1, GID: -1}
	if rule := u.Quota.rule(); rule != "" {
		r.Fields = append(r.Fields, account.Field{Key: "quota_rule", Value: rule})
	}
	own, err := userdb.FromFields(u.Address, userdbFields(u.Fields))
	if err != nil {
		return r, err
	}
	for _, f := range own.Fields {
		r.Fields = setField(r.Fields, f)
	}
	d := s.opt.Defaults
	r.UID, r.GID = firstID(own.UID, u.UID, d.UID), firstID(own.GID, u.GID, d.GID)
	if r.Home = own.Home; r.Home == "" {
		r.Home = u.Home
	}
	if r.Home == "" && !d.Home.Empty() {
		if r.Home, err = d.Home.ExpandPath(u.Address); err != nil {
			return r, err
		}
	}
	if err := account.CheckHome(r.Home); err != nil {
		return r, fail.Wrap(fail.Unavailable, err, "user %s", u.Address)
	}
	for _, f := range d.Fields {
		if !slices.ContainsFunc(r.Fields, func(x account.Field) bool { return x.Key == f.Key }) {
			r.Fields = append(r.Fields, f)
		}
	}
	return r, nil
}

func firstID(ids ...int) int {
	for _, id := range ids {
		if id > 0 {
			return id
		}
	}
	return -1
}

func setField(fs []account.Field, f account.Field) []account.Field {
	for i := range fs {
		if fs[i].Key == f.Key {
			fs[i] = f
			return fs
		}
	}
	return append(fs, f)
}

// listPage is how many names List reads at a time. Between two pages no
// transaction is open, however slow the reader is.
const listPage = 1000

// List yields the names in their order.
func (u Userdb) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		after := ""
		for {
			page, err := u.s.names(ctx, after)
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range page {
				if !yield(name, nil) {
					return
				}
			}
			if len(page) < listPage {
				return
			}
			after = page[len(page)-1]
		}
	}
}

func (s *Store) names(ctx context.Context, after string) (page []string, err error) {
	err = s.read(ctx, func(c *conn) error {
		page = page[:0]
		return c.query("SELECT address FROM users WHERE address > ?1 ORDER BY address LIMIT ?2", func(row *sqlite3.Stmt) bool {
			page = append(page, row.ColumnText(0))
			return true
		}, after, listPage)
	})
	return page, err
}

// HasDomain reports whether domain has users or aliases here.
func (u Userdb) HasDomain(ctx context.Context, domain string) (bool, error) {
	return u.isClass(ctx, domain, func(c Class) bool { return c != Relay })
}

// IsRelay reports whether another server has the users of domain, and we take
// its mail.
func (u Userdb) IsRelay(ctx context.Context, domain string) (bool, error) {
	return u.isClass(ctx, domain, func(c Class) bool { return c == Relay })
}

func (u Userdb) isClass(ctx context.Context, domain string, is func(Class) bool) (bool, error) {
	d, err := u.s.Domain(ctx, domain)
	if fail.Is(err, fail.NotFound) {
		return false, nil
	}
	return err == nil && is(d.Class), err
}

// Aliases is Store.Aliases.
func (u Userdb) Aliases(ctx context.Context, address string) ([]string, error) {
	return u.s.Aliases(ctx, address)
}

// Senders is Store.Senders.
func (u Userdb) Senders(ctx context.Context, address string) ([]string, error) {
	return u.s.Senders(ctx, address)
}

// rule is Dovecot's quota_rule, empty when there is no limit.
func (q Quota) rule() string {
	if q == (Quota{}) {
		return ""
	}
	rule := "*"
	if q.Storage > 0 {
		rule += ":bytes=" + strconv.FormatInt(q.Storage, 10)
	}
	if q.Messages > 0 {
		rule += ":messages=" + strconv.FormatInt(q.Messages, 10)
	}
	return rule
}

// The column users.fields is a JSON object of extra fields by Dovecot's names,
// those for the userdb with the prefix userdb_: a string is a value, true a
// key alone.

func decodeFields(text string) ([]account.Field, error) {
	if text == "{}" {
		return nil, nil
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "column fields")
	}
	var fs []account.Field
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch v := m[key].(type) {
		case string:
			fs = append(fs, account.Field{Key: key, Value: v})
		case bool:
			if v {
				fs = append(fs, account.Field{Key: key, Flag: true})
			}
		default:
			return nil, fail.New(fail.Unavailable, "column fields: %s is neither a text nor true", key)
		}
	}
	return fs, nil
}

func encodeFields(fs []account.Field) (string, error) {
	m := make(map[string]any, len(fs))
	for _, f := range fs {
		if f.Flag {
			m[f.Key] = true
		} else {
			m[f.Key] = f.Value
		}
	}
	text, err := json.Marshal(m)
	return string(text), err
}
