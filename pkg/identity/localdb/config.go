package localdb

import (
	"path/filepath"

	"github.com/postcote/postcote/pkg/identity/apppassword"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// DefaultFile is where the store lies unless the configuration says otherwise.
const DefaultFile = "/var/lib/postcote/authd/users.sqlite"

// Config is the store's part of a configuration.
type Config struct {
	File             string   `yaml:"file" path:"write" reload:"true" doc:"The store, an SQLite file. authd makes it when it is missing; authd user, domain, alias and app-password change it, with the daemon running or not."`
	AppPasswordsOnly []string `yaml:"app_passwords_only" reload:"true" example:"[imap, pop3, smtp, sieve]" doc:"Services (imap, pop3, smtp, sieve) in which users who have an app password must use one: their main password is then for other services only, such as webmail. Users without app passwords are not concerned."`
}

// DefaultConfig is the configuration without a file.
func DefaultConfig() Config { return Config{File: DefaultFile} }

// Preset gives a section its defaults before it is read.
func (c *Config) Preset() { *c = DefaultConfig() }

// Validate reports what is wrong with c.
func (c Config) Validate(p *conf.Reporter) {
	if !filepath.IsAbs(c.File) {
		p.At("file").Errorf("%q is not an absolute path", c.File)
	}
	for i, name := range c.AppPasswordsOnly {
		if _, err := apppassword.ParseScope(name); err != nil {
			p.At("app_passwords_only[%d]", i).Hint("known: %s", apppassword.AllScopes()).Errorf("%q is not a service of app passwords", name)
		}
	}
}
