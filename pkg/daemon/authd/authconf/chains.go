package authconf

import (
	"reflect"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/ldapdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Database is an entry of `databases`: connections that several entries of
// passdb and userdb share.
type Database struct {
	sqlpool.Config `yaml:",inline"`
	LDAP           *ldapdb.ServerConfig `yaml:"ldap" doc:"The directory, for driver ldap. The keys above are for SQL and stay away then."`
}

// Preset gives an entry its defaults before it is read.
func (d *Database) Preset() { d.Config.Preset() }

// Validate holds the keys to the driver.
func (d Database) Validate(p *conf.Reporter) {
	switch {
	case d.Driver == driverLDAP && d.LDAP == nil:
		p.At("ldap").Errorf("the section is missing")
	case d.Driver != driverLDAP && d.LDAP != nil:
		p.At("ldap").Errorf("the section belongs to driver ldap, this one is %s", d.Driver)
	}
	var bare Database
	bare.Preset()
	bare.Driver = driverLDAP
	if sql := (Database{Config: d.Config}); d.Driver == driverLDAP && !reflect.DeepEqual(sql, bare) {
		p.At("driver").Hint("what driver ldap needs goes into the section ldap").Errorf("the other keys are for SQL")
	}
}

// Entry is what entries of passdb and userdb have in common, by Dovecot's
// names.
type Entry struct {
	Name               string            `yaml:"name" doc:"For the log, instead of the driver's name: small letters and hyphens."`
	Services           []string          `yaml:"services" example:"[imap, pop3]" doc:"Ask this database for these services only."`
	Networks           []conf.Network    `yaml:"networks" doc:"Ask it for peers in these networks only."`
	UsernameFilter     string            `yaml:"username_filter" example:"*@example.org !admin@*" doc:"Ask it for names that match one of these masks, and none with ! before it."`
	ResultSuccess      string            `yaml:"result_success" oneof:"return-ok|return-fail|return|continue-ok|continue-fail|continue" doc:"What happens when it knows the user (and the password is right). return: end with what earlier databases came to. continue: ask the next one; -ok and -fail set the result so far."`
	ResultFailure      string            `yaml:"result_failure" oneof:"return-ok|return-fail|return|continue-ok|continue-fail|continue" doc:"What happens when it does not, or the password is wrong."`
	ResultInternalFail string            `yaml:"result_internalfail" oneof:"return-ok|return-fail|return|continue-ok|continue-fail|continue" doc:"What happens when it cannot be asked. If no later database lets the user in, clients are told to try later."`
	DefaultFields      map[string]string `yaml:"default_fields" example:"{userdb_mail: 'maildir:~/Maildir'}" doc:"Extra fields that the database's own replace; they can contain variables. :protected behind a key keeps what an earlier database said, :remove takes it away."`
	OverrideFields     map[string]string `yaml:"override_fields" doc:"Extra fields that replace the database's own; their variables know those."`
	AuthVerbose        string            `yaml:"auth_verbose" oneof:"default|yes|no" doc:"When this database's refusals are logged: if the login was refused in the end, always, or never."`
}

func (e *Entry) preset() {
	*e = Entry{ResultSuccess: rule.ReturnOK.String(), ResultFailure: rule.Continue.String(), ResultInternalFail: rule.Continue.String(), AuthVerbose: "default"}
}

// Rules are the result_ keys.
func (e *Entry) Rules() rule.Set {
	s := rule.Defaults()
	for _, r := range []struct {
		into *rule.Rule
		text string
	}{{&s.Success, e.ResultSuccess}, {&s.Failure, e.ResultFailure}, {&s.InternalFail, e.ResultInternalFail}} {
		if parsed, err := rule.Parse(r.text); err == nil { // the file allows no others
			*r.into = parsed
		}
	}
	return s
}

// Match is who the entry concerns.
func (e *Entry) Match() rule.Match {
	return rule.Match{Users: rule.SplitFilter(e.UsernameFilter), Services: e.Services, Networks: conf.Prefixes(e.Networks)}
}

func (e *Entry) validate(p *conf.Reporter) {
	if strings.Trim(e.Name, "abcdefghijklmnopqrstuvwxyz-") != "" || len(e.Name) > 15 {
		p.At("name").Errorf("%q is not made of at most 15 small letters and hyphens", e.Name)
	}
	for key, fields := range map[string]map[string]string{"default_fields": e.DefaultFields, "override_fields": e.OverrideFields} {
		if _, err := request.ParseFields(fields); err != nil {
			p.At("%s", key).Errorf("%v", err)
		}
	}
}

// Passdb is an entry of `passdb`.
type Passdb struct {
	Driver string `yaml:"driver" oneof:"local|passwd-file|sql|ldap|oauth2|static|pam|shadow|checkpassword|imap" doc:"Where passwords are: local (authd's own store), passwd-file, sql, ldap, oauth2 (tokens instead of passwords), static, pam and shadow (users of the system), checkpassword (a program), imap (another server)."`
	Entry  `yaml:",inline"`

	Skip       string   `yaml:"skip" oneof:"never|authenticated|unauthenticated" doc:"Leave this database out when an earlier one has found the password right, or when none has."`
	Deny       bool     `yaml:"deny" doc:"Whoever is in this database may not log in."`
	Master     bool     `yaml:"master" doc:"The users of this database may log in as any other user: by login.master_user_separator, or by the authorization identity."`
	Pass       bool     `yaml:"pass" doc:"Dovecot's old form of result_success: continue."`
	Mechanisms []string `yaml:"mechanisms" example:"[PLAIN, LOGIN]" doc:"Ask this database for these SASL mechanisms only; none stands for lookups."`

	PassSections `yaml:",inline"`
}

// Preset gives an entry its defaults before it is read.
func (e *Passdb) Preset() {
	*e = Passdb{Driver: driverLocal, Skip: "never"}
	e.Entry.preset()
}

// Validate holds an entry to its driver.
func (e Passdb) Validate(p *conf.Reporter) {
	e.validate(p)
	checkSections(p, e.Driver, e.sections())
	for i, m := range e.Mechanisms {
		if _, ok := sasl.Find(m); !ok && !strings.EqualFold(m, rule.NoMechanism) {
			p.At("mechanisms[%d]", i).Hint("known: %s, none", mechNames()).Errorf("%q is not known", m)
		}
	}
	if e.Deny && e.Master {
		p.At("deny").Errorf("a database is of masters or of users who may not log in, not both")
	}
	if e.Pass && e.ResultSuccess != rule.ReturnOK.String() {
		p.At("pass").Errorf("result_success says something else")
	}
}

// Rules are the result_ keys.
func (e *Passdb) Rules() rule.Set {
	s := e.Entry.Rules()
	if e.Pass {
		s.Success = rule.Continue
	}
	return s
}

// Match is who the entry concerns.
func (e *Passdb) Match() rule.Match {
	m := e.Entry.Match()
	m.Mechanisms = e.Mechanisms
	return m
}

// Userdb is an entry of `userdb`.
type Userdb struct {
	Driver string `yaml:"driver" oneof:"local|passwd-file|sql|ldap|static|prefetch|passwd|checkpassword" doc:"Where users are: local (authd's own store), passwd-file, sql, ldap, static, prefetch (the userdb_ fields that the password database gave at login), passwd (users of the system), checkpassword (a program)."`
	Entry  `yaml:",inline"`

	Skip string `yaml:"skip" oneof:"never|found|notfound" doc:"Leave this database out when an earlier one has found the user, or when none has."`

	UserSections `yaml:",inline"`
}

// Preset gives an entry its defaults before it is read.
func (e *Userdb) Preset() {
	*e = Userdb{Driver: driverLocal, Skip: "never"}
	e.Entry.preset()
}

// Validate holds an entry to its driver.
func (e Userdb) Validate(p *conf.Reporter) {
	e.validate(p)
	checkSections(p, e.Driver, e.sections())
}

// validateChains holds the lists, and what refers to other sections.
func (c *Config) validateChains(p *conf.Reporter) {
	if len(c.Passdb) == 0 {
		p.At("passdb").Errorf("there is no password database, so nobody could log in")
	}
	if len(c.Passdb) > 0 && !c.letsIn() {
		p.At("passdb").Errorf("no entry lets anybody in: all are of masters, or of users who may not log in")
	}
	if len(c.Userdb) == 0 {
		p.At("userdb").Errorf("there is no user database, so there would be no users")
	}
	for i, e := range c.Passdb {
		c.checkDatabase(p.At("passdb[%d]", i), e.Driver, e.SQL, e.LDAP)
	}
	for i, e := range c.Userdb {
		c.checkDatabase(p.At("userdb[%d]", i), e.Driver, e.SQL, e.LDAP)
	}
	c.validateUsersFile(p)
}

// letsIn reports whether there is an entry of users who may log in.
func (c *Config) letsIn() bool {
	return slices.ContainsFunc(c.Passdb, func(e Passdb) bool { return !e.Master && !e.Deny })
}

// checkDatabase looks for the entry of databases that a section names.
func (c *Config) checkDatabase(p *conf.Reporter, driver string, sql *SQL, ldap *LDAP) {
	name, directory := "", driver == driverLDAP
	switch {
	case driver == driverSQL && sql != nil:
		name = sql.Database
	case directory && ldap != nil:
		name = ldap.Database
	}
	if name == "" {
		return // the section says what is missing
	}
	d, ok := c.Databases[name]
	switch at := p.At("%s.database", sectionOf(driver)); {
	case !ok:
		at.Errorf("there is no entry %q in databases", name)
	case (d.Driver == driverLDAP) != directory:
		at.Errorf("databases[%s] is of driver %s", name, d.Driver)
	}
}

// validateUsersFile holds users.file to the entries that read it.
func (c *Config) validateUsersFile(p *conf.Reporter) {
	reads := false
	look := func(at *conf.Reporter, driver string, own bool) {
		if driver != driverPasswdFile || own {
			return
		}
		reads = true
		if c.Users.File == "" {
			at.At("driver").Hint("write passwd_file: {path: …} beside it, or users: {file: …}").Errorf("driver %s needs a file", driver)
		}
	}
	for i, e := range c.Passdb {
		look(p.At("passdb[%d]", i), e.Driver, e.PasswdFile != nil)
	}
	for i, e := range c.Userdb {
		look(p.At("userdb[%d]", i), e.Driver, e.PasswdFile != nil)
	}
	switch {
	case c.Users.File == "":
	case !strings.HasPrefix(c.Users.File, "/"):
		p.At("users.file").Errorf("%q is not an absolute path", c.Users.File)
	case !reads:
		p.At("users.file").Hint("write passdb: [{driver: passwd-file}] and userdb: [{driver: passwd-file}]").Errorf("no entry of passdb or userdb reads the file")
	}
}

// validate holds what users get whatever database they are in.
func (u *Users) validate(p *conf.Reporter) {
	if _, err := request.ParseFields(u.Fields); err != nil {
		p.At("fields").Errorf("%v", err)
	}
	for key := range u.Fields {
		if key == "" || strings.ContainsAny(key, "= \t") || slices.Contains([]string{"uid", "gid", "home", "password"}, key) {
			p.At("fields").Errorf("%q cannot be set here", key)
		}
	}
	if err := account.CheckHome(u.Home); u.Home != "" && !strings.HasPrefix(u.Home, "/") || err != nil {
		p.At("home").Errorf("%q is not an absolute path", u.Home)
	} else if _, err := request.Template(u.Home); err != nil {
		p.At("home").Errorf("%v", err)
	}
}
