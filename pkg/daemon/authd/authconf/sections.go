package authconf

import (
	"strings"

	"github.com/postcote/postcote/pkg/identity/helper"
	"github.com/postcote/postcote/pkg/identity/imaplogin"
	"github.com/postcote/postcote/pkg/identity/ldapdb"
	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/identity/oauth2"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/sqldb"
	"github.com/postcote/postcote/pkg/identity/static"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// Drivers that other keys depend on.
const (
	driverLocal      = "local"
	driverPasswdFile = "passwd-file"
	driverSQL        = "sql"
	driverLDAP       = "ldap"
	driverOAuth2     = "oauth2"
	driverStatic     = "static"
)

// PassSections are the settings of password databases' drivers, each under the
// driver's name. An entry has the one of its driver, or none if the defaults
// will do.
type PassSections struct {
	Local         *localdb.Config    `yaml:"local" doc:"For driver local."`
	PasswdFile    *passwdfile.Config `yaml:"passwd_file" doc:"For driver passwd-file; without it the file is users.file."`
	SQL           *SQL               `yaml:"sql" doc:"For driver sql."`
	LDAP          *LDAP              `yaml:"ldap" doc:"For driver ldap."`
	OAuth2        *oauth2.Config     `yaml:"oauth2" doc:"For driver oauth2."`
	Static        *static.PassConfig `yaml:"static" doc:"For driver static."`
	PAM           *PAM               `yaml:"pam" doc:"For driver pam."`
	Shadow        *Shadow            `yaml:"shadow" doc:"For driver shadow."`
	Checkpassword *Checkpassword     `yaml:"checkpassword" doc:"For driver checkpassword."`
	IMAP          *IMAP              `yaml:"imap" doc:"For driver imap."`
}

func (s *PassSections) sections() map[string]bool {
	return map[string]bool{
		"local": s.Local != nil, "passwd_file": s.PasswdFile != nil, "sql": s.SQL != nil, "ldap": s.LDAP != nil,
		"oauth2": s.OAuth2 != nil, "static": s.Static != nil, "pam": s.PAM != nil, "shadow": s.Shadow != nil, "checkpassword": s.Checkpassword != nil, "imap": s.IMAP != nil,
	}
}

// UserSections are the same of user databases.
type UserSections struct {
	Local         *localdb.Config    `yaml:"local" doc:"For driver local."`
	PasswdFile    *passwdfile.Config `yaml:"passwd_file" doc:"For driver passwd-file; without it the file is users.file."`
	SQL           *SQL               `yaml:"sql" doc:"For driver sql."`
	LDAP          *LDAP              `yaml:"ldap" doc:"For driver ldap."`
	Static        *static.UserConfig `yaml:"static" doc:"For driver static."`
	Passwd        *Passwd            `yaml:"passwd" doc:"For driver passwd."`
	Checkpassword *Checkpassword     `yaml:"checkpassword" doc:"For driver checkpassword."`
}

func (s *UserSections) sections() map[string]bool {
	return map[string]bool{
		"local": s.Local != nil, "passwd_file": s.PasswdFile != nil, "sql": s.SQL != nil, "ldap": s.LDAP != nil,
		"static": s.Static != nil, "passwd": s.Passwd != nil, "checkpassword": s.Checkpassword != nil,
	}
}

// sectionOf is the key of a driver's section.
func sectionOf(driver string) string { return strings.ReplaceAll(driver, "-", "_") }

// needsSection lists drivers whose defaults cannot do.
func needsSection(driver string) bool {
	return driver == driverSQL || driver == driverLDAP || driver == driverOAuth2 || driver == driverStatic || driver == "imap"
}

// checkSections reports a section that is another driver's, and one that is
// missing.
func checkSections(p *conf.Reporter, driver string, there map[string]bool) {
	own := sectionOf(driver)
	for name, set := range there {
		if set && name != own {
			p.At("%s", name).Errorf("the section does not belong to driver %s", driver)
		}
	}
	if !there[own] && needsSection(driver) {
		p.At("driver").Hint("write %s: {…} beside it", own).Errorf("driver %s needs its section", driver)
	}
}

// SQL is a `sql` section.
type SQL struct {
	sqldb.QueryConfig `yaml:",inline"`
}

// Preset gives the section its defaults before it is read.
func (s *SQL) Preset() { s.QueryConfig.Preset() }

// LDAP is an `ldap` section.
type LDAP struct {
	ldapdb.Config `yaml:",inline"`
}

// Preset gives the section its defaults before it is read.
func (s *LDAP) Preset() { s.Config.Preset() }

// PAM is a `pam` section.
type PAM struct {
	helper.Config `yaml:",inline"`
}

// Preset gives the section its defaults before it is read.
func (s *PAM) Preset() { s.Config = helper.DefaultConfig("pam") }

// Shadow is a `shadow` section.
type Shadow struct {
	helper.Config `yaml:",inline"`
}

// Preset gives the section its defaults before it is read.
func (s *Shadow) Preset() { s.Config = helper.DefaultConfig("shadow") }

// Passwd is a `passwd` section.
type Passwd struct {
	helper.Config `yaml:",inline"`
}

// Preset gives the section its defaults before it is read.
func (s *Passwd) Preset() { s.Config = helper.DefaultConfig("passwd") }

// Checkpassword is a `checkpassword` section.
type Checkpassword struct {
	helper.Config `yaml:",inline"`
}

// Preset gives the section its defaults before it is read.
func (s *Checkpassword) Preset() { s.Config = helper.DefaultConfig("checkpassword") }

// IMAP is an `imap` section.
type IMAP struct {
	imaplogin.Config `yaml:",inline"`
}

// Preset gives the section its defaults before it is read.
func (s *IMAP) Preset() { s.Config = imaplogin.DefaultConfig() }

// PasswdFile is a passwd_file section, or users.file where there is none.
func PasswdFile(s *passwdfile.Config, c *Config) passwdfile.Config {
	if s != nil {
		return *s
	}
	var d passwdfile.Config
	d.Preset()
	d.Path = c.Users.File
	return d
}

// Local is a local section, or the defaults where there is none.
func Local(s *localdb.Config) localdb.Config {
	if s != nil {
		return *s
	}
	return localdb.DefaultConfig()
}

// Editable is what authd's commands change: the users store or the passwd-file
// of the first password database that has one and lets users in. Both are
// unset when there is none.
func (c *Config) Editable() (store localdb.Config, file string) {
	for _, e := range c.Passdb {
		switch {
		case e.Deny || e.Master:
		case e.Driver == driverLocal:
			return Local(e.Local), ""
		case e.Driver == driverPasswdFile:
			// A path with variables is many files.
			if file := PasswdFile(e.PasswdFile, c).Path; !strings.Contains(file, "%") {
				return localdb.Config{}, file
			}
		}
	}
	return localdb.Config{}, ""
}
