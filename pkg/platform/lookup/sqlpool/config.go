package sqlpool

import (
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// The drivers, by Dovecot's names.
const (
	PgSQL  = "pgsql"
	MySQL  = "mysql"
	SQLite = "sqlite"
)

// ldap is not ours: entries of databases can be directories, too.
const ldap = "ldap"

// balanceRoundRobin is the value of `balance` that spreads.
const balanceRoundRobin = "round_robin"

// Config is one database.
type Config struct {
	Driver         string          `yaml:"driver" oneof:"pgsql|mysql|sqlite|ldap" doc:"pgsql: PostgreSQL. mysql: MySQL and MariaDB. sqlite: a file. ldap: a directory, whose settings are in the section ldap."`
	Hosts          []string        `yaml:"hosts" max:"16" example:"[db1.example.org, \"db2.example.org:5433\"]" doc:"Servers that hold the same data, each as host, host:port, [ipv6]:port or the path of a Unix socket (for PostgreSQL also of its folder)."`
	Balance        string          `yaml:"balance" oneof:"first|round_robin" doc:"first: the first host that works is asked, so that the others only stand in for it. round_robin: all of them share the load."`
	DBName         string          `yaml:"dbname" example:"mail" doc:"Name of the database on the server."`
	User           string          `yaml:"user" example:"authd" doc:"Whom the database server knows us as."`
	PasswordFile   conf.SecretFile `yaml:"password_file" example:"/etc/postcote/authd/db-password" doc:"File with the password of that user. It is read for each new connection."`
	TLS            TLS             `yaml:"tls" doc:"Encryption on the way to the hosts."`
	PgBouncer      bool            `yaml:"pgbouncer" doc:"The hosts are pgbouncer (or another pooler) and hand each transaction to another server: keep no prepared statements there. Values still travel apart from the text. pgsql only."`
	Path           string          `yaml:"path" path:"read" example:"/var/lib/postcote/authd/users.sqlite" doc:"The file of an sqlite database."`
	Writable       bool            `yaml:"writable" doc:"Open the file for writing as well, which updates of passwords need. sqlite only."`
	PoolSize       int             `yaml:"pool_size" min:"1" max:"1000" doc:"Connections at a time, over all hosts. Two more may be open while users are listed."`
	ConnectTimeout conf.Duration   `yaml:"connect_timeout" min:"100ms" max:"1m" doc:"How long a host may take to accept a connection and a login."`
	QueryTimeout   conf.Duration   `yaml:"query_timeout" min:"100ms" max:"5m" doc:"How long a host may take over a query, and a query may wait for a connection; then the next host is asked. For sqlite also how long a locked file is waited for."`
	RetryAfter     conf.Duration   `yaml:"retry_after" min:"100ms" max:"1h" doc:"Longest time for which a host that failed is left alone. The first time is half a second, then it doubles."`

	password string // from a file of Dovecot's, where it stands in the text
}

// TLS is the `tls` section of a database.
type TLS struct {
	Mode     string `yaml:"mode" oneof:"auto|disable|prefer|require|verify-ca|verify-full" doc:"As PostgreSQL's sslmode. disable: none. prefer: if the server can. require: always, whoever the server is. verify-ca: its certificate must come from ca_file. verify-full: and name the host. auto: none to this machine (Unix sockets, loopback addresses), verify-full to others."`
	CAFile   string `yaml:"ca_file" path:"read" example:"/etc/postcote/authd/db-ca.pem" doc:"PEM file with the authorities to trust; empty means the system's."`
	CertFile string `yaml:"cert_file" path:"read" doc:"PEM file with a certificate to show to the server."`
	KeyFile  string `yaml:"key_file" path:"read" doc:"PEM file with its private key."`
}

// The values of TLS.Mode.
const (
	tlsAuto       = "auto"
	tlsDisable    = "disable"
	tlsPrefer     = "prefer"
	tlsRequire    = "require"
	tlsVerifyCA   = "verify-ca"
	tlsVerifyFull = "verify-full"
)

// Preset gives an entry its defaults before it is read.
func (c *Config) Preset() { *c = Config{}.withDefaults() }

// withDefaults fills in what is unset.
func (c Config) withDefaults() Config {
	if c.Driver == "" {
		c.Driver = PgSQL
	}
	if c.Balance == "" {
		c.Balance = "first"
	}
	if c.TLS.Mode == "" {
		c.TLS.Mode = tlsAuto
	}
	if c.PoolSize == 0 {
		c.PoolSize = 10
	}
	for _, d := range []struct {
		value *conf.Duration
		std   time.Duration
	}{{&c.ConnectTimeout, 5 * time.Second}, {&c.QueryTimeout, 10 * time.Second}, {&c.RetryAfter, 30 * time.Second}} {
		if *d.value == 0 {
			*d.value = conf.Duration(d.std)
		}
	}
	return c
}

// WithPassword is c with the password itself instead of the file that holds
// it. It is never written out.
func (c Config) WithPassword(password string) Config {
	c.password = password
	return c
}

// secret is the password now.
func (c Config) secret() (string, error) {
	if c.PasswordFile == "" {
		return c.password, nil
	}
	return c.PasswordFile.Read()
}

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	if c.Driver == ldap {
		return
	}
	if c.Driver == SQLite {
		c.validateFile(p)
		return
	}
	if len(c.Hosts) == 0 {
		p.At("hosts").Hint("such as localhost, or the path of a Unix socket").Errorf("there is none")
	}
	for i, h := range c.Hosts {
		if _, err := parseAddress(c.Driver, h); err != nil {
			p.At("hosts[%d]", i).Errorf("%v", err)
		}
	}
	if c.DBName == "" {
		p.At("dbname").Errorf("the name of the database is missing")
	}
	if c.User == "" {
		p.At("user").Errorf("the name of the database user is missing")
	}
	if c.PgBouncer && c.Driver != PgSQL {
		p.At("pgbouncer").Errorf("is for pgsql only")
	}
	if c.Path != "" || c.Writable {
		p.At("path").Hint("use hosts and dbname").Errorf("path and writable are for sqlite only")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		p.At("tls").Errorf("cert_file and key_file go together")
	}
	if c.TLS.Mode == tlsVerifyCA && c.TLS.CAFile == "" {
		p.At("tls.ca_file").Hint("or use verify-full").Errorf("is missing: any certificate that the public authorities ever signed would do")
	}
}

func (c Config) validateFile(p *conf.Reporter) {
	if !strings.HasPrefix(c.Path, "/") {
		p.At("path").Errorf("%q is not an absolute path", c.Path)
	}
	for key, set := range map[string]bool{
		"hosts": len(c.Hosts) > 0, "dbname": c.DBName != "", "user": c.User != "",
		"password_file": c.PasswordFile != "", "pgbouncer": c.PgBouncer,
	} {
		if set {
			p.At(key).Errorf("means nothing to an sqlite database")
		}
	}
}
