package sqldb

import (
	"strings"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// DatabaseConfig is how to reach a database.
type DatabaseConfig = sqlpool.Config

// defaultScheme is what a password without "{SCHEME}" is taken for.
const defaultScheme = "CRYPT"

// QueryConfig is what to ask a database. The queries are templates: %u or
// %{user} and the like become parameters.
type QueryConfig struct {
	Database            string `yaml:"database" example:"mail" doc:"Name of the entry of databases to ask."`
	DovecotFile         string `yaml:"dovecot_file" path:"read" example:"/etc/dovecot/dovecot-sql.conf.ext" doc:"Take everything, the database too, from this file of Dovecot's; the other keys stay empty then."`
	PasswordQuery       string `yaml:"password_query" example:"SELECT username AS user, password FROM mailbox WHERE username = '%u' AND active = '1'" doc:"Finds the password of a user. Columns: password; user, or username and domain, if the name is to be another one; nopassword; userdb_* for the user database; any other becomes an extra field, such as allow_nets. NULL means that there is no such field."`
	UserQuery           string `yaml:"user_query" example:"SELECT CONCAT('/var/mail/', maildir) AS home, 5000 AS uid, 5000 AS gid FROM mailbox WHERE username = '%u'" doc:"Finds where a user's mail is. Columns: user, home, uid, gid; any other becomes an extra field, such as quota_rule."`
	IterateQuery        string `yaml:"iterate_query" example:"SELECT username AS user FROM mailbox" doc:"Lists all users. Columns: user, or username and domain."`
	DomainQuery         string `yaml:"domain_query" example:"SELECT 1 FROM domain WHERE domain = '%d' AND active = '1'" doc:"Says whether the domain %d is ours: a row says yes, unless its first column is NULL, 0 or false. Without it iterate_query answers."`
	AliasQuery          string `yaml:"alias_query" example:"SELECT goto FROM alias WHERE address = '%u' AND active = '1'" doc:"Where mail for the address %u goes instead: the first column of all rows, with commas between several addresses in one. It is also asked for @%d, which stands for all other addresses of a domain."`
	SenderQuery         string `yaml:"sender_query" example:"SELECT goto FROM alias WHERE address = '%u' AND active = '1'" doc:"Who may send as the address %u, by the names they log in with, in the form of alias_query."`
	RelayDomainQuery    string `yaml:"relay_domain_query" example:"SELECT 1 FROM domain WHERE domain = '%d' AND backupmx" doc:"Says, as domain_query does, whether another server has the users of the domain %d and we take its mail."`
	UpdatePasswordQuery string `yaml:"update_password_query" example:"UPDATE mailbox SET password = '%{password}' WHERE username = '%u'" doc:"Replaces a stored password by %{password}. It must change one row, or nothing is changed. Empty: passwords are only read."`
	DefaultScheme       string `yaml:"default_pass_scheme" example:"CRYPT" doc:"Scheme of passwords that do not begin with {SCHEME}; CRYPT if empty."`
}

// Preset gives an entry its defaults before it is read.
func (c *QueryConfig) Preset() { *c = QueryConfig{DefaultScheme: defaultScheme} }

// keyed is a query and its key.
type keyed struct{ key, text string }

func (c QueryConfig) queries() []keyed {
	return []keyed{
		{"password_query", c.PasswordQuery},
		{"user_query", c.UserQuery},
		{"iterate_query", c.IterateQuery},
		{"domain_query", c.DomainQuery},
		{"update_password_query", c.UpdatePasswordQuery},
	}
}

// Validate reports what is wrong without knowing the database: see
// Databases for the rest.
func (c QueryConfig) Validate(p *conf.Reporter) {
	if c == (QueryConfig{}) || c == (QueryConfig{DefaultScheme: defaultScheme}) {
		return // not an SQL entry at all
	}
	if c.DovecotFile != "" {
		for _, q := range append(c.queries(), keyed{"database", c.Database}) {
			if q.text != "" {
				p.At(q.key).Errorf("stands in dovecot_file already")
			}
		}
		return
	}
	if c.Database == "" {
		p.At("database").Hint("or give dovecot_file").Errorf("the name of the database is missing")
	}
	for _, q := range c.queries() {
		if q.text == "" {
			continue
		}
		if _, err := template(q.key, q.text); err != nil {
			p.At(q.key).Errorf("%v", err)
		}
	}
}

// template parses the query at key; a variable that it cannot use is found
// here, before anybody logs in.
func template(key, text string) (expand.Template, error) {
	if !strings.HasSuffix(key, "domain_query") {
		return request.Template(text) // with %{password}, whatever that is
	}
	t, err := expand.Parse(text)
	if err != nil {
		return t, err
	}
	for _, name := range t.Names() {
		if _, ok := ofDomain("").Var(name); !ok {
			return t, fail.New(fail.Invalid, "there is no variable %%{%.40s} here, only %%{domain}", name)
		}
	}
	return t, nil
}

// withPassword is a request whose %{password} is the one to store.
type withPassword struct {
	*request.Request
	password string
}

// Var is request.Request's but for password.
func (w withPassword) Var(name string) (string, bool) {
	if name == "password" {
		return w.password, true
	}
	return w.Request.Var(name)
}

// ofDomain is what a question about a domain can be asked with.
type ofDomain string

// Var knows the domain only.
func (d ofDomain) Var(name string) (string, bool) {
	switch name {
	case "domain", "domain_first", "domain_last":
		return string(d), true
	}
	return "", false
}
