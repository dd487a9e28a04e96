package sqldb

import (
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// Where Debian's servers listen, which is what the C libraries use when no
// host is given, and MySQL's also for "localhost".
const (
	pgFolder    = "/var/run/postgresql"
	mysqlSocket = "/run/mysqld/mysqld.sock"
)

// parseConnect reads Dovecot's setting connect.
func parseConnect(driver, text string) (DatabaseConfig, error) {
	cfg := DatabaseConfig{}
	cfg.Preset()
	cfg.Driver, cfg.PoolSize = driver, 5 // Dovecot's maxconns
	var pairs [][2]string
	var err error
	switch driver {
	case sqlpool.SQLite:
		if !strings.HasPrefix(text, "/") {
			return DatabaseConfig{}, fail.New(fail.Invalid, "%.80q is not an absolute path", text)
		}
		cfg.Path = text
		return cfg, nil
	case sqlpool.PgSQL:
		pairs, err = conninfo(text)
	case sqlpool.MySQL:
		pairs, err = words(text)
	default:
		return DatabaseConfig{}, fail.New(fail.Invalid, "there is no driver %.20q here (known: pgsql, mysql, sqlite)", driver)
	}
	if err != nil {
		return DatabaseConfig{}, err
	}
	c := connection{cfg: cfg}
	for _, kv := range pairs {
		if err := c.set(kv[0], kv[1]); err != nil {
			return DatabaseConfig{}, err
		}
	}
	return c.done()
}

// words splits "key=value key=value", in which no value has spaces.
func words(text string) ([][2]string, error) {
	var pairs [][2]string
	for _, w := range strings.Fields(text) {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			// Not the word itself: it may be a part of the password.
			return nil, fail.New(fail.Invalid, "word %d is no key=value", len(pairs)+1)
		}
		pairs = append(pairs, [2]string{key, value})
	}
	return pairs, nil
}

// conninfo splits libpq's "key = 'value'", where a backslash escapes.
func conninfo(text string) ([][2]string, error) {
	var pairs [][2]string
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fail.New(fail.Invalid, "word %d is no key=value", len(pairs)+1)
		}
		value, rest, err := conninfoValue(strings.TrimLeft(rest, " \t"))
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2]string{strings.TrimRight(key, " \t"), value})
		text = rest
	}
	return pairs, nil
}

func conninfoValue(s string) (value, rest string, err error) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quoted && c == '\'':
			return b.String(), s[i+1:], nil
		case !quoted && (c == ' ' || c == '\t'):
			return b.String(), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", fail.New(fail.Invalid, "a quote is not closed")
	}
	return b.String(), "", nil
}

// connection collects the parts of connect.
type connection struct {
	cfg      DatabaseConfig
	hosts    []string
	ports    []string
	password string
	mode     string
	verify   bool
}

func (c *connection) set(key, value string) (err error) {
	switch key {
	case "host", "hostaddr":
		c.hosts = append(c.hosts, strings.Split(value, ",")...)
	case "port":
		c.ports = strings.Split(value, ",")
	case "dbname":
		c.cfg.DBName = value
	case "user":
		c.cfg.User = value
	case "password":
		c.password = value
	case "maxconns":
		c.cfg.PoolSize, err = number(key, value)
	case "connect_timeout":
		c.cfg.ConnectTimeout, err = seconds(key, value)
	case "read_timeout":
		c.cfg.QueryTimeout, err = seconds(key, value)
	case "write_timeout", "application_name", "fallback_application_name":
		// Nothing to set: they change no answer.
	default:
		return c.encryption(key, value)
	}
	return err
}

// encryption takes the settings about TLS.
func (c *connection) encryption(key, value string) error {
	pg := c.cfg.Driver == sqlpool.PgSQL
	switch {
	case pg && key == "sslmode":
		c.mode = value
		if value == "allow" {
			c.mode = "prefer"
		}
	case pg && key == "sslrootcert", !pg && key == "ssl_ca":
		c.cfg.TLS.CAFile = value
	case pg && key == "sslcert", !pg && key == "ssl_cert":
		c.cfg.TLS.CertFile = value
	case pg && key == "sslkey", !pg && key == "ssl_key":
		c.cfg.TLS.KeyFile = value
	case !pg && key == "ssl_verify_server_cert":
		c.verify = value == "yes"
	case !pg && key == "ssl_cipher":
		// Go's choice is not below HIGH, Dovecot's default.
	default:
		return fail.New(fail.Invalid, "%.40q is not supported for %s", key, c.cfg.Driver)
	}
	return nil
}

func number(key, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 1000 {
		return 0, fail.New(fail.Invalid, "%s is not a number from 1 to 1000", key)
	}
	return n, nil
}

func seconds(key, value string) (conf.Duration, error) {
	n, err := number(key, value)
	return conf.Duration(time.Duration(n) * time.Second), err
}

// done puts the parts together.
func (c *connection) done() (DatabaseConfig, error) {
	cfg := c.cfg
	if cfg.DBName == "" {
		cfg.DBName = cfg.User // as the C libraries do it
	}
	if cfg.User == "" || cfg.DBName == "" {
		return DatabaseConfig{}, fail.New(fail.Invalid, "user or dbname is missing")
	}
	if len(c.ports) > 1 && len(c.ports) != len(c.hosts) {
		return DatabaseConfig{}, fail.New(fail.Invalid, "there are %d ports for %d hosts", len(c.ports), len(c.hosts))
	}
	if len(c.hosts) == 0 {
		c.hosts = []string{""}
	}
	for i, h := range c.hosts {
		port := ""
		if len(c.ports) > 0 {
			port = c.ports[min(i, len(c.ports)-1)]
		}
		cfg.Hosts = append(cfg.Hosts, c.address(h, port)...)
	}
	if len(cfg.Hosts) > 1 {
		cfg.Balance = "round_robin"
	}
	cfg.TLS.Mode = c.tlsMode()
	if cfg.TLS.Mode == "verify-ca" && cfg.TLS.CAFile == "" {
		return DatabaseConfig{}, fail.New(fail.Invalid, "sslmode=verify-ca needs sslrootcert")
	}
	return cfg.WithPassword(c.password), sqlpool.Check(cfg)
}

// address is what a host means; several if the C library tries several ways.
func (c *connection) address(host, port string) []string {
	switch {
	case c.cfg.Driver == sqlpool.PgSQL && host == "":
		return c.address(pgFolder, port)
	case c.cfg.Driver == sqlpool.MySQL && (host == "" || host == "localhost") && port == "":
		return []string{mysqlSocket}
	case c.cfg.Driver == sqlpool.PgSQL && strings.HasPrefix(host, "/") && port != "":
		return []string{path.Join(host, ".s.PGSQL."+port)}
	case strings.HasPrefix(host, "/") || port == "":
		return []string{host}
	}
	return []string{net.JoinHostPort(host, port)}
}

// tlsMode is what the C libraries would do: PostgreSQL's encrypts if it can
// and verifies if it has something to verify with; MySQL's does only when it
// was given an authority.
func (c *connection) tlsMode() string {
	switch {
	case c.cfg.Driver == sqlpool.PgSQL && c.mode == "":
		return "prefer"
	case c.cfg.Driver == sqlpool.PgSQL && c.mode == "require" && c.cfg.TLS.CAFile != "":
		return "verify-ca"
	case c.cfg.Driver == sqlpool.PgSQL:
		return c.mode
	case c.cfg.TLS.CAFile == "":
		return "disable"
	case c.verify:
		return "verify-full"
	}
	return "verify-ca"
}
