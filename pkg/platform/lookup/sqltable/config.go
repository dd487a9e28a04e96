package sqltable

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// poolSize is how many connections a database gets; Postfix opens one for
// each process.
const poolSize = 10

// mysqlSockets are where the C library finds "localhost".
var mysqlSockets = [...]string{"/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"}

// pgFolder is where PostgreSQL's library looks for a server when no host is
// named.
const pgFolder = "/var/run/postgresql"

// database reads how to reach the database. identity tells databases apart.
func database(driver string, f *cf.File) (cfg sqlpool.Config, identity string) {
	cfg = sqlpool.Config{Driver: driver, PoolSize: poolSize, QueryTimeout: conf.Duration(10 * time.Second), ConnectTimeout: conf.Duration(5 * time.Second)}
	if driver == sqlpool.SQLite {
		cfg.Path = f.Text("dbpath", "")
		if !strings.HasPrefix(cfg.Path, "/") {
			f.Failf("dbpath", "%q is not an absolute path", cfg.Path)
		}
		return cfg, fmt.Sprintf("%q", []string{driver, cfg.Path})
	}
	password := f.Text("password", "")
	cfg.User, cfg.DBName = f.Text("user", ""), f.Text("dbname", "")
	cfg.RetryAfter = conf.Duration(time.Duration(f.Number("retry_interval", 60, 1, 3600)) * time.Second)
	f.Ignore("", "idle_interval", "encoding", "charset", "require_result_set")
	f.Ignore("files of the C library are not read; write user, password and hosts here", "option_file", "option_group")
	if driver == sqlpool.MySQL {
		cfg.TLS = mysqlTLS(f)
		cfg.Hosts = hosts(f, mysqlHost, "localhost")
	} else {
		cfg.TLS.Mode = "prefer" // what the C library does
		password = uris(f, &cfg, password)
		if len(cfg.Hosts) == 0 {
			cfg.Hosts = hosts(f, pgHost, pgFolder)
		}
	}
	if len(cfg.Hosts) > 1 && !slices.ContainsFunc(cfg.Hosts, isSocket) {
		cfg.Balance = "round_robin" // Postfix takes one by chance
	}
	identity = fmt.Sprintf("%q %d", append([]string{driver, cfg.User, password, cfg.DBName, fmt.Sprint(cfg.TLS)}, cfg.Hosts...), cfg.RetryAfter)
	return cfg.WithPassword(password), identity
}

func isSocket(host string) bool { return strings.HasPrefix(host, "/") }

// hosts reads the setting hosts, sockets first, as Postfix prefers them.
func hosts(f *cf.File, read func(string) string, def string) []string {
	list := f.List("hosts")
	if len(list) == 0 {
		list = []string{def}
	}
	var sockets, others []string
	for _, h := range list {
		if h = read(h); isSocket(h) {
			sockets = append(sockets, h)
		} else {
			others = append(others, h)
		}
	}
	return append(sockets, others...)
}

// mysqlHost: "localhost" is a socket to the C library.
func mysqlHost(h string) string {
	if path, found := strings.CutPrefix(h, "unix:"); found {
		return path
	}
	h = strings.TrimPrefix(h, "inet:")
	if h == "localhost" {
		for _, path := range mysqlSockets {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	return h
}

func pgHost(h string) string {
	if path, found := strings.CutPrefix(h, "unix:"); found {
		return path
	}
	return strings.TrimPrefix(h, "inet:")
}

// mysqlTLS is off unless something about it is set, as in the C library.
func mysqlTLS(f *cf.File) sqlpool.TLS {
	t := sqlpool.TLS{Mode: "disable", CAFile: f.Text("tls_CAfile", ""), CertFile: f.Text("tls_cert_file", ""), KeyFile: f.Text("tls_key_file", "")}
	f.Ignore("Go chooses the ciphers", "tls_ciphers")
	f.Ignore("use tls_CAfile", "tls_CApath")
	if t.CertFile != "" && t.KeyFile == "" {
		t.KeyFile = t.CertFile
	}
	switch {
	case f.Bool("tls_verify_cert", false):
		t.Mode = "verify-full"
	case t.CAFile != "" || t.CertFile != "":
		t.Mode = "require"
	}
	return t
}

// uris reads hosts of the form postgresql://user:password@host:port/dbname. One
// of them stands for all: they have to agree in all but the host.
func uris(f *cf.File, cfg *sqlpool.Config, password string) string {
	list := f.List("hosts")
	if !slices.ContainsFunc(list, isURI) {
		return password
	}
	for i, text := range list {
		u, err := url.Parse(text)
		if err != nil || !isURI(text) {
			f.Failf("hosts", "entry %d is no URI, and another one is", i+1)
			return password
		}
		if host := u.Query().Get("host"); host != "" {
			u.Host = host
		}
		if u.User != nil {
			cfg.User = u.User.Username()
			if p, set := u.User.Password(); set {
				password = p
			}
		}
		if name := strings.TrimPrefix(u.Path, "/"); name != "" {
			cfg.DBName = name
		}
		if mode := u.Query().Get("sslmode"); mode != "" && mode != "allow" {
			cfg.TLS.Mode = mode
		}
		cfg.TLS.CAFile = u.Query().Get("sslrootcert")
		host := u.Host
		switch {
		case isSocket(host):
		case host == "":
			host = pgFolder
		case u.Port() == "":
			host = net.JoinHostPort(u.Hostname(), "5432")
		}
		cfg.Hosts = append(cfg.Hosts, host)
	}
	return password
}

func isURI(s string) bool {
	return strings.HasPrefix(s, "postgresql://") || strings.HasPrefix(s, "postgres://")
}

// validate finds what sqlpool would only find later.
func validate(cfg sqlpool.Config) error {
	if cfg.Driver == sqlpool.SQLite {
		return nil
	}
	if cfg.User == "" || cfg.DBName == "" {
		return fail.New(fail.Invalid, "user or dbname is missing")
	}
	return nil
}
