package drivers

import (
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/static"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Deps is what drivers need of the daemon.
type Deps struct {
	Now func() time.Time
	// Exists asks the password databases whether there is a user.
	Exists static.Exists
	// UsersRead is told of each passwd-file that was read.
	UsersRead func(path string, s *passwdfile.Snapshot)
	// HostDown is told when a server of a database goes down, and with a nil
	// why when it is back.
	HostDown func(database, host string, why error)
	// Report takes faults that cost nobody anything.
	Report func(error)
	// Dry makes databases that only show whether their settings will do.
	Dry bool
}

// driver is a row of the table. A side that it does not have is nil.
type driver struct {
	name   string
	passdb func(b *builder, e *authconf.Passdb) (passdb.Driver, error)
	userdb func(b *builder, e *authconf.Userdb) (userdb.Driver, error)
}

// table lists the drivers by families.
func table() []driver {
	var all []driver
	for _, family := range [][]driver{files(), sql(), ldap(), tokens(), system(), simple()} {
		all = append(all, family...)
	}
	return all
}

func find(name string) (driver, error) {
	for _, d := range table() {
		if d.name == name {
			return d, nil
		}
	}
	return driver{}, fail.New(fail.Invalid, "there is no driver %q", name)
}

// Set is the databases of one configuration.
type Set struct {
	Passdb []passdb.Entry
	Userdb []userdb.Entry
	kept   map[string]*resource
}

// builder makes a Set.
type builder struct {
	cfg  *authconf.Config
	deps Deps
	old  *Set
	set  *Set
}

// Build makes the databases of cfg. What old, which may be nil, holds with the
// same settings is taken over. Errors are fail.Invalid, or what reading a file
// that the configuration names led to.
func Build(cfg *authconf.Config, old *Set, deps Deps) (*Set, error) {
	b := &builder{cfg: cfg, deps: deps, old: old, set: &Set{kept: map[string]*resource{}}}
	for i := range cfg.Passdb {
		e, err := b.passdb(&cfg.Passdb[i])
		if err != nil {
			b.set.CloseUnless(old)
			return nil, fail.Wrap(fail.Invalid, err, "passdb[%d]", i)
		}
		b.set.Passdb = append(b.set.Passdb, e)
	}
	for i := range cfg.Userdb {
		e, err := b.userdb(&cfg.Userdb[i])
		if err != nil {
			b.set.CloseUnless(old)
			return nil, fail.Wrap(fail.Invalid, err, "userdb[%d]", i)
		}
		b.set.Userdb = append(b.set.Userdb, e)
	}
	return b.set, nil
}

func (b *builder) passdb(c *authconf.Passdb) (passdb.Entry, error) {
	d, err := find(c.Driver)
	if err == nil && d.passdb == nil {
		err = fail.New(fail.Invalid, "driver %s knows no passwords", c.Driver)
	}
	if err != nil {
		return passdb.Entry{}, err
	}
	e := passdb.Entry{
		Match: c.Match(), Rules: c.Rules(), Deny: c.Deny, Master: c.Master, Skip: passSkip(c.Skip), Verbose: verbose(c.AuthVerbose),
		ID: b.id("passdb", c.Driver, c.PassSections, dovecotFile(c.SQL, c.LDAP)),
	}
	if e.Driver, err = d.passdb(b, c); err != nil {
		return e, err
	}
	e.Name = nameOf(c.Name, e.Driver.Name())
	e.Default, e.Override, err = fields(&c.Entry)
	return e, err
}

func (b *builder) userdb(c *authconf.Userdb) (userdb.Entry, error) {
	d, err := find(c.Driver)
	if err == nil && d.userdb == nil {
		err = fail.New(fail.Invalid, "driver %s knows no users", c.Driver)
	}
	if err != nil {
		return userdb.Entry{}, err
	}
	e := userdb.Entry{
		Match: c.Match(), Rules: c.Rules(), Skip: userSkip(c.Skip), ID: b.id("userdb", c.Driver, c.UserSections, dovecotFile(c.SQL, c.LDAP)),
	}
	if e.Driver, err = d.userdb(b, c); err != nil {
		return e, err
	}
	e.Name = nameOf(c.Name, e.Driver.Name())
	e.Default, e.Override, err = fields(&c.Entry)
	return e, err
}

func nameOf(configured, driver string) string {
	if configured != "" {
		return configured
	}
	return driver
}

func fields(c *authconf.Entry) (defaults, override request.Fields, err error) {
	if defaults, err = request.ParseFields(c.DefaultFields); err != nil {
		return nil, nil, fail.Wrap(fail.Invalid, err, "default_fields")
	}
	override, err = request.ParseFields(c.OverrideFields)
	return defaults, override, fail.Wrap(fail.Invalid, err, "override_fields")
}

func passSkip(text string) passdb.Skip {
	switch text {
	case "authenticated":
		return passdb.SkipAuthenticated
	case "unauthenticated":
		return passdb.SkipUnauthenticated
	}
	return passdb.SkipNever
}

func userSkip(text string) userdb.Skip {
	switch text {
	case "found":
		return userdb.SkipFound
	case "notfound":
		return userdb.SkipNotFound
	}
	return userdb.SkipNever
}

func verbose(text string) passdb.Verbose {
	switch text {
	case "yes":
		return passdb.VerboseAlways
	case "no":
		return passdb.VerboseNever
	}
	return passdb.VerboseRefused
}
