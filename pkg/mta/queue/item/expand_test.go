package item

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// RFC 3461 section 5.2.7: what becomes of the parameters of an alias.
func TestExpand(t *testing.T) {
	at := func(s string) addr.Address { return addr.Address{Local: s, Domain: "x.example"} }
	for _, c := range []struct {
		notify Notify
		to     string
		want   string // address, original, NOTIFY
	}{
		{0, "a", "a<team:"},
		{NotifySuccess, "a", "a<team:SUCCESS"},
		{NotifySuccess | NotifyFailure, "a b", "team<:SUCCESS+ a<team:FAILURE b<team:FAILURE"},
		{NotifySuccess, "a b", "team<:SUCCESS+ a<team:NEVER b<team:NEVER"},
		{NotifyNever, "a b", "a<team:NEVER b<team:NEVER"},
		{0, "a team", "a<team: team<:"},
	} {
		var list []addr.Address
		for _, s := range strings.Fields(c.to) {
			list = append(list, at(s))
		}
		var got []string
		for _, r := range Expand(Recipient{Addr: at("team"), Notify: c.notify, ORCPT: "rfc822;t"}, list) {
			text := r.Addr.Local + "<" + r.Original.Local + ":" + r.Notify.String()
			if r.Notify&NotifyExpanded != 0 {
				text += "+"
			}
			if got = append(got, text); r.ORCPT != "rfc822;t" {
				t.Errorf("ORCPT %q", r.ORCPT)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v to %s: %s, want %s", c.notify, c.to, s, c.want)
		}
	}
}
