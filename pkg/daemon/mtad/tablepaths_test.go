package mtad

import (
	"fmt"
	"strings"
	"testing"
)

// `mtad check` tries the files of all tables, wherever the configuration names
// them, also inside of others.
func TestCheckKnowsTheFilesOfTables(t *testing.T) {
	cfg, problems := load(`
domains:
  tables: ["unionmap:{texthash:/etc/d/one, proxy:hash:/etc/d/two}"]
  local: [host.example]
rewrite:
  alias_maps: ["hash:/etc/d/aliases"]
  virtual_alias_maps: ["pcre:/home/d/virtual", "inline:{a=b}"]
transport_maps: ["socketmap:unix:/run/d/routes:routes", "regexp:/etc/d/patterns", "pcre:/etc/d/transport"]
password_maps: ["sqlite:/etc/d/sqlite.cf"]
remote: {tls_policy_maps: ["texthash:/etc/d/tls"]}
`)
	if problems != nil {
		t.Fatal(problems)
	}
	var got []string
	for _, use := range tablePaths(&cfg) {
		got = append(got, fmt.Sprintf("%s %s", use.Use, use.Path))
	}
	all := strings.Join(got, "\n") + "\n"
	for _, want := range []string{
		"read /etc/d/one", "read /etc/d/two", "read /etc/d/aliases", "read /home/d/virtual", "connect /run/d/routes", "read /etc/d/sqlite.cf", "read /etc/d/tls", "read /etc/d/transport",
		"connect /run/postcote-deliverd/lmtp", "read /etc/d/patterns",
	} {
		if strings.Count(all, want+"\n") != 1 {
			t.Errorf("%s is missing, or there twice, in\n%s", want, all)
		}
	}
	if len(got) != 10 {
		t.Errorf("%d paths:\n%s", len(got), all)
	}
}
