package gate

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/rewrite"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// FuzzRelay: whatever a stranger writes for a recipient, what is taken stays
// with us. The address that is delivered to is of a domain of ours, names no
// further host, and looks like no option; and it is the one that was decided
// about.
func FuzzRelay(f *testing.F) {
	for _, s := range []string{
		"joe@ours.example", "joe@relayed.example", "r@far.example", "@ours.example:r@far.example", "@a,@b:joe@ours.example",
		"r%far.example@ours.example", "far.example!r@relayed.example", `"r@far.example"@relayed.example`, `"r%far"@relayed.example`,
		"r@[192.0.2.1]", "r@[IPv6:::1]", "joe@ours.example.", "JOE@OURS.EXAMPLE", "joe@xn--mnchen-3ya.example", "joe@münchen.example",
		"-oQ@ours.example", `"-x"@ours.example`, "joe", "postmaster", "postmaster@mx.ours.example", "r%far.example", "far.example!r", "joe@host", "list+x@alias.example", "joe@.ours.example",
	} {
		f.Add(s)
	}
	routes, err := route.New(route.Config{
		Hostname: "mx.ours.example", Mailboxes: []string{"ours.example", "münchen.example"}, RelayTo: []string{"relayed.example"}, Aliases: []string{"alias.example"},
		Local: route.Hop{Transport: route.LMTP, Socket: "/x"}, Delimiter: "+",
	})
	if err != nil {
		f.Fatal(err)
	}
	virtual, err := maps.Open("virtual_alias_maps", []string{"inline:{ {list@alias.example = joe@ours.example} }"}, lookup.Options{})
	if err != nil {
		f.Fatal(err)
	}
	engine, err := rewrite.New(rewrite.Config{
		Origin: "ours.example", Domain: "ours.example", AppendDot: true, SwapBang: true, PercentHack: true, Delims: "+",
		VirtualAlias: virtual, PropagateVirtual: true,
	})
	if err != nil {
		f.Fatal(err)
	}
	g := New(Config{Routes: routes, Rewriting: engine})
	mx := MX()
	f.Fuzz(func(t *testing.T, text string) {
		given, err := addr.Parse(text)
		if err != nil || given.Null() {
			return
		}
		ctx := context.Background()
		rcpt := given
		if rcpt.Domain != "" { // as a session completes the address of a stranger
			rcpt = engine.Complete(ctx, rcpt)
		}
		v := g.Check(ctx, &mx, Rcpt, Facts{Peer: netip.MustParseAddr("198.51.100.9"), Rcpt: rcpt})
		if v.Refused() {
			return
		}
		resolved, err := routes.Resolve(ctx, given)
		if err != nil {
			t.Fatal(err)
		}
		if resolved, err = engine.Recipient(ctx, resolved); err != nil {
			t.Fatal(err)
		}
		all, err := engine.Expand(ctx, resolved)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			to, err := routes.Route(ctx, addr.Address{}, a)
			if err != nil || to.Class == route.Default || strings.ContainsAny(a.Local, "%!@") || to.Hop.Transport != route.Error && strings.HasPrefix(a.Local, "-") {
				t.Fatalf("%q was taken and goes to %+v by %v: %v", text, a, to, err)
			}
		}
	})
}
