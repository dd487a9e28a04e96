package drivers

import (
	"errors"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/sqldb"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// sql is databases by SQL.
func sql() []driver {
	return []driver{{
		name: "sql",
		passdb: func(b *builder, e *authconf.Passdb) (passdb.Driver, error) {
			d, err := b.sql(e.SQL)
			if err != nil {
				return nil, err
			}
			return d.Passdb(e.SQL.QueryConfig)
		},
		userdb: func(b *builder, e *authconf.Userdb) (userdb.Driver, error) {
			d, err := b.sql(e.SQL)
			if err != nil {
				return nil, err
			}
			return d.Userdb(e.SQL.QueryConfig)
		},
	}}
}

// sql opens the database that a section names, or the one of Dovecot's file.
func (b *builder) sql(s *authconf.SQL) (*sqldb.Databases, error) {
	if s == nil {
		return nil, fail.New(fail.Invalid, "the section sql is missing")
	}
	settings, name, configs := any(nil), s.Database, map[string]sqldb.DatabaseConfig{}
	if s.DovecotFile != "" {
		var err error
		if settings, err = fileSettings(s.DovecotFile); err != nil {
			return nil, err
		}
		name = s.DovecotFile
	} else {
		c, ok := b.cfg.Databases[name]
		if !ok {
			return nil, fail.New(fail.Invalid, "there is no entry %q in databases", name)
		}
		settings, configs[name] = []any{name, c}, c.Config
	}
	r, err := b.keep("sql", settings, func() (*resource, error) {
		d, err := sqldb.Open(configs, sqldb.Options{Notify: b.deps.HostDown, Now: b.deps.Now})
		if err != nil {
			return nil, err
		}
		return &resource{
			name: name, value: d, close: d.Close,
			health: func() error { return sqlHealth(d) },
			status: func() any { return d.Status() },
		}, nil
	})
	if err != nil {
		return nil, err
	}
	d, _ := r.value.(*sqldb.Databases)
	return d, nil
}

// sqlHealth is an error when no host of a database works, as far as is known.
func sqlHealth(d *sqldb.Databases) error {
	var errs []error
	for name, s := range d.Status() {
		up, why := len(s.Hosts) == 0, ""
		for _, h := range s.Hosts {
			up = up || h.Up
			why = h.Why
		}
		if !up {
			errs = append(errs, fail.New(fail.Unavailable, "database %s: %s", name, why))
		}
	}
	return errors.Join(errs...)
}
