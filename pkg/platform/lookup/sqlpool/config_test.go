package sqlpool

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
)

func TestParseAddress(t *testing.T) {
	for _, tc := range []struct{ driver, text, target string }{
		{PgSQL, "db1", "db1:5432"},
		{PgSQL, "db1:6432", "db1:6432"},
		{MySQL, "db1", "db1:3306"},
		{MySQL, "2001:db8::1", "[2001:db8::1]:3306"},
		{MySQL, "[2001:db8::1]", "[2001:db8::1]:3306"},
		{MySQL, "[2001:db8::1]:3307", "[2001:db8::1]:3307"},
		{MySQL, "/run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock"},
		{PgSQL, "/run/postgresql", "/run/postgresql/.s.PGSQL.5432"},
		{PgSQL, "/run/postgresql/.s.PGSQL.5433", "/run/postgresql/.s.PGSQL.5433"},
		{PgSQL, "", "error"},
		{PgSQL, ":5432", "error"},
		{PgSQL, "db1:", "db1:5432"},
		{PgSQL, "db1:0", "error"},
		{PgSQL, "db1:99999", "error"},
		{PgSQL, "db1:a:b", "error"},
		{PgSQL, "a,b", "error"},
		{PgSQL, "/" + strings.Repeat("x", 200), "error"},
	} {
		a, err := parseAddress(tc.driver, tc.text)
		got := a.target()
		if err != nil {
			got = "error"
		}
		if got != tc.target {
			t.Errorf("%s %q: %s, want %s (%v)", tc.driver, tc.text, got, tc.target, err)
		}
	}
}

// file is a configuration that has databases.
type file struct {
	Databases map[string]Config `yaml:"databases"`
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct{ text, problem string }{
		{"driver: pgsql\nhosts: [db1, /run/postgresql]\ndbname: mail\nuser: authd", ""},
		{"driver: sqlite\npath: /x", ""},
		{"driver: oracle", "oracle"},
		{"driver: pgsql", "hosts: there is none"},
		{"driver: mysql\nhosts: ['a:b:c']\ndbname: m\nuser: u", "hosts[0]"},
		{"driver: mysql\nhosts: [a]\nuser: u", "dbname: the name of the database is missing"},
		{"driver: mysql\nhosts: [a]\ndbname: m", "user: the name of the database user is missing"},
		{"driver: mysql\nhosts: [a]\ndbname: m\nuser: u\npgbouncer: true", "pgbouncer: is for pgsql only"},
		{"driver: mysql\nhosts: [a]\ndbname: m\nuser: u\npath: /x", "path: path and writable are for sqlite only"},
		{"driver: mysql\nhosts: [a]\ndbname: m\nuser: u\ntls: {cert_file: /x}", "cert_file and key_file go together"},
		{"driver: mysql\nhosts: [a]\ndbname: m\nuser: u\ntls: {mode: verify-ca}", "ca_file: is missing"},
		{"driver: mysql\nhosts: [a]\ndbname: m\nuser: u\nquery_timeout: 1ms", "query_timeout: 1ms is below"},
		{"driver: sqlite\npath: x", "path: \"x\" is not an absolute path"},
		{"driver: sqlite\npath: /x\nuser: u", "user: means nothing"},
	} {
		var f file
		text := "databases:\n  mail:\n    " + strings.ReplaceAll(tc.text, "\n", "\n    ") + "\n"
		err := conf.Parse("authd.yaml", []byte(text), &f)
		switch {
		case tc.problem == "" && err != nil:
			t.Errorf("%q: %v", tc.text, err)
		case tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)):
			t.Errorf("%q: %v, want %s", tc.text, err, tc.problem)
		}
	}
}

func TestPreset(t *testing.T) {
	var f file
	if err := conf.Parse("x", []byte("databases: {m: {hosts: [a], dbname: d, user: u, pool_size: 3}}"), &f); err != nil {
		t.Fatal(err)
	}
	c := f.Databases["m"]
	if c.PoolSize != 3 || c.QueryTimeout.Std() != 10*time.Second || c.TLS.Mode != tlsAuto || c.Driver != PgSQL {
		t.Errorf("%+v", c)
	}
}

// Mistakes in files that are named are found when a pool is opened.
func TestOpenReadsFiles(t *testing.T) {
	good := Config{Driver: MySQL, Hosts: []string{"db.example.org"}, DBName: "d", User: "u"}
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"good", func(c *Config) { c.PasswordFile = conf.SecretFile(secret) }, ""},
		{"no password file", func(c *Config) { c.PasswordFile = "/nonexistent" }, "/nonexistent"},
		{"no CA file", func(c *Config) { c.TLS.CAFile = "/nonexistent" }, "tls.ca_file"},
		{"CA file without certificates", func(c *Config) { c.TLS.CAFile = secret }, "holds no certificate"},
		{"no certificate", func(c *Config) { c.TLS.CertFile, c.TLS.KeyFile = "/nonexistent", "/nonexistent" }, "tls.cert_file"},
		{"no host", func(c *Config) { c.Hosts = nil }, "0 hosts are configured"},
		{"many hosts", func(c *Config) { c.Hosts = slices.Repeat(c.Hosts, 17) }, "17 hosts are configured"},
		{"bad host", func(c *Config) { c.Hosts = []string{"a:b:c"} }, "a:b:c"},
		{"bad driver", func(c *Config) { c.Driver = "x" }, "no driver"},
	} {
		c := good
		tc.edit(&c)
		p, err := Open(c, Options{Name: "mail"})
		if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err == nil {
			p.Close()
		}
	}
}

func TestEncrypt(t *testing.T) {
	for _, tc := range []struct {
		mode, host string
		want       string // of the three facts
	}{
		{tlsAuto, "/run/x", "plain"},
		{tlsAuto, "localhost", "plain"},
		{tlsAuto, "127.0.0.1", "plain"},
		{tlsAuto, "::1", "plain"},
		{tlsAuto, "db.example.org", "checked"},
		{tlsDisable, "db.example.org", "plain"},
		{tlsPrefer, "localhost", "either"},
		{tlsRequire, "localhost", "encrypted"},
		{tlsVerifyCA, "localhost", "checked"},
		{tlsVerifyFull, "localhost", "checked"},
		{tlsVerifyFull, "/run/x", "plain"},
	} {
		a, err := parseAddress(PgSQL, tc.host)
		if err != nil {
			t.Fatal(err)
		}
		e, err := TLS{Mode: tc.mode}.encrypt(a)
		got := "encrypted"
		switch {
		case e.config == nil:
			got = "plain"
		case e.plainToo:
			got = "either"
		case e.mustCheck && (!e.config.InsecureSkipVerify || e.config.VerifyConnection != nil):
			got = "checked"
		}
		if got != tc.want || err != nil {
			t.Errorf("%s to %s: %s %v, want %s", tc.mode, tc.host, got, err, tc.want)
		}
	}
}
