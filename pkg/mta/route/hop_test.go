package route

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestParseHop(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Hop
		text string // canonical spelling when it differs from in
	}{
		{in: "smtp:", want: Hop{}},
		{in: "smtp:mail.example", want: Hop{Host: "mail.example", MX: true}},
		{in: "smtp:Mail.Example:2525", want: Hop{Host: "mail.example", MX: true, Port: 2525}, text: "smtp:mail.example:2525"},
		{in: "smtp:[mail.example]", want: Hop{Host: "mail.example"}},
		{in: "smtp:[mail.example]:587", want: Hop{Host: "mail.example", Port: 587}},
		{in: "smtp:192.0.2.1", want: Hop{Host: "192.0.2.1"}, text: "smtp:[192.0.2.1]"},
		{in: "smtp:[2001:db8::1]:26", want: Hop{Host: "2001:db8::1", Port: 26}},
		{in: "smtp:[IPv6:2001:db8::1]", want: Hop{Host: "2001:db8::1"}, text: "smtp:[2001:db8::1]"},
		{in: "lmtp:unix:/run/x/lmtp", want: Hop{Transport: LMTP, Socket: "/run/x/lmtp"}},
		{in: "lmtp:unix:private/dovecot-lmtp", want: Hop{Transport: LMTP, Socket: "private/dovecot-lmtp"}},
		{in: "lmtp:inet:store.example:2003", want: Hop{Transport: LMTP, Host: "store.example", Port: 2003}, text: "lmtp:[store.example]:2003"},
		{in: "lmtp:[store.example]", want: Hop{Transport: LMTP, Host: "store.example"}},
		{in: "lmtp:127.0.0.1:24", want: Hop{Transport: LMTP, Host: "127.0.0.1", Port: 24}, text: "lmtp:[127.0.0.1]:24"},
		{in: "smtp:[mail.example]:submission", want: Hop{Host: "mail.example", Port: 587}, text: "smtp:[mail.example]:587"},
		{in: "smtp:mail.example:smtps", want: Hop{Host: "mail.example", Port: 465, MX: true}, text: "smtp:mail.example:465"},
		{in: "smtp:[a.example]:587,b.example 192.0.2.1", want: Hop{Host: "a.example", Port: 587, More: "b.example, [192.0.2.1]"}, text: "smtp:[a.example]:587, b.example, [192.0.2.1]"},
		{in: "lmtp:inet:a.example:2003, inet:b.example", want: Hop{Transport: LMTP, Host: "a.example", Port: 2003, More: "[b.example]"}, text: "lmtp:[a.example]:2003, [b.example]"},
		{in: "error:5.1.1 gone", want: Hop{Transport: Error, Text: "5.1.1 gone"}},
		{in: "error:", want: Hop{Transport: Error, Text: "Address is undeliverable"}, text: "error:Address is undeliverable"},
		{in: "discard:", want: Hop{Transport: Discard}},
		{in: "discard:2.1.5 not wanted", want: Hop{Transport: Discard, Text: "2.1.5 not wanted"}},
	} {
		got, err := ParseHop(tc.in)
		if err != nil || got != tc.want {
			t.Errorf("%s: got %+v, %v", tc.in, got, err)
			continue
		}
		text := tc.text
		if text == "" {
			text = tc.in
		}
		if got.String() != text {
			t.Errorf("%s: spelled %s, want %s", tc.in, got, text)
		}
		if back, err := ParseHop(got.String()); err != nil || back != got {
			t.Errorf("%s: does not read back: %+v, %v", tc.in, back, err)
		}
	}
}

func TestParseHopRefuses(t *testing.T) {
	for _, in := range []string{
		"", "mail.example", "smtp:[mail.example", "smtp:[mail.example]x", "smtp:a:0", "smtp:a:65536", "smtp:a:pop3", "smtp:,", "smtp:a, [b", "smtp:" + strings.Repeat("a,", 21),
		"lmtp:", "lmtp:unix:", "discard:a\nb", "error:a\nb", "pipe:x", "smtp:[]",
	} {
		if got, err := ParseHop(in); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: got %+v, %v", in, got, err)
		}
	}
}

func TestPorts(t *testing.T) {
	for in, want := range map[string]string{
		"smtp:[a.example]":     "a.example:25",
		"lmtp:[a.example]":     "a.example:24",
		"smtp:[2001:db8::1]:9": "[2001:db8::1]:9",
	} {
		if hop, err := ParseHop(in); err != nil || hop.Address() != want {
			t.Errorf("%s: %s, %v", in, hop.Address(), err)
		}
	}
}

// Each next hop of a list is one by itself.
func TestEach(t *testing.T) {
	names := Names{"out": {Kind: SMTP}}
	hop, err := names.ParseHop("out:[a.example]:587, b.example, [192.0.2.1]")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range hop.Each() {
		got = append(got, h.String())
	}
	if want := "out:[a.example]:587|out:b.example|out:[192.0.2.1]"; strings.Join(got, "|") != want {
		t.Errorf("%v", got)
	}
}

func FuzzParseHop(f *testing.F) {
	f.Add("smtp:[a.example]:25")
	f.Add("lmtp:unix:/x")
	f.Add("smtp:a.example:submission, [2001:db8::1]:26")
	f.Add("lmtp:inet:a.example, b.example")
	f.Fuzz(func(t *testing.T, s string) {
		hop, err := ParseHop(s)
		if err != nil {
			return
		}
		if more := len(hop.Each()) - 1; (hop.More == "") != (more == 0) || more > maxNext {
			t.Fatalf("%q gives %+v, with %d more", s, hop, more)
		}
		if back, err := ParseHop(hop.String()); err != nil || back != hop {
			t.Fatalf("%q gives %+v, spelled %q, reads back %+v, %v", s, hop, hop.String(), back, err)
		}
	})
}
