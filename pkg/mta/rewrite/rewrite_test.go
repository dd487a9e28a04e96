package rewrite

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// table is a table in memory; a value "!" means that it cannot be asked.
type table map[string]string

func (t table) Lookup(_ context.Context, key string) (string, error) {
	switch v, ok := t[strings.ToLower(key)]; {
	case v == "!":
		return "", fail.New(fail.Unavailable, "database is away")
	case ok:
		return v, nil
	}
	return "", fail.New(fail.NotFound, "no %s", key)
}

func mapOf(key string, t table) maps.Map { return maps.Map{Key: key, Tables: lookup.Maps{t}} }

func parse(t *testing.T, s string) addr.Address {
	t.Helper()
	a, err := addr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func engine(t *testing.T, cfg Config) *Engine {
	t.Helper()
	if cfg.Origin == "" {
		cfg.Origin = "origin.example"
	}
	cfg.Delims = "+"
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestComplete(t *testing.T) {
	all := Config{Domain: "site.example", AppendDot: true, SwapBang: true, PercentHack: true}
	for _, tc := range []struct {
		cfg      Config
		in, want string
	}{
		{Config{}, "joe", "joe@origin.example"},
		{Config{}, "", ""},
		{Config{}, "joe@host", "joe@host"},
		{Config{}, "host!joe", "host!joe@origin.example"},
		{Config{}, "joe%far.example", "joe%far.example@origin.example"},
		{all, "joe@host", "joe@host.site.example"},
		{all, "joe@[192.0.2.1]", "joe@[192.0.2.1]"},
		{all, "joe@[IPv6:2001:db8::1]", "joe@[IPv6:2001:db8::1]"},
		{all, "far.example!joe", "joe@far.example"},
		{all, "joe%far.example", "joe@far.example"},
		{all, "joe%far.example@ours.example", "joe%far.example@ours.example"},
		{all, "joe%", "joe%@origin.example"},
	} {
		if got := engine(t, tc.cfg).Complete(context.Background(), parse(t, tc.in)); got.String() != tc.want {
			t.Errorf("%s: got %s, want %s", tc.in, got, tc.want)
		}
	}
}

func TestCanonicalAndMasquerade(t *testing.T) {
	cfg := Config{
		SenderCanonical:    Canonical{mapOf("sender_canonical_maps", table{"joe@ours.example": "joe.bloggs@ours.example", "joe": "nobody@ours.example"}), EnvelopeSender | HeaderSender},
		RecipientCanonical: Canonical{mapOf("recipient_canonical_maps", table{"old@ours.example": "new@ours.example"}), EnvelopeRecipient},
		Canonical: Canonical{mapOf("canonical_maps", table{
			"new@ours.example": "newest@ours.example", "@gone.example": "@ours.example", "@all.example": "catch@ours.example", "mailer-daemon": "x@ours.example", "": "x@ours.example",
			"ann": "ann.smith@ours.example", "loop1@ours.example": "loop2@ours.example", "loop2@ours.example": "loop1@ours.example",
			"self@ours.example": "self@ours.example", "bad@ours.example": "no address at all", "down@ours.example": "!",
		}), EnvelopeSender | EnvelopeRecipient | HeaderSender | HeaderRecipient},
		PropagateCanonical: true,
		Masquerade:         []string{"!keep.site.example", "site.example"},
		MasqueradeExcept:   []string{"root"},
		MasqueradePlaces:   EnvelopeSender,
	}
	e := engine(t, cfg)
	for _, tc := range []struct{ kind, in, want string }{
		{"sender", "joe@ours.example", "joe.bloggs@ours.example"},
		{"sender", "joe+x@ours.example", "joe.bloggs+x@ours.example"},
		{"sender", "Joe@Ours.example", "joe.bloggs@ours.example"},
		{"rcpt", "joe@ours.example", "joe@ours.example"},
		{"rcpt", "old@ours.example", "newest@ours.example"},
		{"sender", "old@ours.example", "old@ours.example"},
		{"rcpt", "x+y@gone.example", "x+y@ours.example"},
		{"rcpt", "x+y@all.example", "catch@ours.example"},
		{"rcpt", "ann", "ann.smith@ours.example"},
		{"rcpt", "ann@other.example", "ann@other.example"},
		{"rcpt", "self@ours.example", "self@ours.example"},
		{"rcpt", "loop1@ours.example", "unavailable"},
		{"rcpt", "bad@ours.example", "unavailable"},
		{"rcpt", "down@ours.example", "unavailable"},
		{"sender", "", ""},
		{"sender", "Mailer-Daemon", ""},
		{"sender", "mailer-daemon@origin.example", ""},
		{"sender", "mailer-daemon@far.example", "mailer-daemon@far.example"},
		{"rcpt", "mailer-daemon", "x@ours.example"},
		{"sender", "joe@a.b.site.example", "joe@site.example"},
		{"sender", "joe@site.example", "joe@site.example"},
		{"sender", "joe@x.keep.site.example", "joe@x.keep.site.example"},
		{"sender", "Root@a.site.example", "Root@a.site.example"},
		{"rcpt", "joe@a.site.example", "joe@a.site.example"},
		{"sender", "joe@notsite.example", "joe@notsite.example"},
	} {
		f := e.Sender
		if tc.kind == "rcpt" {
			f = e.Recipient
		}
		got, err := f(context.Background(), parse(t, tc.in))
		text := got.String()
		if err != nil {
			text = fail.KindOf(err).String()
		}
		if text != tc.want {
			t.Errorf("%s %s: got %s, %v, want %s", tc.kind, tc.in, text, err, tc.want)
		}
	}
}

func TestVirtualAliases(t *testing.T) {
	e := engine(t, Config{PropagateVirtual: true, VirtualAlias: mapOf("virtual_alias_maps", table{
		"all@v.example":      "joe@ours.example, \"Ann Smith\" <ann@ours.example> , list@v.example",
		"list@v.example":     "joe@ours.example,far@far.example",
		"self@v.example":     "self@v.example, copy@far.example",
		"mutual@v.example":   "self@v.example, all@v.example",
		"root":               "admin",
		"@catch.example":     "joe@ours.example",
		"@moved.example":     "@v.example",
		"loop1@v.example":    "loop2@v.example",
		"loop2@v.example":    "loop1@v.example",
		"down@v.example":     "joe@ours.example, away@v.example",
		"away@v.example":     "!",
		"longer@v.example":   "longer+x@v.example",
		"quoted@v.example":   `"a b"@ours.example`,
		"comment@v.example":  "joe@ours.example (Joe, of course)",
		"@round.example":     "c@round.example, x@far.example, ann@round2.example",
		"ann@round2.example": "joe@round.example",
		"joe@round.example":  "joe@round.example, u@round.example",
		"catch@user.example": "x",
		"@user.example":      "user@other.example",
		`"a b"@user.example`: `"c d"@other.example`,
	})})
	for _, tc := range []struct{ in, want string }{
		{"joe@ours.example", "joe@ours.example"},
		{"all@v.example", "joe@ours.example ann@ours.example far@far.example"},
		{"self@v.example", "self@v.example copy@far.example"},
		{"mutual@v.example", "self@v.example joe@ours.example copy@far.example ann@ours.example far@far.example"},
		{"root@origin.example", "admin@origin.example"},
		{"root@ours.example", "root@ours.example"},
		{"anybody+x@catch.example", "joe@ours.example"},
		{"list+x@moved.example", "joe+x@ours.example far+x@far.example"},
		{"quoted@v.example", `"a b"@ours.example`},
		{"comment@v.example", "joe@ours.example"},
		{"any@round.example", "c@round.example x@far.example joe@round.example"},
		{"user+x@user.example", "user@other.example"},
		{`"a b+x"@user.example`, `"c d+x"@other.example`},
		{"loop1@v.example", "unavailable"},
		{"longer@v.example", "unavailable"},
		{"down@v.example", "unavailable"},
		{"away@v.example", "unavailable"},
	} {
		list, err := e.Expand(context.Background(), parse(t, tc.in))
		var texts []string
		for _, a := range list {
			texts = append(texts, a.String())
		}
		if err != nil {
			texts = []string{fail.KindOf(err).String()}
		}
		if got := strings.Join(texts, " "); got != tc.want {
			t.Errorf("%s: got %s, %v, want %s", tc.in, got, err, tc.want)
		}
	}
}

func TestExpansionLimits(t *testing.T) {
	deep, wide := table{}, table{}
	var many []string
	for i := range DefaultLimit + 1 {
		deep[fmt.Sprintf("a%d@v.example", i)] = fmt.Sprintf("a%d@v.example", i+1)
		many = append(many, fmt.Sprintf("u%d@far.example", i))
	}
	wide["all@v.example"] = strings.Join(many, ",")
	wide["most@v.example"] = strings.Join(many[1:], ",")
	for _, tc := range []struct {
		table table
		in    string
		n     int
	}{{deep, "a0@v.example", 0}, {deep, "a1@v.example", 0}, {deep, "a2@v.example", 1}, {wide, "all@v.example", 0}, {wide, "most@v.example", DefaultLimit}} {
		e := engine(t, Config{VirtualAlias: mapOf("virtual_alias_maps", tc.table)})
		list, err := e.Expand(context.Background(), parse(t, tc.in))
		if len(list) != tc.n || (tc.n == 0) != fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %d results, %v", tc.in, len(list), err)
		}
	}
}

func TestCopies(t *testing.T) {
	e := engine(t, Config{
		AlwaysBCC: addr.Address{Local: "archive", Domain: "ours.example"},
		SenderBCC: mapOf("sender_bcc_maps", table{"boss@ours.example": "audit"}), RecipientBCC: mapOf("recipient_bcc_maps", table{"@sales.example": "crm@far.example"}),
	})
	got, err := e.Copies(context.Background(), parse(t, "boss@ours.example"), []addr.Address{parse(t, "x@far.example"), parse(t, "y@sales.example")})
	if err != nil || fmt.Sprint(got) != "[archive@ours.example audit@origin.example crm@far.example]" {
		t.Error(got, err)
	}
	if got, err := e.Copies(context.Background(), addr.Address{}, nil); err != nil || len(got) != 1 {
		t.Error("notifications are copied to always_bcc only:", got, err)
	}
}

func TestKnownAndMoved(t *testing.T) {
	e := engine(t, Config{
		VirtualAlias: mapOf("v", table{"list@ours.example": "a@far.example", "@down.example": "!"}),
		Canonical:    Canonical{mapOf("c", table{"old@ours.example": "new@ours.example"}), EnvelopeSender},
		Relocated:    mapOf("relocated_maps", table{"joe@ours.example": "joe@far.example"}),
	})
	for in, want := range map[string]string{"list+x@ours.example": "true", "old@ours.example": "false", "joe@ours.example": "false", "x@down.example": "unavailable"} {
		ok, err := e.Known(context.Background(), parse(t, in))
		got := fmt.Sprint(ok)
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	if to, err := e.Moved(context.Background(), parse(t, "joe@ours.example")); err != nil || to != "joe@far.example" {
		t.Error(to, err)
	}
	if _, err := e.Moved(context.Background(), parse(t, "ann@ours.example")); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

// Addresses that leave are mapped once.
func TestOutbound(t *testing.T) {
	e := engine(t, Config{PropagateGeneric: true, Generic: mapOf("smtp_generic_maps", table{
		"joe@origin.example": "joe@isp.example", "joe@isp.example": "ann@isp.example", "ann": "ann+x@origin.example",
		"a@x.example": "b@x.example", "b@x.example": "a@x.example", "@site.example": "@isp.example", "@all.example": "box@isp.example",
	})})
	for in, want := range map[string]string{
		"joe@origin.example":   "joe@isp.example",
		"joe+d@origin.example": "joe+d@isp.example",
		"ann@origin.example":   "ann+x@origin.example",
		"a@x.example":          "b@x.example",
		"b@x.example":          "a@x.example",
		"j+d@site.example":     "j+d@isp.example",
		"j+d@all.example":      "box@isp.example",
		"joe@far.example":      "joe@far.example",
	} {
		if got, err := e.Outbound(context.Background(), parse(t, in)); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
}

func TestFields(t *testing.T) {
	e := engine(t, Config{
		Domain: "site.example", AppendDot: true,
		Canonical:       Canonical{mapOf("canonical_maps", table{"joe@origin.example": "joe.bloggs@ours.example", "down@ours.example": "!"}), HeaderSender | HeaderRecipient},
		SenderCanonical: Canonical{mapOf("sender_canonical_maps", table{"ann@origin.example": "ann.smith@ours.example"}), HeaderSender},
		Generic:         mapOf("generic", table{"joe@origin.example": "joe@isp.example"}),
	})
	for _, tc := range []struct{ name, in, want string }{
		{"from", " joe\r\n", " joe.bloggs@ours.example\r\n"},
		{"from", " Joe Bloggs <joe>\r\n", " Joe Bloggs <joe.bloggs@ours.example>\r\n"},
		{"from", ` "joe, the <great>" <joe@origin.example> (joe)` + "\r\n", ` "joe, the <great>" <joe.bloggs@ours.example> (joe)` + "\r\n"},
		{"resent-from", " ann\r\n", " ann.smith@ours.example\r\n"},
		{"to", " ann,\r\n\tjoe (x, y),\r\n\tlist: a@b.example, c@host;\r\n", " ann@origin.example,\r\n\tjoe.bloggs@ours.example (x, y),\r\n\tlist: a@b.example, c@host.site.example;\r\n"},
		{"cc", " undisclosed-recipients:;\r\n", ""},
		{"to", " Joe Bloggs joe\r\n", ""},
		{"to", ` "unfinished <joe>` + "\r\n", ""},
		{"to", " <joe\r\n", ""},
		{"to", " <>\r\n", ""},
		{"to", " a@b.example\r\n", ""},
		{"subject", " joe\r\n", ""},
		{"errors-to", " ann\r\n", " ann.smith@ours.example\r\n"},
		{"mail-followup-to", " ann\r\n", " ann.smith@ours.example\r\n"},
		{"return-path", " <ann>\r\n", " <ann.smith@ours.example>\r\n"},
		{"apparently-to", " ann\r\n", " ann@origin.example\r\n"},
		{"to", " down@ours.example\r\n", "unavailable"},
	} {
		got, changed, err := e.Field(context.Background(), tc.name, tc.in)
		want := tc.want
		switch {
		case want == "unavailable":
			if !fail.Is(err, fail.Unavailable) {
				t.Errorf("%s:%s: %q, %v", tc.name, tc.in, got, err)
			}
			continue
		case want == "":
			want = tc.in
		}
		if err != nil || got != want || changed != (tc.want != "") {
			t.Errorf("%s:%s: got %q, %v, %v", tc.name, tc.in, got, changed, err)
		}
	}
	if got, _, err := e.OutboundField(context.Background(), "from", " Joe <joe@origin.example>"); err != nil || got != " Joe <joe@isp.example>" {
		t.Error(got, err)
	}
}

// What is rewritten is the addresses, and nothing else moves: taking them out
// of both sides leaves the same text.
// A list of more addresses than anybody needs is no list: a table with it fails,
// and a header stays as it is.
func TestTooManyAddresses(t *testing.T) {
	e := engine(t, Config{Origin: "origin.example"})
	for n, want := range map[int]bool{maxTokens: true, maxTokens + 2: false} {
		list := strings.Repeat("a,", n-1) + "b"
		if got, err := e.ParseList(context.Background(), list); (err == nil) != want || want && len(got) != n {
			t.Errorf("%d addresses: %d, %v", n, len(got), err)
		}
		if _, changed, err := e.Field(context.Background(), "to", list); changed != want || err != nil {
			t.Errorf("%d addresses in a header: changed %v, %v", n, changed, err)
		}
	}
}

func FuzzField(f *testing.F) {
	for _, s := range []string{"joe", "J <joe@x>", `"a,b" <c>, (d) e;`, "g: a, b;", "<@r:a@b>", "a@[1.2.3.4], b", "x\r\n\ty"} {
		f.Add(s)
	}
	e, err := New(Config{Origin: "o.example"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, changed, err := e.Field(context.Background(), "to", s)
		if err != nil || changed != (out != s) {
			t.Fatalf("%q gives %q, %v, %v", s, out, changed, err)
		}
		again, changed, err := e.Field(context.Background(), "to", out)
		if err != nil || changed {
			t.Fatalf("%q gives %q, which gives %q, %v", s, out, again, err)
		}
		before, _ := scan(s)
		after, _ := scan(out)
		if len(before) != len(after) {
			t.Fatalf("%q has %d addresses, %q has %d", s, len(before), out, len(after))
		}
	})
}

func TestPlaces(t *testing.T) {
	const all = EnvelopeSender | EnvelopeRecipient | HeaderSender | HeaderRecipient
	if p, err := ParsePlaces([]string{"envelope_sender", "header_recipient"}, all); err != nil || p != EnvelopeSender|HeaderRecipient {
		t.Error(p, err)
	}
	for _, bad := range []string{"sender", "header_recipient"} {
		if _, err := ParsePlaces([]string{bad}, EnvelopeSender|HeaderSender); !fail.Is(err, fail.Invalid) {
			t.Error(bad, err)
		}
	}
}
