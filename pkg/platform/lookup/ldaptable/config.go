package ldaptable

import (
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
)

// config is what the file says.
type config struct {
	cf.Common
	targets  []ldapwire.Target
	startTLS bool
	tls      tlsFiles
	bind     string // how: "yes", "no"
	dn, pw   string
	timeout  time.Duration

	base, filter cf.Template
	scope, deref int
	sizeLimit    int
	depth        int

	plain, special, leaf, terminal []string // attributes
}

// tlsFiles is how to trust a server.
type tlsFiles struct {
	ca, cert, key string
	check         bool
}

// Caps of one lookup, whatever the file says.
const (
	maxDepth    = 50
	maxSearches = 1000
)

func read(f *cf.File, o lookup.Options) (*config, error) {
	c := &config{Common: f.Common(o), startTLS: f.Bool("start_tls", false), depth: f.Number("recursion_limit", maxDepth, 1, 100_000)}
	c.depth = min(c.depth, maxDepth)
	c.timeout = time.Duration(f.Number("timeout", 10, 1, 300)) * time.Second
	c.servers(f)
	c.login(f)
	c.tls = tlsFiles{f.Text("tls_ca_cert_file", ""), f.Text("tls_cert", ""), f.Text("tls_key", ""), f.Bool("tls_require_cert", false)}
	if (c.tls.cert == "") != (c.tls.key == "") {
		f.Failf("tls_cert", "tls_cert and tls_key belong together, one is missing")
	}
	c.sizeLimit = f.Number("size_limit", c.Limit, 0, cf.MaxValues)
	c.search(f)
	f.Ignore("use tls_ca_cert_file", "tls_ca_cert_dir")
	f.Ignore("", "version", "tls_random_file", "tls_cipher_suite", "debuglevel", "cache", "cache_expiry", "cache_size")
	if f.Number("chase_referrals", 0, 0, 1) != 0 {
		f.Ignore("references to other servers are not followed, they are an outage", "chase_referrals")
	}
	return c, f.Err()
}

func (c *config) servers(f *cf.File) {
	port := f.Text("server_port", "")
	hosts := f.List("server_host")
	if len(hosts) == 0 {
		hosts = []string{"localhost"}
	}
	for _, h := range hosts {
		if !strings.Contains(h, "://") {
			if port != "" && !strings.Contains(h, ":") {
				h += ":" + port
			}
			h = "ldap://" + h
		}
		t, err := ldapwire.ParseURI(h)
		f.Fail("server_host", err)
		c.targets = append(c.targets, t)
	}
}

func (c *config) login(f *cf.File) {
	c.dn, c.pw = f.Text("bind_dn", ""), f.Text("bind_pw", "")
	switch c.bind = strings.ToLower(f.Text("bind", "yes")); c.bind {
	case "yes", "simple":
		c.bind = "yes"
		if (c.dn == "") != (c.pw == "") {
			f.Failf("bind_dn", "bind_dn and bind_pw belong together, one is missing")
		}
	case "no", "none":
		c.bind = "no"
	default:
		f.Failf("bind", "only yes and no are supported")
	}
}

func (c *config) search(f *cf.File) {
	var err error
	base := f.Text("search_base", "")
	if base == "" {
		f.Failf("search_base", "it is missing")
	}
	c.base, err = cf.ParseTemplate(base)
	f.Fail("search_base", err)
	c.filter, err = cf.ParseTemplate(f.Text("query_filter", "(mailacceptinggeneralid=%s)"))
	f.Fail("query_filter", err)
	if text, _ := c.filter.Expand(cf.Split("a@a.a.a.a.a.a.a.a.a"), ldap.EscapeFilter); err == nil {
		if _, err := ldap.CompileFilter(parenthesize(text)); err != nil {
			f.Failf("query_filter", "it is no filter: %.200v", err)
		}
	}
	switch scope := f.Text("scope", "sub"); scope {
	case "sub":
		c.scope = ldap.ScopeWholeSubtree
	case "one":
		c.scope = ldap.ScopeSingleLevel
	case "base":
		c.scope = ldap.ScopeBaseObject
	default:
		f.Failf("scope", "%.20q is not sub, one or base", scope)
	}
	c.deref = f.Number("dereference", 0, 0, 3)
	c.terminal, c.leaf, c.special = f.List("terminal_result_attribute"), f.List("leaf_result_attribute"), f.List("special_result_attribute")
	if f.Has("result_attribute") {
		c.plain = f.List("result_attribute")
	} else {
		c.plain = []string{"maildrop"}
	}
}

// parenthesize: the C library takes a filter without them.
func parenthesize(filter string) string {
	if strings.HasPrefix(filter, "(") {
		return filter
	}
	return "(" + filter + ")"
}

// attributes are all that a search asks for.
func (c *config) attributes() []string {
	var all []string
	for _, list := range [][]string{c.terminal, c.plain, c.leaf, c.special} {
		all = append(all, list...)
	}
	return all
}

// query is what a key asks; ok is false when it lacks a part.
func (c *config) query(key cf.Address) (base, filter string, ok bool, err error) {
	if base, ok = c.base.Expand(key, ldap.EscapeDN); !ok {
		return "", "", false, nil
	}
	if filter, ok = c.filter.Expand(key, ldap.EscapeFilter); !ok {
		return "", "", false, nil
	}
	filter = parenthesize(filter)
	if len(filter) > maxFilter {
		return "", "", false, fail.New(fail.Invalid, "the filter is longer than %d bytes", maxFilter)
	}
	return base, filter, true, nil
}

// maxFilter caps what is sent; keys are addresses and the like.
const maxFilter = 64 << 10
