package sqldb

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxDovecotFile caps a file of Dovecot's.
const maxDovecotFile = 256 << 10

// ReadDovecot reads a dovecot-sql.conf.ext as it is. What Dovecot would do and
// this package would not is an error, never left out silently. Errors:
// fail.Unavailable when the file cannot be read, fail.Invalid for its content.
// The password of the database stays in the result's DatabaseConfig unseen.
func ReadDovecot(path string) (DatabaseConfig, QueryConfig, error) {
	f, err := os.Open(path)
	if err != nil {
		return DatabaseConfig{}, QueryConfig{}, fail.Wrap(fail.Unavailable, err, "read Dovecot's SQL settings")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDovecotFile+1))
	if err != nil {
		return DatabaseConfig{}, QueryConfig{}, fail.Wrap(fail.Unavailable, err, "read Dovecot's SQL settings")
	}
	if len(data) > maxDovecotFile {
		return DatabaseConfig{}, QueryConfig{}, fail.New(fail.Invalid, "%s is larger than %d bytes", path, maxDovecotFile)
	}
	return parseDovecot(path, string(data))
}

func parseDovecot(name, text string) (DatabaseConfig, QueryConfig, error) {
	d := dovecotFile{queries: QueryConfig{
		// Dovecot's defaults. Its iterate_query is left out: doveadm alone
		// uses that, and few have the tables for it.
		PasswordQuery: "SELECT username, domain, password FROM users WHERE username = '%n' AND domain = '%d'",
		UserQuery:     "SELECT home, uid, gid FROM users WHERE username = '%n' AND domain = '%d'",
		DefaultScheme: "MD5",
	}}
	err := settings(text, d.set)
	if err == nil && d.driver == "" {
		err = fail.New(fail.Invalid, "driver is missing")
	}
	if err == nil && d.connect == "" {
		err = fail.New(fail.Invalid, "connect is missing")
	}
	if err != nil {
		return DatabaseConfig{}, QueryConfig{}, fail.Wrap(fail.Invalid, err, "%s", name)
	}
	cfg, err := parseConnect(d.driver, d.connect)
	if err != nil {
		return DatabaseConfig{}, QueryConfig{}, fail.Wrap(fail.Invalid, err, "%s: connect", name)
	}
	cfg.Writable = cfg.Driver == "sqlite" && d.queries.UpdatePasswordQuery != ""
	return cfg, d.queries, nil
}

// dovecotFile collects the settings.
type dovecotFile struct {
	driver, connect string
	queries         QueryConfig
}

func (d *dovecotFile) set(key, value string) error {
	switch key {
	case "driver":
		d.driver = value
	case "connect":
		d.connect = value
	case "default_pass_scheme":
		d.queries.DefaultScheme = value
	case "password_query":
		d.queries.PasswordQuery = value
	case "user_query":
		d.queries.UserQuery = value
	case "iterate_query":
		d.queries.IterateQuery = value
	case "update_query":
		d.queries.UpdatePasswordQuery = value // %w is the new stored password in it, too
	case "userdb_warning_disable":
		// About a warning that we do not have.
	default:
		return fail.New(fail.Invalid, "unknown setting %.40q", key)
	}
	return nil
}

// settings reads lines of key = value in the way of Dovecot 2.3: a backslash
// at the end joins the next line, # begins a comment outside of quotes, and a
// value wholly in quotes loses them.
func settings(text string, set func(key, value string) error) error {
	full, start := "", 0
	for n := 1; text != ""; n++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		line = strings.TrimLeft(line, " \t\r")
		if line == "" || line[0] == '#' {
			continue // also between joined lines
		}
		line, more := strings.CutSuffix(strings.TrimRight(withoutComment(line), " \t\r"), `\`)
		if full == "" {
			start = n
		}
		full += line
		if len(full) > maxQuery {
			return fail.New(fail.Invalid, "line %d: longer than %d bytes", start, maxQuery)
		}
		if more {
			continue
		}
		if err := setting(full, set); err != nil {
			return fail.Wrap(fail.Invalid, err, "line %d", start)
		}
		full = ""
	}
	if full != "" {
		return fail.New(fail.Invalid, "line %d: the file ends after a backslash", start)
	}
	return nil
}

// setting reads one joined line.
func setting(line string, set func(key, value string) error) error {
	if strings.IndexByte(line, 0) >= 0 {
		return errors.New("contains NUL")
	}
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		return fail.New(fail.Invalid, "%.40q is no key = value", line)
	}
	return set(strings.TrimRight(key, " \t"), unquoted(strings.TrimLeft(value, " \t")))
}

// withoutComment cuts a line at a # that stands outside of quotes.
func withoutComment(line string) string {
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			if !closes(line[i+1:], c) {
				return line // an open quote hides the rest
			}
			quote = c
		case quote == 0 && c == '#':
			return line[:i]
		}
	}
	return line
}

// closes reports whether s has the quote that ends a string.
func closes(s string, quote byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if s[i] == quote {
			return true
		}
	}
	return false
}

// unquoted takes the quotes off a value that is wholly in them.
func unquoted(v string) string {
	n := len(v)
	if n < 2 || v[0] != v[n-1] || (v[0] != '"' && v[0] != '\'') {
		return v
	}
	return unescape(v[1 : n-1])
}

// unescape drops the backslash before a character.
func unescape(v string) string {
	if !strings.Contains(v, `\`) {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
		}
		b.WriteByte(v[i])
	}
	return b.String()
}
