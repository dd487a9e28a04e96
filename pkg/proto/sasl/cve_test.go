package sasl

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// CVE-2026-33603: channel binding could be faked, so that a man in the middle
// got in. Only the data of the connection that the server knows counts, and a
// client that saw no mechanism with channel binding, where one was offered, was
// lied to.
func TestChannelBindingCannotBeFaked(t *testing.T) {
	for _, m := range Mechanisms() {
		if !strings.HasPrefix(m.Name, "SCRAM-") {
			continue
		}
		plus := strings.HasSuffix(m.Name, "-PLUS")
		set := Setting{PlusOffered: true}
		begins := func(first string, bindings map[string]string) error {
			p := &people{t: t, passwords: map[string]string{"alice": "secret"}, bindings: bindings, iter: 2}
			_, done, err := m.NewServer(p, set).Next([]byte(first))
			if done {
				t.Errorf("%s: %q lets somebody in", m.Name, first)
			}
			return err
		}
		ours := map[string]string{BindingExporter: "ours"}
		for first, refused := range map[string]bool{
			"y,,n=alice,r=x":                true, // downgraded, or a server of another kind
			"n,,n=alice,r=x":                plus,
			"p=tls-exporter,,n=alice,r=x":   !plus,
			"p=tls-unique,,n=alice,r=x":     true,
			"p=,,n=alice,r=x":               true,
			"p=TLS-EXPORTER,,n=alice,r=x":   true,
			"p=tls-exporter,p=,n=alice,r=x": true,
		} {
			if err := begins(first, ours); (err != nil) != refused {
				t.Errorf("%s: %q: %v", m.Name, first, err)
			}
		}
		if !plus {
			continue
		}
		if err := begins("p=tls-exporter,,n=alice,r=x", nil); err == nil {
			t.Errorf("%s: no data of the connection, and nobody minds", m.Name)
		}
		for theirs, in := range map[string]bool{"ours": true, "another connection's": false, "our": false, "ours\x00": false, "": false} {
			p := &people{passwords: map[string]string{"alice": "secret"}, bindings: ours}
			c := Credentials{Authcid: "alice", Password: "secret", Binder: &people{t: t, bindings: map[string]string{BindingExporter: theirs}}}
			_, err := exchange(t, m, set, c, p)
			if (err == nil) != in || !in && theirs != "" && !fail.Is(err, fail.Denied) {
				t.Errorf("%s bound to %q: %v", m.Name, theirs, err)
			}
		}
	}
}
