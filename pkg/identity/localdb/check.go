package localdb

import (
	"context"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/apppassword"
)

// maxProblems caps a report.
const maxProblems = 100

// Facts are what a check found out.
type Facts struct {
	Version      int // of the format
	Domains      int
	Users        int
	Aliases      int // addresses
	AppPasswords int
	Problems     []string // none: the store is well
}

// Check reads the whole store: SQLite's own check of pages and indexes, and
// ours of what the rows say. The error is one of a store that cannot be read.
func (s *Store) Check(ctx context.Context) (f Facts, err error) {
	err = s.read(ctx, func(c *conn) error {
		f, err = c.facts()
		return err
	})
	return f, err
}

func (c *conn) facts() (f Facts, err error) {
	for _, q := range []struct {
		sql string
		to  *int
	}{
		{"PRAGMA user_version", &f.Version},
		{"SELECT count(*) FROM domains", &f.Domains},
		{"SELECT count(*) FROM users", &f.Users},
		{"SELECT count(DISTINCT address) FROM aliases", &f.Aliases},
		{"SELECT count(*) FROM app_passwords", &f.AppPasswords},
	} {
		n, err := c.number(q.sql)
		if err != nil {
			return f, err
		}
		*q.to = int(n)
	}
	if err := c.checkPages(&f); err != nil {
		return f, err
	}
	return f, c.checkRows(&f)
}

func (f *Facts) problem(format string, args ...any) bool {
	if len(f.Problems) < maxProblems {
		f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
	}
	return len(f.Problems) < maxProblems
}

func (c *conn) checkPages(f *Facts) error {
	err := c.query("PRAGMA integrity_check(100)", func(row *sqlite3.Stmt) bool {
		if text := row.ColumnText(0); text != "ok" {
			return f.problem("%s", text)
		}
		return true
	})
	if err != nil {
		return err
	}
	return c.query("PRAGMA foreign_key_check", func(row *sqlite3.Stmt) bool {
		return f.problem("%s: row %d belongs to a row of %s that is missing", row.ColumnText(0), row.ColumnInt64(1), row.ColumnText(2))
	})
}

// checkRows looks for what other programs may have written.
func (c *conn) checkRows(f *Facts) error {
	err := c.query("SELECT "+userColumns+userTables+"ORDER BY u.address", func(row *sqlite3.Stmt) bool {
		u, err := scanUser(row)
		if err == nil {
			err = u.check()
		}
		switch {
		case err != nil:
			return f.problem("%v", err)
		case u.Address != account.Canonical(u.Address):
			return f.problem("user %s is not in canonical form (%s) and is never found", u.Address, account.Canonical(u.Address))
		}
		return true
	})
	if err != nil {
		return err
	}
	err = c.query("SELECT user, name, stored, scopes FROM app_passwords", func(row *sqlite3.Stmt) bool {
		_, err := apppassword.ParseDigest(row.ColumnText(2))
		if err == nil {
			_, err = apppassword.ParseScopes(row.ColumnText(3))
		}
		if err != nil {
			return f.problem("user %s: app password %s: %v", row.ColumnText(0), row.ColumnText(1), err)
		}
		return true
	})
	if err != nil {
		return err
	}
	return c.query(`SELECT address, target FROM aliases a JOIN domains d ON d.name = substr(target, instr(target, '@') + 1) AND d.class <> 'relay'
		WHERE NOT EXISTS (SELECT 1 FROM users WHERE address = target) AND NOT EXISTS (SELECT 1 FROM aliases b WHERE b.address = a.target)`, func(row *sqlite3.Stmt) bool {
		return f.problem("alias %s leads to %s, who is no user of ours", row.ColumnText(0), row.ColumnText(1))
	})
}
