package redistable

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
)

// poolSize is how many connections a table gets.
const poolSize = 10

// The commands that a key is looked up with.
const (
	get      = "get"      // the value of KEY
	hget     = "hget"     // field FIELD of the hash KEY
	smembers = "smembers" // the members of the set KEY
)

// config is what the file says.
type config struct {
	cf.Common
	options *goredis.UniversalOptions
	command string
	key     cf.Template
	field   cf.Template
	timeout time.Duration
}

func read(f *cf.File, o lookup.Options) (*config, error) {
	c := &config{Common: f.Common(o)}
	c.timeout = time.Duration(f.Number("timeout", 5, 1, 300)) * time.Second
	c.server(f)
	c.query(f)
	return c, f.Err()
}

// server reads how to reach it.
func (c *config) server(f *cf.File) {
	port := strconv.Itoa(f.Number("port", 6379, 1, 65535))
	hosts := f.List("hosts")
	if f.Set("host") {
		hosts = append(hosts, f.List("host")...)
	}
	if len(hosts) == 0 {
		hosts = []string{"localhost"}
	}
	for i, h := range hosts {
		switch {
		case strings.HasPrefix(h, "unix:"):
			hosts[i] = strings.TrimPrefix(h, "unix:")
		case strings.HasPrefix(h, "/"):
		default:
			if _, _, err := net.SplitHostPort(h); err != nil {
				hosts[i] = net.JoinHostPort(strings.Trim(h, "[]"), port)
			}
		}
	}
	f.Ignore("", "host", "hosts")
	c.options = &goredis.UniversalOptions{
		Addrs: hosts, MasterName: f.Text("sentinel_master", ""), IsClusterMode: f.Bool("cluster", false),
		Username: f.Text("user", ""), Password: f.Text("password", ""), DB: f.Number("db", 0, 0, 1_000_000),
		DialTimeout: c.timeout, ReadTimeout: c.timeout, WriteTimeout: c.timeout, PoolTimeout: c.timeout,
		ContextTimeoutEnabled: true, MaxRetries: 1, DialerRetries: 1, PoolSize: poolSize, DisableIdentity: true,
	}
	if len(hosts) > 1 && c.options.MasterName == "" && !c.options.IsClusterMode {
		f.Failf("hosts", "several are the nodes of a cluster, or sentinels: write cluster = yes, or sentinel_master")
	}
	ca := f.Text("tls_ca_cert_file", "")
	if f.Bool("tls", false) {
		var err error
		c.options.TLSConfig, err = trust(ca)
		f.Fail("tls_ca_cert_file", err)
	}
}

func trust(file string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return t, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fail.New(fail.Invalid, "%s holds no certificate", file)
	}
	return t, nil
}

// query reads what is asked.
func (c *config) query(f *cf.File) {
	key := f.Text("query", "%s")
	if prefix := f.Text("prefix", ""); prefix != "" {
		key = strings.ReplaceAll(prefix, "%", "%%") + key
	}
	var err error
	c.key, err = cf.ParseTemplate(key)
	f.Fail("query", err)
	if c.key.Fixed() && !f.Set("field") {
		f.Failf("query", "every key has the same answer: %%s is missing")
	}
	c.command = strings.ToLower(f.Text("command", ""))
	if c.command == "" {
		c.command = get
		if f.Set("field") {
			c.command = hget
		}
	}
	switch c.command {
	case get, smembers:
		if f.Set("field") {
			f.Failf("field", "only hget has one")
		}
	case hget:
		c.field, err = cf.ParseTemplate(f.Text("field", "%s"))
		f.Fail("field", err)
	default:
		f.Failf("command", "only get, hget and smembers are supported")
	}
}
