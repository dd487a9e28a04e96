package ldapdb

import (
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
)

// ServerConfig says how to reach a directory.
type ServerConfig struct {
	URIs           []string `yaml:"uris" example:"ldaps://ldap.example.org" doc:"Servers with the same content, tried in this order: ldaps://host, ldap://host:port, or ldapi://%2Frun%2Fslapd%2Fldapi for a Unix socket."`
	StartTLS       bool     `yaml:"starttls" doc:"Switch ldap:// connections to TLS before anything is sent."`
	CAFile         string   `yaml:"ca_file" path:"read" example:"/etc/postcote/ldap-ca.pem" doc:"PEM file with the authorities that may have signed the server's certificate. Empty: the system's."`
	TLSVerify      bool     `yaml:"tls_verify" doc:"Insist on a certificate that is valid for the host in the URI. Without it anybody in between can read passwords and answer for the server."`
	CertFile       string   `yaml:"cert_file" path:"read" doc:"PEM file with a client certificate, for servers that ask for one."`
	KeyFile        string   `yaml:"key_file" path:"read" doc:"PEM file with its private key."`
	AllowCleartext bool     `yaml:"allow_cleartext" doc:"Let passwords cross the network unencrypted, to an ldap:// URI without starttls that is not on this host."`

	BindDN           string          `yaml:"bind_dn" example:"cn=postcote,ou=services,dc=example,dc=org" doc:"Who searches. Empty: nobody (anonymous)."`
	BindPasswordFile conf.SecretFile `yaml:"bind_password_file" path:"read" example:"/etc/postcote/ldap-password" doc:"File with the password for bind_dn."`
	SASLExternal     bool            `yaml:"sasl_external" doc:"Bind with SASL EXTERNAL instead: as whom cert_file, or the process at the other end of ldapi://, stands for."`

	Connections    int           `yaml:"connections" min:"1" max:"256" doc:"Connections at a time, for searches and as many again for checking passwords by bind."`
	ConnectTimeout conf.Duration `yaml:"connect_timeout" min:"100ms" max:"2m" doc:"How long connecting may take, TLS and the bind as bind_dn included. With several URIs each gets a share."`
	BindTimeout    conf.Duration `yaml:"bind_timeout" min:"100ms" max:"2m" doc:"How long the check of a password may take."`
	SearchTimeout  conf.Duration `yaml:"search_timeout" min:"100ms" max:"2m" doc:"How long a search, or one page of a listing, may take."`
	IdleTimeout    conf.Duration `yaml:"idle_timeout" min:"1s" max:"1h" doc:"Connections that were not used for so long are not used again."`
	MaxBackoff     conf.Duration `yaml:"max_backoff" min:"100ms" max:"10m" doc:"How long a server that fails again and again is left alone; it starts with 250ms."`

	password string // from Dovecot's file, instead of BindPasswordFile
}

// DefaultServerConfig names no server.
func DefaultServerConfig() ServerConfig {
	return ServerConfig{
		TLSVerify: true, Connections: 8,
		ConnectTimeout: conf.Duration(5 * time.Second), BindTimeout: conf.Duration(10 * time.Second),
		SearchTimeout: conf.Duration(10 * time.Second), IdleTimeout: conf.Duration(5 * time.Minute),
		MaxBackoff: conf.Duration(10 * time.Second),
	}
}

// Preset gives an entry its defaults before it is read.
func (c *ServerConfig) Preset() { *c = DefaultServerConfig() }

// Validate reports what is wrong between the keys.
func (c ServerConfig) Validate(p *conf.Reporter) {
	if len(c.URIs) == 0 {
		p.At("uris").Hint("write ldaps://host").Errorf("there is none")
	}
	for i, uri := range c.URIs {
		t, err := ldapwire.ParseURI(uri)
		switch at := p.At("uris[%d]", i); {
		case err != nil:
			at.Errorf("%v", err)
		case !t.TLS && !t.Local && !c.StartTLS && !c.AllowCleartext:
			at.Hint("write ldaps://, or starttls: true").Errorf("passwords would cross the network in the clear")
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		p.At("cert_file").Errorf("cert_file and key_file belong together, one is missing")
	}
	switch hasPassword := c.BindPasswordFile != "" || c.password != ""; {
	case c.SASLExternal && (c.BindDN != "" || hasPassword):
		p.At("sasl_external").Errorf("it takes no bind_dn and no password")
	case (c.BindDN != "") != hasPassword && !c.SASLExternal:
		p.At("bind_dn").Errorf("bind_dn and bind_password_file belong together, one is missing")
	}
}

// Config says what to ask a directory for: the `ldap` section of a passdb or
// userdb entry. Texts take Dovecot's variables, which are always escaped.
type Config struct {
	Database    string `yaml:"database" example:"corp" doc:"Name of the entry of databases to ask."`
	DovecotFile string `yaml:"dovecot_file" path:"read" example:"/etc/dovecot/dovecot-ldap.conf.ext" doc:"Take everything, the server too, from this file of Dovecot's; the other keys stay as they are then."`

	Base  string `yaml:"base" example:"ou=people,dc=example,dc=org" doc:"Where entries are. Variables may stand in values (ou=%d,dc=example,dc=org); if the entry so named does not exist, there is no such user."`
	Scope string `yaml:"scope" oneof:"base|onelevel|subtree" doc:"How deep below base."`
	Deref string `yaml:"deref" oneof:"never|searching|finding|always" doc:"When aliases in the directory are followed."`
	// IgnoreReferences is ours; Dovecot's library follows references.
	IgnoreReferences bool `yaml:"ignore_references" doc:"The directory refers to other servers for parts of the tree under base, and no users are there (Active Directory does so at the domain's root). Without it, a user who is not found where such a reference is may exist: an outage. References are never followed."`

	PassFilter string `yaml:"pass_filter" doc:"Finds the entry of who logs in."`
	PassAttrs  string `yaml:"pass_attrs" doc:"Fields from the entry, as in Dovecot: attr=field, =field=text with %{ldap:attr}, attr=field=text for entries that have attr."`
	UserFilter string `yaml:"user_filter" doc:"Finds the entry of a user."`
	UserAttrs  string `yaml:"user_attrs" doc:"Fields from that entry."`

	IterateFilter string `yaml:"iterate_filter" doc:"Finds the entries of all users."`
	IterateAttrs  string `yaml:"iterate_attrs" doc:"Which attribute holds the name: the one for the field user."`
	DomainFilter  string `yaml:"domain_filter" example:"(mail=*@%{domain})" doc:"Finds out whether a domain is ours: %{domain} is the domain, and any entry means yes. Empty: LDAP knows of no domains."`

	AliasFilter       string `yaml:"alias_filter" example:"(mailAlternateAddress=%u)" doc:"Finds where mail for the address %u goes instead; @domain asks for all of a domain that are not named. Empty: LDAP knows of no aliases."`
	AliasAttr         string `yaml:"alias_attr" example:"mail" doc:"Attribute of the entries so found: all of its values."`
	SenderFilter      string `yaml:"sender_filter" example:"(|(mail=%u)(mailAlternateAddress=%u))" doc:"Finds who may send as the address %u. Empty: LDAP does not know."`
	SenderAttr        string `yaml:"sender_attr" example:"mail" doc:"Attribute with the names they log in with."`
	RelayDomainFilter string `yaml:"relay_domain_filter" doc:"Says, as domain_filter does, whether another server has the users of the domain and we take its mail."`

	AuthBind          bool   `yaml:"auth_bind" doc:"Check passwords by binding with them, as the entry that pass_filter finds. Otherwise the stored password is read and compared."`
	AuthBindUserDN    string `yaml:"auth_bind_userdn" example:"uid=%n,ou=people,dc=example,dc=org" doc:"With auth_bind: bind as this at once, without a search. pass_filter and pass_attrs are not used."`
	DefaultPassScheme string `yaml:"default_pass_scheme" doc:"Scheme of stored passwords that do not name theirs."`
}

// DefaultConfig is Dovecot's, without a base.
func DefaultConfig() Config {
	return Config{
		Scope: "subtree", Deref: "never",
		PassFilter: "(&(objectClass=posixAccount)(uid=%u))", PassAttrs: "uid=user,userPassword=password",
		UserFilter: "(&(objectClass=posixAccount)(uid=%u))", UserAttrs: "homeDirectory=home,uidNumber=uid,gidNumber=gid",
		IterateFilter: "(objectClass=posixAccount)", IterateAttrs: "uid=user",
		DefaultPassScheme: "CRYPT",
	}
}

// Preset gives an entry its defaults before it is read.
func (c *Config) Preset() { *c = DefaultConfig() }

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	if c == (Config{}) || c == DefaultConfig() {
		return // not an LDAP entry at all
	}
	if c.DovecotFile != "" {
		alone := DefaultConfig()
		alone.DovecotFile = c.DovecotFile
		if c != alone {
			p.At("dovecot_file").Errorf("it says everything, so nothing else can stand here")
		}
		return
	}
	if c.Database == "" {
		p.At("database").Hint("or give dovecot_file").Errorf("the name of the database is missing")
	}
	if c.Base == "" {
		p.At("base").Errorf("it is missing")
	} else if err := checkDN(c.Base); err != nil {
		p.At("base").Errorf("%v", err)
	}
	for key, text := range map[string]string{
		"pass_filter": c.PassFilter, "user_filter": c.UserFilter, "iterate_filter": c.IterateFilter, "domain_filter": c.DomainFilter,
		"alias_filter": c.AliasFilter, "sender_filter": c.SenderFilter, "relay_domain_filter": c.RelayDomainFilter,
	} {
		if text == "" {
			continue
		}
		if err := checkFilter(text); err != nil {
			p.At("%s", key).Errorf("%v", err)
		}
	}
	for key, text := range map[string]string{"pass_attrs": c.PassAttrs, "user_attrs": c.UserAttrs, "iterate_attrs": c.IterateAttrs} {
		if _, err := parseMappings(text, ""); err != nil {
			p.At("%s", key).Errorf("%v", err)
		}
	}
	c.validateAddresses(p)
	if c.AuthBindUserDN != "" {
		d, err := parseDN(c.AuthBindUserDN, true)
		switch {
		case err == nil && d.fixed():
			p.At("auth_bind_userdn").Errorf("%q has no variable, so all users would be one", c.AuthBindUserDN)
		case err == nil:
			err = known(d.text.Names())
		}
		if err != nil {
			p.At("auth_bind_userdn").Errorf("%v", err)
		}
		if !c.AuthBind {
			p.At("auth_bind_userdn").Errorf("it needs auth_bind: true")
		}
	}
	if strings.ContainsAny(c.DefaultPassScheme, "{}") {
		p.At("default_pass_scheme").Errorf("write the name without braces")
	}
}

func (c Config) validateAddresses(p *conf.Reporter) {
	for _, x := range []struct{ key, filter, attr string }{
		{"alias_attr", c.AliasFilter, c.AliasAttr},
		{"sender_attr", c.SenderFilter, c.SenderAttr},
	} {
		if (x.filter != "" || x.attr != "") && !isAttribute(x.attr) {
			p.At("%s", x.key).Errorf("%.80q is not an LDAP attribute", x.attr)
		}
	}
}

func checkDN(text string) error {
	d, err := parseDN(text, false)
	if err != nil {
		return err
	}
	return known(d.text.Names())
}

func checkFilter(text string) error {
	f, err := parseFilter(text)
	if err != nil {
		return err
	}
	return known(f.text.Names())
}

// known finds variables that requests do not have, or that servers would log.
func known(names []string) error {
	for _, n := range names {
		if !request.Known(n) || n == "password" {
			return fail.New(fail.Invalid, "there is no variable %%{%.80s} here", n)
		}
	}
	return nil
}

// scope is RFC 4511 section 4.5.1.2.
func (c Config) scope() int {
	switch c.Scope {
	case "base":
		return ldap.ScopeBaseObject
	case "onelevel":
		return ldap.ScopeSingleLevel
	}
	return ldap.ScopeWholeSubtree
}

func (c Config) deref() int {
	switch c.Deref {
	case "searching":
		return ldap.DerefInSearching
	case "finding":
		return ldap.DerefFindingBaseObj
	case "always":
		return ldap.DerefAlways
	}
	return ldap.NeverDerefAliases
}
