package mtad

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// explained runs a question in a world and returns what is printed.
func explained(t *testing.T, text string, q question) (string, error) {
	t.Helper()
	w := newWorld(t)
	file := filepath.Join(w.dir, "mtad.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := conf.Load(file, &w.cfg); err != nil {
		t.Fatal(err)
	}
	lines, err := conf.LoadLines(file, &Config{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	e := &explanation{out: &out, json: q.json, lines: lines, class: map[string]bool{}}
	err = e.run(context.Background(), w.cfg, q, parts{Resolver: w.zone, Patience: 50 * time.Millisecond})
	return strings.ReplaceAll(out.String(), w.dir, "DIR"), err
}

const explainConfig = `# a comment
domains:
  local: [host.example]
  alias:
    - alias.example
rewrite:
  myorigin: host.example
  virtual_alias_maps:
    - "inline:{ {list@alias.example = joe@ours.example, friend@far.example} }"
  alias_maps: ["inline:{ {root = joe@ours.example, friend@far.example} }"]
routes:
  slow.example: "slow:"
transports:
  slow: {type: smtp, tls: encrypt, next_hop: "[mx.far.example]:587"}
password_maps: ["inline:{ {[mx.far.example]:587 = joe:hush} {mx.far.example = mx:hush} }"]
remote: {tls_policy_maps: ["inline:{ {example.com = secure match=far.example} }"]}
luser_relay: lost+${local}@far.example
`

func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		name string
		q    question
		want string // lines that must be there, in this order
		err  bool
	}{
		{"alias from the Internet", question{from: "s@far.example", to: "list@alias.example", client: "198.51.100.1"}, `
class: alias.example -> alias   [domains.alias, DIR/mtad.yaml:4]
restriction: RCPT deny_relay -> no opinion
found: list@alias.example -> joe@ours.example, friend@far.example   [rewrite.virtual_alias_maps, DIR/mtad.yaml:8]
virtual alias: list@alias.example -> joe@ours.example, friend@far.example   [rewrite.virtual_alias_maps, DIR/mtad.yaml:8]
recipient: joe@ours.example
delivered by: joe@ours.example -> lmtp:unix:DIR/lmtp
recipient: friend@far.example
transport: friend@far.example -> smtp:far.example   [default_transport, default]
envelope: <s@far.example> to <friend@far.example>
hosts: far.example -> mx.far.example[192.0.2.1]:25
TLS: smtp -> none   [remote.tls, DIR/mtad.yaml:16]`, false},
		{"nobody", question{from: "s@far.example", to: "nobody@alias.example", client: "198.51.100.1"}, `
refused: RCPT -> 550 5.1.1 <nobody@alias.example>: Recipient address rejected: User unknown in virtual alias table`, true},
		{"no relay", question{from: "s@far.example", to: "x@far.example", client: "198.51.100.1"}, `
restriction: RCPT deny_relay -> 554 5.7.1 <x@far.example>: Relay access denied
refused: RCPT -> 554 5.7.1 <x@far.example>: Relay access denied`, true},
		{"a local name that does not exist", question{from: "joe", to: "nobody"}, `
does not exist: nobody@host.example -> lost+nobody@far.example   [luser_relay, DIR/mtad.yaml:17]
recipient: lost+nobody@far.example
transport: lost+nobody@far.example -> smtp:far.example   [default_transport, default]`, false},
		{"a local name", question{from: "joe", to: "root"}, `
complete: joe -> joe@host.example   [rewrite.myorigin, DIR/mtad.yaml:7]
alias: root@host.example (root) -> joe@ours.example, friend@far.example   [rewrite.alias_maps, DIR/mtad.yaml:10]
delivered by: joe@ours.example -> lmtp:unix:DIR/lmtp
envelope: <joe@host.example> to <friend@far.example>`, false},
		{"a login elsewhere", question{from: "joe@ours.example", to: "x@slow.example", auth: "joe@ours.example"}, `
transport: x@slow.example -> slow:[mx.far.example]:587   [routes, DIR/mtad.yaml:11]
hosts: [mx.far.example]:587 -> mx.far.example[192.0.2.1]:587
TLS: slow -> encrypt   [transports[slow].tls, DIR/mtad.yaml:14]
login: mx.far.example -> as mx, over TLS or to this host only`, false},
		{"TLS by the policy", question{from: "joe@ours.example", to: "x@example.com", auth: "joe@ours.example"}, `
hosts: example.com -> mx.far.example[192.0.2.1]:25
TLS: smtp -> secure   [remote.tls_policy_maps, DIR/mtad.yaml:16]`, false},
		{"takes no mail", question{from: "joe@ours.example", to: "x@null.example", auth: "joe"}, `
hosts: null.example -> Domain null.example does not accept mail (nullMX)`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := explained(t, explainConfig, tc.q)
			if (err != nil) != tc.err || tc.err && !fail.Is(err, fail.Denied) {
				t.Errorf("error %v", err)
			}
			rest := got
			for _, line := range strings.Split(strings.TrimSpace(tc.want), "\n") {
				_, after, ok := strings.Cut(rest, line+"\n")
				if !ok {
					t.Fatalf("missing, or out of order: %s\n%s", line, got)
				}
				rest = after
			}
			if strings.Contains(got, "hush") {
				t.Errorf("a password is shown:\n%s", got)
			}
		})
	}
}

func TestExplainJSON(t *testing.T) {
	got, err := explained(t, explainConfig, question{from: "s@far.example", to: "list@alias.example", client: "198.51.100.1", json: true})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		var step told
		if err := json.Unmarshal([]byte(line), &step); err != nil || step.What == "" {
			t.Fatalf("%s: %v", line, err)
		}
		found = found || step.What == "virtual alias" && step.Where == "DIR/mtad.yaml:8" && step.Key == "rewrite.virtual_alias_maps"
	}
	if !found {
		t.Errorf("no virtual alias in\n%s", got)
	}
}
