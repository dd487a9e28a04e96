package route

import (
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
		{in: "error:5.1.1 gone", want: Hop{Transport: Error, Text: "5.1.1 gone"}},
		{in: "discard:", want: Hop{Transport: Discard}},
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
		"", "mail.example", "smtp:[mail.example", "smtp:[mail.example]x", "smtp:a:0", "smtp:a:65536", "smtp:a b",
		"lmtp:", "lmtp:unix:", "error:", "error:a\nb", "pipe:x", "smtp:[]",
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

func FuzzParseHop(f *testing.F) {
	f.Add("smtp:[a.example]:25")
	f.Add("lmtp:unix:/x")
	f.Fuzz(func(t *testing.T, s string) {
		hop, err := ParseHop(s)
		if err != nil {
			return
		}
		if back, err := ParseHop(hop.String()); err != nil || back != hop {
			t.Fatalf("%q gives %+v, spelled %q, reads back %+v, %v", s, hop, hop.String(), back, err)
		}
	})
}
