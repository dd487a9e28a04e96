package drivers

import (
	"errors"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/ldapdb"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// ldap is directories.
func ldap() []driver {
	return []driver{{
		name: "ldap",
		passdb: func(b *builder, e *authconf.Passdb) (passdb.Driver, error) {
			s, err := b.ldap(e.LDAP)
			if err != nil {
				return nil, err
			}
			return s.Passdb(e.LDAP.Config)
		},
		userdb: func(b *builder, e *authconf.Userdb) (userdb.Driver, error) {
			s, err := b.ldap(e.LDAP)
			if err != nil {
				return nil, err
			}
			return s.Userdb(e.LDAP.Config)
		},
	}}
}

// ldap opens the directory that a section names, or the one of Dovecot's file.
func (b *builder) ldap(s *authconf.LDAP) (*ldapdb.Servers, error) {
	if s == nil {
		return nil, fail.New(fail.Invalid, "the section ldap is missing")
	}
	settings, name, configs := any(nil), s.Database, map[string]ldapdb.ServerConfig{}
	if s.DovecotFile != "" {
		var err error
		if settings, err = fileSettings(s.DovecotFile); err != nil {
			return nil, err
		}
		name = s.DovecotFile
	} else {
		c, ok := b.cfg.Databases[name]
		if !ok || c.LDAP == nil {
			return nil, fail.New(fail.Invalid, "there is no directory %q in databases", name)
		}
		settings, configs[name] = []any{name, c.LDAP}, *c.LDAP
	}
	r, err := b.keep("ldap", settings, func() (*resource, error) {
		d, err := ldapdb.Open(configs, ldapdb.Options{Notify: b.deps.HostDown, Now: b.deps.Now})
		if err != nil {
			return nil, err
		}
		return &resource{
			name: name, value: d, close: d.Close,
			health: func() error { return ldapHealth(d) },
			status: func() any { return d.Status() },
			notes:  d.Notes,
		}, nil
	})
	if err != nil {
		return nil, err
	}
	d, _ := r.value.(*ldapdb.Servers)
	return d, nil
}

// ldapHealth is an error when no URI of a directory works, as far as is known.
func ldapHealth(d *ldapdb.Servers) error {
	var errs []error
	for name, s := range d.Status() {
		up, why := len(s.URIs) == 0, ""
		for _, u := range s.URIs {
			up = up || u.Up
			why = u.Why
		}
		if !up {
			errs = append(errs, fail.New(fail.Unavailable, "directory %s: %s", name, why))
		}
	}
	return errors.Join(errs...)
}
