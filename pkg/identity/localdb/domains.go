package localdb

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Class is what a domain is to us.
type Class string

// The classes.
const (
	Mailbox   Class = "mailbox" // has users, and aliases
	AliasOnly Class = "alias"   // has aliases only
	Relay     Class = "relay"   // another server has its users
)

// Classes lists them.
func Classes() []Class { return []Class{Mailbox, AliasOnly, Relay} }

// Domain is a row of domains.
type Domain struct {
	Name    string
	Class   Class
	Enabled bool // false: its mail is not ours, and its users cannot log in
	Created time.Time
	Users   int // in Domains only
	Aliases int // addresses; in Domains only
}

// Domain returns a domain whose mail is ours. One that is disabled is not
// found.
func (s *Store) Domain(ctx context.Context, name string) (d Domain, err error) {
	name = account.Domain(name)
	err = s.read(ctx, func(c *conn) error {
		err := c.query("SELECT name, class, enabled, created FROM domains WHERE name = ?1 AND enabled", func(row *sqlite3.Stmt) bool {
			d = scanDomain(row)
			return false
		}, name)
		if err == nil && d.Name == "" {
			err = missing(c, "domain %s is not ours", name)
		}
		return err
	})
	return d, err
}

func scanDomain(row *sqlite3.Stmt) Domain {
	return Domain{Name: row.ColumnText(0), Class: Class(row.ColumnText(1)), Enabled: row.ColumnBool(2), Created: time.Unix(row.ColumnInt64(3), 0)}
}

// Domains lists all, those that are disabled too.
func (s *Store) Domains(ctx context.Context) (list []Domain, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(`SELECT name, class, enabled, created, (SELECT count(*) FROM users u WHERE u.domain = d.name),
			(SELECT count(DISTINCT address) FROM aliases a WHERE a.domain = d.name) FROM domains d ORDER BY name`, func(row *sqlite3.Stmt) bool {
			d := scanDomain(row)
			d.Users, d.Aliases = row.ColumnInt(4), row.ColumnInt(5)
			list = append(list, d)
			return true
		})
	})
	return list, err
}

// AddDomain adds a domain.
func (s *Store) AddDomain(ctx context.Context, name string, class Class, enabled bool) error {
	canonical, err := addr.Domain(name)
	if err != nil {
		return fail.Wrap(fail.Invalid, err, "domain %.80q", name)
	}
	return s.write(ctx, func(c *conn) error {
		old, err := c.text("SELECT class FROM domains WHERE name = ?1", canonical)
		if err != nil {
			return err
		}
		if old != "" {
			return object(fail.Exists, "domain %s exists already, of class %s", canonical, old)
		}
		return c.run("INSERT INTO domains(name, class, enabled, created) VALUES (?1, ?2, ?3, ?4)", canonical, string(class), enabled, s.now())
	})
}

// domainFor makes sure that users can be of domain; "" is for names without
// one.
func (c *conn) domainFor(domain string, now int64) error {
	if domain == "" {
		return nil
	}
	if _, err := addr.Domain(domain); err != nil {
		return asObject(fail.Wrap(fail.Invalid, err, "domain %.80q", domain))
	}
	class, err := c.text("SELECT class FROM domains WHERE name = ?1", domain)
	switch {
	case err != nil:
		return err
	case class == "":
		return c.run("INSERT INTO domains(name, class, created) VALUES (?1, ?2, ?3)", domain, string(Mailbox), now)
	case Class(class) != Mailbox:
		return object(fail.Invalid, "domain %s is of class %s, which has no users", domain, class)
	}
	return nil
}

// EnableDomain takes a domain's mail and logins, or not.
func (s *Store) EnableDomain(ctx context.Context, name string, enabled bool) error {
	name = account.Domain(name)
	return s.write(ctx, func(c *conn) error {
		done, err := c.change("UPDATE domains SET enabled = ?2 WHERE name = ?1", name, enabled)
		if err == nil && !done {
			err = object(fail.NotFound, "no domain %s", name)
		}
		return err
	})
}

// DeleteDomain removes a domain that has neither users nor aliases.
func (s *Store) DeleteDomain(ctx context.Context, name string) error {
	name = account.Domain(name)
	return s.write(ctx, func(c *conn) error {
		users, err := c.number("SELECT count(*) FROM users WHERE domain = ?1", name)
		if err != nil {
			return err
		}
		aliases, err := c.number("SELECT count(DISTINCT address) FROM aliases WHERE domain = ?1", name)
		if err != nil {
			return err
		}
		if users+aliases > 0 {
			return object(fail.Invalid, "domain %s has %d users and %d aliases: delete those first, or disable the domain", name, users, aliases)
		}
		done, err := c.change("DELETE FROM domains WHERE name = ?1", name)
		if err == nil && !done {
			err = object(fail.NotFound, "no domain %s", name)
		}
		return err
	})
}
