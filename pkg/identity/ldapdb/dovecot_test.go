package ldapdb

import (
	"reflect"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const dovecotFile = `# Comments and empty lines

uris = ldaps://ldap1.example.org ldaps://ldap2.example.org:1636
dn = cn=dovecot,dc=example,dc=org
dnpass = "pass # \"word\""   # quoted, or it would end at the #
tls_ca_cert_file = /etc/ssl/ca.pem
tls_require_cert = hard
ldap_version = 3
debug_level = 0
auth_bind = yes
base = ou=people, dc=example, dc=org
scope = onelevel
user_attrs = \
  =home=/var/vmail/%{ldap:uid}, \
  # not a part of it
  =uid=%{ldap:uidNumber}
user_filter = (&(objectClass=posixAccount)(uid=%u))
pass_attrs = uid=user
pass_filter = (uid=%n)
default_pass_scheme = SSHA
`

func TestReadDovecot(t *testing.T) {
	d, err := ReadDovecot("dovecot-ldap.conf.ext", strings.NewReader(dovecotFile))
	if err != nil {
		t.Fatal(err)
	}
	server, config := DefaultServerConfig(), DefaultConfig()
	server.URIs = []string{"ldaps://ldap1.example.org", "ldaps://ldap2.example.org:1636"}
	server.BindDN, server.password, server.CAFile = "cn=dovecot,dc=example,dc=org", `pass # "word"`, "/etc/ssl/ca.pem"
	config.Base, config.Scope, config.AuthBind = "ou=people, dc=example, dc=org", "onelevel", true
	config.Database = "dovecot-ldap.conf.ext"
	config.UserAttrs = "=home=/var/vmail/%{ldap:uid}, =uid=%{ldap:uidNumber}"
	config.PassAttrs, config.PassFilter, config.DefaultPassScheme = "uid=user", "(uid=%n)", "SSHA"
	if !reflect.DeepEqual(d.Server, server) || !reflect.DeepEqual(d.Config, config) {
		t.Errorf("%+v\n%+v", d.Server, d.Config)
	}
	if len(d.Notes) != 1 || !strings.HasPrefix(d.Notes[0], "debug_level") {
		t.Error(d.Notes)
	}
	var shown strings.Builder
	if err := conf.WriteDefaults(&shown, d.Server); err != nil || strings.Contains(shown.String(), "pass #") {
		t.Errorf("%v\n%s", err, shown.String())
	}
}

func TestReadDovecotNotes(t *testing.T) {
	d, err := ReadDovecot("x", strings.NewReader("hosts = localhost ldap.example.org\nbase = dc=x\ntls_require_cert = never"))
	if err != nil || !d.Server.AllowCleartext || d.Server.TLSVerify || len(d.Notes) != 2 {
		t.Errorf("%+v %v", d, err)
	}
}

func TestReadDovecotMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"base = dc=x":                                                    "uris",
		"uris = ldaps://x":                                               "base",
		"uris = ldaps://x\nbas = dc=x":                                   "x:2: bas: Dovecot has no such setting",
		"uris = ldaps://x\nbase = dc=x\nnoise":                           "x:3: this is not key = value",
		"uris = ldaps://x\nbase = dc=x\nscope = one":                     "none of base, onelevel, subtree",
		"uris = ldaps://x\nbase = dc=x\nauth_bind = maybe":               "neither yes nor no",
		"uris = ldaps://x\nbase = dc=x\nldap_version = 2":                "version 3",
		"uris = ldaps://x\nbase = dc=x\nsasl_mech = GSSAPI":              "only EXTERNAL",
		"uris = ldaps://x\nbase = dc=x\nuser_filter = (uid=%u":           "user_filter",
		"uris = ldaps://x\nbase = dc=x\nuser_attrs = @a=%{ldap:b}":       "not supported",
		"uris = ldaps://x\nbase = dc=x\ndn = cn=x":                       "dnpass",
		"uris = ldaps://x\nbase = dc=x\ndnpass = hunter2":                "not dn",
		"uris = http://x\nbase = dc=x":                                   "no LDAP URI",
		"uris = ldaps://x\nbase = dc=x\n" + strings.Repeat("#", 256<<10): "larger",
	} {
		_, err := ReadDovecot("x", strings.NewReader(text))
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	type file struct {
		Server ServerConfig `yaml:"server" doc:"A server."`
		LDAP   Config       `yaml:"ldap" doc:"A database."`
	}
	good := file{Server: DefaultServerConfig(), LDAP: DefaultConfig()}
	good.Server.URIs, good.LDAP.Base, good.LDAP.Database = []string{"ldaps://x"}, "dc=x", "x"
	for text, want := range map[string]string{
		"":                           "",
		"server: {uris: []}":         "there is none",
		"server: {uris: [ldap://x]}": "in the clear",
		"server: {uris: [ldap://x], starttls: true}":                   "",
		"server: {uris: [ldap://x], allow_cleartext: true}":            "",
		"server: {uris: [ldap://localhost]}":                           "",
		"server: {cert_file: /x}":                                      "belong together",
		"server: {bind_dn: cn=x}":                                      "belong together",
		"server: {sasl_external: true, bind_dn: cn=x}":                 "takes no bind_dn",
		"ldap: {database: ''}":                                         "name of the database",
		"ldap: {dovecot_file: /x}":                                     "nothing else",
		"ldap: {pass_filter: '(userPassword=%w)'}":                     "no variable",
		"ldap: {base: ''}":                                             "it is missing",
		"ldap: {base: nonsense}":                                       "cannot be read",
		"ldap: {base: 'dc=%{nothing}'}":                                "no variable",
		"ldap: {alias_filter: '(a=%u)'}":                               "alias_attr",
		"ldap: {sender_filter: '(a=%u)', sender_attr: 'no attr'}":      "not an LDAP attribute",
		"ldap: {alias_filter: '(a=%u)', alias_attr: mail}":             "",
		"ldap: {scope: all}":                                           "not allowed",
		"ldap: {pass_filter: (uid=%u}":                                 "cannot be read",
		"ldap: {user_filter: '(%u=x)'}":                                "where no value can stand",
		"ldap: {user_filter: '(uid=%{nothing})'}":                      "no variable",
		"ldap: {user_filter: '(uid=%{ldap:uid})'}":                     "no variable",
		"ldap: {user_attrs: '=x=%{nothing}'}":                          "no variable",
		"ldap: {auth_bind_userdn: 'uid=%u,dc=x'}":                      "needs auth_bind",
		"ldap: {auth_bind: true, auth_bind_userdn: uid=x}":             "would be one",
		"ldap: {auth_bind: true, auth_bind_userdn: '%u@corp.example'}": "",
		"ldap: {default_pass_scheme: '{SSHA}'}":                        "without braces",
	} {
		f := good
		err := conf.Parse("x", []byte(text), &f)
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzDovecot(f *testing.F) {
	f.Add(dovecotFile)
	f.Add("hosts = a b\nbase=dc=x\n")
	f.Add("uris=ldaps://x\nbase='dc=x'\ndnpass=\"\\\"\ndn=x\\\n\\\n")
	f.Add("a\\")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ReadDovecot("x", strings.NewReader(text))
		if err != nil {
			if !fail.Is(err, fail.Invalid) {
				t.Fatal(err)
			}
			return
		}
		s, err := newServer("x", d.Server, Options{})
		if err != nil {
			t.Fatal(err)
		}
		// What was read without a complaint can be used.
		if _, err := newPassdb(s, d.Config); err != nil {
			t.Fatalf("passdb: %v", err)
		}
		if _, err := newUserdb(s, d.Config); err != nil {
			t.Fatalf("userdb: %v", err)
		}
	})
}
