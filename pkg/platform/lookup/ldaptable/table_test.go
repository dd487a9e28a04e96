package ldaptable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
)

func settings(t *testing.T, text string) (*config, error) {
	t.Helper()
	f, err := cf.Read("f", strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return read(f, lookup.Options{})
}

func TestConfig(t *testing.T) {
	c, err := settings(t, "server_host = a ldaps://b ldapi://%2Frun%2Fldapi\nserver_port = 390\nsearch_base = dc=x\nresult_attribute =\nleaf_result_attribute = mail, alias\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, target := range c.targets {
		got = append(got, target.Addr)
	}
	if want := "a:390 b:636 /run/ldapi"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %s", got, want)
	}
	if got := strings.Join(c.attributes(), " "); got != "mail alias" {
		t.Error(got)
	}
	for _, bad := range []string{
		"", "search_base = dc=x\nscope = all", "search_base = dc=x\nbind = sasl", "search_base = dc=x\nbind_dn = cn=a", "search_base = dc=x\nquery_filter = (a",
		"search_base = dc=x\nquery_filter = (%x=1)", "search_base = dc=x\nserver_host = http://x", "search_base = dc=x\ntls_cert = /c", "search_base = dc=x\ntimeout = 0",
	} {
		if _, err := settings(t, bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// No key changes what is asked.
func TestQuery(t *testing.T) {
	c, err := settings(t, "search_base = ou=%d,dc=x\nquery_filter = (&(mail=%s)(uid=%u))\n")
	if err != nil {
		t.Fatal(err)
	}
	base, filter, ok, err := c.query(cf.Split("joe@example.org"))
	if base != "ou=example.org,dc=x" || filter != "(&(mail=joe@example.org)(uid=joe))" || !ok || err != nil {
		t.Error(base, filter, ok, err)
	}
	for _, key := range []string{"joe", "@example.org", "joe@", ""} {
		if _, _, ok, _ := c.query(cf.Split(key)); ok {
			t.Errorf("%q is asked for", key)
		}
	}
	for _, evil := range []string{"*)(uid=*", "a)(|(uid=*)", `\2a`, "a,dc=y", "a+b", "a\x00b", "ä*", "#a", " a "} {
		base, filter, _, err := c.query(cf.Split(evil + "@" + evil))
		if err != nil {
			t.Fatal(err)
		}
		packet, err := ldap.CompileFilter(filter)
		if err != nil || len(packet.Children) != 2 {
			t.Errorf("%q: filter %s", evil, filter)
		}
		dn, err := ldap.ParseDN(base)
		if err != nil || len(dn.RDNs) != 2 || len(dn.RDNs[0].Attributes) != 1 {
			t.Errorf("%q: base %s", evil, base)
		}
	}
}

func TestAway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.cf")
	if err := os.WriteFile(file, []byte("server_host = ldapi://%2Fnonexistent\nsearch_base = dc=x\nbind = no\ndomain = example.org\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := Open(file, lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Lookup(t.Context(), "joe@example.org"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	for _, key := range []string{"joe@example.net", "joe", "joe\xff@example.org"} {
		if _, err := table.Lookup(t.Context(), key); !fail.Is(err, fail.NotFound) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if err := lookup.Check(t.Context(), table); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	if _, err := Open("relative", lookup.Options{}); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
}

func FuzzURL(f *testing.F) {
	f.Add("ldap:///ou=people,dc=x?mail?sub?(uid=*)")
	f.Add("ldap://h/dc=x??one?%zz")
	f.Fuzz(func(t *testing.T, ref string) {
		x := expansion{cfg: &config{plain: []string{"mail"}}}
		r := &ldap.SearchRequest{Attributes: x.cfg.attributes()}
		if err := x.fromURL(r, ref); err == nil && len(r.Attributes) == 0 {
			t.Fatal("all attributes are asked for")
		}
	})
}
