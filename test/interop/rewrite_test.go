//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The same tables lead to the same recipients in Postfix and in mtad.
func TestRewritingAsPostfixDoes(t *testing.T) {
	need(t, "postfix", "postalias", "curl")
	dir := t.TempDir()
	run(t, "", "chmod", "755", dir, filepath.Dir(dir))
	list := write(t, filepath.Join(dir, "list"), "# members\njoe\nann@far.test, \"Bob B\" <bob@far.test>\n", 0o644)
	virtual := write(t, filepath.Join(dir, "virtual"), `v.test anything
all@v.test joe@box.test, ann@far.test
 , "Bob, B." <bob@far.test>
nested@v.test all@v.test, nested@v.test
detail+x@v.test special@far.test
detail@v.test plain@far.test
name@v.test root
both@v.test host.name, "quoted name"@far.test
star@v.test @moved.test
@moved.test @box.test
@catch.test catch@far.test
root@host.test admin@far.test, root@host.test
joe@box.test joe@box.test
chain1@v.test chain2@v.test
chain2@v.test chain3@v.test
chain3@v.test end@far.test (a comment)
bare bare@far.test
`, 0o644)
	canonical := write(t, filepath.Join(dir, "canonical"), `old@box.test new@box.test
new@box.test newest@box.test
@gone.test @box.test
login real.name@host.test
`, 0o644)
	aliases := write(t, filepath.Join(dir, "aliases"), fmt.Sprintf(`postmaster: staff
staff: joe, carol@far.test,
	dave
joe: \joe, copy@far.test
self: self, other@far.test
team: :include:%s
owner-team: boss@far.test
"quoted name": q@far.test
circle: circle2
circle2: circle
user: base@far.test
`, list), 0o644)
	write(t, filepath.Join(dir, "main.cf"), "compatibility_level = 3.6\n", 0o644)
	run(t, "", "postalias", "-c", dir, "hash:"+aliases)
	p := startPostfix(t, fmt.Sprintf(`mydestination = host.test
myorigin = host.test
recipient_delimiter = +
virtual_alias_maps = texthash:%s
virtual_alias_domains = v.test, catch.test, moved.test
canonical_maps = texthash:%s
alias_maps = hash:%s
virtual_mailbox_domains = box.test
virtual_mailbox_maps =
virtual_transport = discard:
default_transport = discard:
mailbox_transport = discard:`, virtual, canonical, aliases))
	conf := write(t, filepath.Join(dir, "mtad.yaml"), fmt.Sprintf(`hostname: postfix.test
domains: {mailbox: [box.test], alias: [v.test, catch.test, moved.test], local: [host.test], tables: []}
exists_socket: ""
virtual_transport: "discard:"
default_transport: "discard:"
deliver: {lmtp: "unix:/nonexistent"}
rewrite:
  myorigin: host.test
  virtual_alias_maps: ["texthash:%s"]
  canonical_maps: ["texthash:%s"]
  alias_maps: ["hash:%s"]
`, virtual, canonical, aliases), 0o644)
	for i, to := range []string{
		"joe@box.test", "all@v.test", "nested@v.test", "detail@v.test", "detail+x@v.test", "detail+y@v.test", "name@v.test", "both@v.test",
		"star@v.test", "star+z@v.test", "any@moved.test", "any+d@catch.test", "root@host.test", "chain1@v.test", "Chain1@V.Test", "bare@host.test", "bare@far.test",
		"old@box.test", "old+d@box.test", "x+y@gone.test", "login@host.test", "login@far.test",
		"postmaster@host.test", "staff@host.test", "joe@host.test", "joe+x@host.test", "self@host.test", "team@host.test", "circle@host.test",
		"user@host.test", "user+x@host.test", "nobody@host.test",
	} {
		mark := fmt.Sprintf("case%d@postfix.test", i)
		want := explained(t, conf, mark, to)
		run(t, letter(mark, to, mark), "curl", "-sS", "--mail-from", mark, "--mail-rcpt", to, "-T", "-", fmt.Sprintf("smtp://127.0.0.1:%d", p.port))
		var got []string
		for end := time.Now().Add(patience); time.Now().Before(end) && !slices.Equal(got, want); time.Sleep(50 * time.Millisecond) {
			got = p.delivered(t, mark)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: Postfix delivers to %v, mtad to %v", to, got, want)
		}
	}
}

// explained is where mtad would deliver.
func explained(t *testing.T, conf, from, to string) []string {
	t.Helper()
	out, err := try("", "../../bin/mtad", "explain", "-c", conf, "--from", from, "--to", to, "--json")
	if err != nil {
		t.Errorf("%s: %v\n%s", to, err, out[max(0, len(out)-1000):])
	}
	var list []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var s struct{ What, Input string }
		_ = json.Unmarshal([]byte(line), &s) // an error message is no step
		if s.What == "delivered by" {
			list = append(list, s.Input)
		}
	}
	return distinct(list)
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

var (
	fromLine = regexp.MustCompile(`postfix/cleanup\[\d+\]: (\w+): message-id=<([^>]*)>`)
	sentLine = regexp.MustCompile(`postfix/discard\[\d+\]: (\w+): to=<([^>]*)>.*status=sent`)
)

// delivered is where Postfix has delivered the message with a Message-ID, and
// those that it became.
func (p *postfix) delivered(t *testing.T, id string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "maillog"))
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, m := range fromLine.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[2], id) {
			ours[m[1]] = true
		}
	}
	var list []string
	for _, m := range sentLine.FindAllStringSubmatch(string(text), -1) {
		if ours[m[1]] {
			list = append(list, m[2])
		}
	}
	return distinct(list)
}
