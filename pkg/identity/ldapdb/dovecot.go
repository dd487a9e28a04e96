package ldapdb

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
)

// Dovecot is what a dovecot-ldap.conf.ext (2.3) says.
type Dovecot struct {
	Server ServerConfig // dnpass included, which no YAML shows
	Config Config
	Notes  []string // settings that mean nothing here, or mean something else
}

// maxDovecot caps the file.
const maxDovecot = 256 << 10

// ReadDovecot reads a dovecot-ldap.conf.ext as Dovecot does. file is its name
// for errors, which are fail.Invalid and name the line.
func ReadDovecot(file string, r io.Reader) (Dovecot, error) {
	d := Dovecot{Server: DefaultServerConfig(), Config: DefaultConfig()}
	text, err := io.ReadAll(io.LimitReader(r, maxDovecot+1))
	if err != nil {
		return Dovecot{}, fail.Wrap(fail.Unavailable, err, "%s", file)
	}
	if len(text) > maxDovecot {
		return Dovecot{}, fail.New(fail.Invalid, "%s is larger than %d bytes", file, maxDovecot)
	}
	joined, line := "", 0
	take := func() error {
		key, value, ok := strings.Cut(joined, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			return fail.New(fail.Invalid, "%s:%d: this is not key = value", file, line)
		}
		if err := d.set(key, unquote(strings.TrimSpace(value))); err != nil {
			return fail.Wrap(fail.Invalid, err, "%s:%d: %s", file, line, key)
		}
		joined = ""
		return nil
	}
	for raw := range strings.Lines(string(text)) {
		line++
		text := strings.TrimSpace(uncomment(strings.TrimSpace(raw)))
		if text == "" {
			continue
		}
		if part, more := strings.CutSuffix(text, `\`); more {
			joined += part
			continue
		}
		joined += text
		if err := take(); err != nil {
			return Dovecot{}, err
		}
	}
	if joined != "" {
		if err := take(); err != nil {
			return Dovecot{}, err
		}
	}
	return d, d.check(file)
}

// uncomment cuts a line at the first # outside of quotes.
func uncomment(s string) string {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'':
			quote = c
		case c == '#':
			return s[:i]
		}
	}
	return s
}

// unquote takes quotes around a whole value away, and the backslashes in them.
func unquote(s string) string {
	if len(s) < 2 || (s[0] != '"' && s[0] != '\'') || s[len(s)-1] != s[0] {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// texts are the settings that are taken as they are.
func (d *Dovecot) texts() map[string]*string {
	return map[string]*string{
		"dn": &d.Server.BindDN, "dnpass": &d.Server.password,
		"tls_ca_cert_file": &d.Server.CAFile, "tls_cert_file": &d.Server.CertFile, "tls_key_file": &d.Server.KeyFile,
		"base":       &d.Config.Base,
		"user_attrs": &d.Config.UserAttrs, "user_filter": &d.Config.UserFilter,
		"pass_attrs": &d.Config.PassAttrs, "pass_filter": &d.Config.PassFilter,
		"iterate_attrs": &d.Config.IterateAttrs, "iterate_filter": &d.Config.IterateFilter,
		"auth_bind_userdn": &d.Config.AuthBindUserDN, "default_pass_scheme": &d.Config.DefaultPassScheme,
	}
}

func (d *Dovecot) set(key, value string) error {
	if to := d.texts()[key]; to != nil {
		*to = value
		return nil
	}
	var err error
	switch key {
	case "uris":
		d.Server.URIs = strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	case "hosts":
		d.Server.URIs = nil
		for _, host := range strings.Fields(value) {
			d.Server.URIs = append(d.Server.URIs, "ldap://"+host)
		}
	case "tls":
		d.Server.StartTLS, err = yes(value)
	case "auth_bind":
		d.Config.AuthBind, err = yes(value)
	case "scope":
		d.Config.Scope, err = oneOf(value, "base", "onelevel", "subtree")
	case "deref":
		d.Config.Deref, err = oneOf(value, "never", "searching", "finding", "always")
	case "tls_require_cert":
		d.Server.TLSVerify = value != "never" && value != "allow" && value != "try"
		if !d.Server.TLSVerify {
			d.note("%s = %s: the server's certificate is not verified", key, value)
		}
	case "sasl_bind":
		d.Server.SASLExternal, err = yes(value)
	case "sasl_mech":
		if !strings.EqualFold(value, "EXTERNAL") && value != "" {
			err = fail.New(fail.Invalid, "SASL mechanism %.40q is not supported, only EXTERNAL", value)
		}
	case "ldap_version":
		if value != "3" {
			err = fail.New(fail.Invalid, "version 3 is the only one")
		}
	case "ldaprc_path", "tls_ca_cert_dir", "tls_cipher_suite", "sasl_realm", "sasl_authz_id", "blocking", "debug_level":
		if value != "" {
			d.note("%s is not used", key)
		}
	default:
		err = fail.New(fail.Invalid, "Dovecot has no such setting")
	}
	return err
}

func (d *Dovecot) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// yes reads Dovecot's booleans.
func yes(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "yes", "y", "true", "1":
		return true, nil
	case "no", "n", "false", "0", "":
		return false, nil
	}
	return false, fail.New(fail.Invalid, "%.20q is neither yes nor no", value)
}

func oneOf(value string, allowed ...string) (string, error) {
	if !slices.Contains(allowed, value) {
		return "", fail.New(fail.Invalid, "%.20q is none of %s", value, strings.Join(allowed, ", "))
	}
	return value, nil
}

// check holds the file to the rules of our own configuration, except that
// Dovecot lets passwords cross the network in the clear.
func (d *Dovecot) check(file string) error {
	if d.Server.SASLExternal {
		d.Server.BindDN, d.Server.password = "", ""
	}
	if d.Server.BindDN != "" && d.Server.password == "" {
		return fail.New(fail.Invalid, "%s: dn is set, but not dnpass", file)
	}
	if d.Server.BindDN == "" && d.Server.password != "" {
		return fail.New(fail.Invalid, "%s: dnpass is set, but not dn", file)
	}
	if !d.Config.AuthBind {
		d.Config.AuthBindUserDN = ""
	}
	for _, uri := range d.Server.URIs {
		if t, err := ldapwire.ParseURI(uri); err == nil && !t.TLS && !t.Local && !d.Server.StartTLS && !d.Server.AllowCleartext {
			d.Server.AllowCleartext = true
			d.note("%s: passwords cross the network in the clear; write ldaps://, or tls = yes", uri)
		}
	}
	d.Config.Database = file
	both := struct {
		Server ServerConfig `yaml:"server" doc:"The server."`
		Config Config       `yaml:"ldap" doc:"The rest."`
	}{d.Server, d.Config}
	if err := conf.Parse(file, nil, &both); err != nil {
		return fail.Wrap(fail.Invalid, err, "%s", file)
	}
	return nil
}
