package localdb

import (
	"context"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxTargets caps the targets of one alias; a larger list is a mailing list.
const maxTargets = 1000

// Alias is a row of aliases: what one target has to do with an address. An
// address "@example.org" stands for all of the domain that are not named.
type Alias struct {
	Address string
	Target  string
	Deliver bool // mail for Address goes to Target
	Send    bool // the user Target may send as Address
	Created time.Time
}

// Aliases returns where mail for address goes. As Postfix asks for
// "@example.org" after the address itself, a user of a domain that has such an
// alias is an alias of itself.
func (s *Store) Aliases(ctx context.Context, address string) (targets []string, err error) {
	address = account.Canonical(address)
	err = s.read(ctx, func(c *conn) error {
		if err := c.domainOn(address); err != nil {
			return err
		}
		targets, err = c.column(`SELECT target FROM aliases WHERE address = ?1 AND deliver
			UNION SELECT u.address FROM users u WHERE u.address = ?1 AND NOT EXISTS (SELECT 1 FROM aliases WHERE address = ?1 AND deliver)
				AND EXISTS (SELECT 1 FROM aliases WHERE address = '@' || u.domain AND deliver)
			ORDER BY 1`, address)
		if err == nil && len(targets) == 0 {
			err = missing(c, "no alias %s", address)
		}
		return err
	})
	return targets, err
}

// Senders returns who may send as address, by the names they log in with: the
// user of that address, and those whom an alias of it, or of its whole domain,
// permits it.
func (s *Store) Senders(ctx context.Context, address string) (logins []string, err error) {
	address = account.Canonical(address)
	_, domain := account.Split(address)
	err = s.read(ctx, func(c *conn) error {
		if err := c.domainOn(address); err != nil {
			return err
		}
		logins, err = c.column(`SELECT address FROM users WHERE address = ?1
			UNION SELECT target FROM aliases WHERE address IN (?1, ?2) AND send ORDER BY 1`, address, "@"+domain)
		if err == nil && len(logins) == 0 {
			err = missing(c, "nobody may send as %s", address)
		}
		return err
	})
	return logins, err
}

// domainOn fails when address is of a domain that is disabled.
func (c *conn) domainOn(address string) error {
	_, domain := account.Split(address)
	off, err := c.number("SELECT EXISTS (SELECT 1 FROM domains WHERE name = ?1 AND NOT enabled)", domain)
	if err == nil && off != 0 {
		err = object(fail.NotFound, "domain %s is disabled", domain)
	}
	return err
}

// column is the first column of all rows.
func (c *conn) column(sql string, args ...any) (values []string, err error) {
	err = c.query(sql, func(row *sqlite3.Stmt) bool {
		values = append(values, row.ColumnText(0))
		return true
	}, args...)
	return values, err
}

// AllAliases lists the aliases of address, all when it is empty.
func (s *Store) AllAliases(ctx context.Context, address string) (list []Alias, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		if address == "" {
			list, err = c.aliases("")
			return err
		}
		list, err = c.aliases("WHERE address = ?1", account.Canonical(address))
		return err
	})
	return list, err
}

// aliases finds rows; where is one of few constants.
func (c *conn) aliases(where string, args ...any) (list []Alias, err error) {
	err = c.query("SELECT address, target, deliver, send, created FROM aliases "+where+" ORDER BY address, target", func(row *sqlite3.Stmt) bool {
		list = append(list, Alias{
			row.ColumnText(0), row.ColumnText(1), row.ColumnBool(2), row.ColumnBool(3), time.Unix(row.ColumnInt64(4), 0),
		})
		return true
	}, args...)
	return list, err
}

// AddAlias leads address to targets: mail goes there if deliver, and they may
// send as address if send. What was said of a target before still holds.
func (s *Store) AddAlias(ctx context.Context, address string, targets []string, deliver, send bool) error {
	address = account.Canonical(address)
	if err := checkAlias(address, targets, deliver, send); err != nil {
		return s.explain(err)
	}
	_, domain := account.Split(address)
	return s.write(ctx, func(c *conn) error {
		known, err := c.number("SELECT count(*) FROM domains WHERE name = ?1", domain)
		if err == nil && known == 0 {
			err = object(fail.NotFound, "domain %s is not ours: add it first (authd domain add)", domain)
		}
		if err != nil {
			return err
		}
		for _, target := range targets {
			if target, err = c.target(target, send); err != nil {
				return err
			}
			if err := c.run(`INSERT INTO aliases(address, target, domain, deliver, send, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
				ON CONFLICT DO UPDATE SET deliver = deliver OR excluded.deliver, send = send OR excluded.send`,
				address, target, domain, deliver, send, s.now()); err != nil {
				return err
			}
		}
		n, err := c.number("SELECT count(*) FROM aliases WHERE address = ?1", address)
		if err == nil && n > maxTargets {
			err = object(fail.Invalid, "alias %s would have more than %d targets", address, maxTargets)
		}
		return err
	})
}

func checkAlias(address string, targets []string, deliver, send bool) error {
	if err := checkAddress(address); err != nil {
		return err
	}
	local, domain := account.Split(address)
	switch {
	case domain == "":
		return object(fail.Invalid, "alias %s has no domain", address)
	case !deliver && !send:
		return object(fail.Invalid, "alias %s would neither take mail nor permit to send", address)
	case len(targets) == 0:
		return object(fail.Invalid, "alias %s has no target", address)
	case strings.Contains(local, "@"):
		return object(fail.Invalid, "alias %s has two @", address)
	}
	return nil
}

// target is the canonical form of a target. One of our own must exist, and
// only a user of ours can send.
func (c *conn) target(name string, send bool) (string, error) {
	if !strings.Contains(name, "@") { // a user without a domain
		name = account.Canonical(name)
		return name, c.mustExist(name, send)
	}
	a, err := addr.Parse(name)
	if err != nil {
		return "", asObject(fail.Wrap(fail.Invalid, err, "target %.80q", name))
	}
	ours, err := c.number("SELECT count(*) FROM domains WHERE name = ?1 AND class <> ?2", a.Domain, string(Relay))
	switch {
	case err != nil:
		return "", err
	case ours == 0 && send:
		return "", object(fail.Invalid, "%s is no user of ours, so it cannot send as another", name)
	case ours == 0:
		return a.String(), nil
	}
	name = account.Canonical(name)
	return name, c.mustExist(name, send)
}

func (c *conn) mustExist(name string, user bool) error {
	sql := "SELECT EXISTS (SELECT 1 FROM users WHERE address = ?1) OR EXISTS (SELECT 1 FROM aliases WHERE address = ?1)"
	if user {
		sql = "SELECT EXISTS (SELECT 1 FROM users WHERE address = ?1)"
	}
	n, err := c.number(sql, name)
	if err == nil && n == 0 {
		err = object(fail.NotFound, "target %s is no user of ours", name)
	}
	return err
}

// DeleteAlias removes the named targets of an alias, all when none are named.
func (s *Store) DeleteAlias(ctx context.Context, address string, targets []string) error {
	address = account.Canonical(address)
	return s.write(ctx, func(c *conn) error {
		if len(targets) == 0 {
			done, err := c.change("DELETE FROM aliases WHERE address = ?1", address)
			if err == nil && !done {
				err = object(fail.NotFound, "no alias %s", address)
			}
			return err
		}
		for _, target := range targets {
			done, err := c.change("DELETE FROM aliases WHERE address = ?1 AND lower(target) = lower(?2)", address, target)
			if err == nil && !done {
				err = object(fail.NotFound, "no alias %s to %s", address, target)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
