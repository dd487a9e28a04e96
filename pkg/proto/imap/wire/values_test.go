package wire

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		in       string
		last     uint32
		resolved string
	}{
		{"1", 5, "1"},
		{"1:3,5", 5, "1:3,5"},
		{"3:1", 5, "1:3"},
		{"*", 5, "5"},
		{"*:2", 5, "2:5"},
		{"7:*", 5, "5:7"}, // RFC 3501: * is in it, however large the other end
		{"5,1,3,2", 9, "1:3,5"},
		{"1:10,3:4,11", 9, "1:11"},
		{"4294967295,1:4294967295", 9, "1:4294967295"},
		{"4294967294,4294967295", 9, "4294967294:4294967295"},
		{"2,2,2", 3, "2"},
	} {
		r, _ := reading(c.in+"\r\n", DefaultLimits())
		s := r.Set()
		r.End()
		if got := s.Resolve(c.last).String(); got != c.resolved || !r.Ok() || s.String() != c.in {
			t.Errorf("%s: %s (%v), want %s; as written %s", c.in, got, r.Err(), c.resolved, s)
		}
	}
	for _, in := range []string{"0", "1:0", "", "1,", ",1", "1:", "a", "1:2:3", "4294967296", "$,1", "1,$", "$:1", "$$"} {
		r, _ := reading(in+"\r\n", DefaultLimits())
		r.Set()
		if r.End(); r.Ok() {
			t.Errorf("%q is taken for a set", in)
		}
	}
}

func TestSavedSet(t *testing.T) {
	r, _ := reading("$ 1\r\n", DefaultLimits())
	saved := r.Set()
	r.SP()
	other := r.Set()
	if r.End(); !r.Ok() || !saved.IsSaved() || other.IsSaved() || Set(nil).IsSaved() {
		t.Error(saved, other, r.Err())
	}
}

func TestSetIsCapped(t *testing.T) {
	r, _ := reading("1,3,5,7,9\r\n", Limits{Line: 100, Count: 4})
	if r.Set(); r.Ok() {
		t.Error("five ranges are allowed where four are the limit")
	}
}

// A resolved set holds exactly the numbers that its ranges name.
func TestSetProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		num := rapid.Uint32Range(0, 40)
		last := rapid.Uint32Range(1, 40).Draw(t, "last")
		var s Set
		want := map[uint32]bool{}
		for range rapid.IntRange(1, 8).Draw(t, "n") {
			g := Range{num.Draw(t, "from"), num.Draw(t, "to")}
			s = append(s, g)
			a, b := g.From, g.To
			if a == 0 {
				a = last
			}
			if b == 0 {
				b = last
			}
			for n := min(a, b); n <= max(a, b); n++ {
				want[n] = true
			}
		}
		r := s.Resolve(last)
		var built Set
		for n := uint32(1); n <= 50; n++ {
			if r.Contains(n) != want[n] {
				t.Fatalf("%s resolves to %s: %d", s, r, n)
			}
			if want[n] {
				built.Add(n)
			}
		}
		if built.String() != r.String() || r.Len() != len(want) || FromUIDs(r.UIDs()).String() != r.String() {
			t.Fatalf("%s: %s, built %s", s, r, built)
		}
	})
}

func TestModifiedUTF7(t *testing.T) {
	for name, enc := range map[string]string{
		"INBOX":                 "INBOX",
		"a & b":                 "a &- b",
		"~peter/mail/台北/日本語":    "~peter/mail/&U,BTFw-/&ZeVnLIqe-", // RFC 3501 section 5.1.3
		"Entwürfe":              "Entw&APw-rfe",
		"\U0001F4E7":            "&2D3c5w-",
		"Отправленные":          "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-",
		"":                      "",
		"a\tb":                  "a&AAk-b",
		"&":                     "&-",
		"ü&":                    "&APw-&-",
		strings.Repeat("é", 50): EncodeUTF7(strings.Repeat("é", 50)),
	} {
		if got := EncodeUTF7(name); got != enc {
			t.Errorf("%q is encoded %q, want %q", name, got, enc)
		}
		if got, ok := DecodeUTF7(enc); !ok || got != name {
			t.Errorf("%q is decoded %q, %v, want %q", enc, got, ok, name)
		}
	}
	for _, bad := range []string{
		"&", "&ab", "&AGE-", "&Jjo!", "&U,BTFw-&ZeVnLIqe-", "&2D0-", "&3ec-", "\u00fc", "a\x01", "&A-", "&AAA-x&", "&AP8", "&APx-",
	} {
		if got, ok := DecodeUTF7(bad); ok {
			t.Errorf("%q is decoded to %q", bad, got)
		}
	}
}

func TestMailboxNames(t *testing.T) {
	for in, want := range map[string]string{
		"inbox": "INBOX", "inbox/sub": "inbox/sub", "inboxes": "inboxes", `"Sent Items"`: "Sent Items",
	} {
		r, _ := reading(in+"\r\n", DefaultLimits())
		if got := r.Mailbox(false); got != want {
			t.Errorf("%s: %q (%v)", in, got, r.Err())
		}
	}
	r, _ := reading("\"\xc3\xbc\"\r\n", DefaultLimits())
	if got := r.Mailbox(true); got != "ü" {
		t.Error(got, r.Err())
	}
	for _, in := range []string{"\"\xc3\xbc\"", "\"\xff\"", strings.Repeat("x", maxName+1)} {
		r, _ := reading(in+"\r\n", DefaultLimits())
		if r.Mailbox(false); r.Ok() {
			t.Errorf("%.10q is a name", in)
		}
	}
	r, _ = reading("\"\xff\"\r\n", DefaultLimits())
	if r.Mailbox(true); r.Ok() {
		t.Error("invalid UTF-8 is a name")
	}
}

func TestDates(t *testing.T) {
	r, _ := reading("1-Feb-1994 \"01-feb-1994\" \" 7-Jul-1996 02:44:25 -0700\" \"17-Jul-1996 02:44:25 -0000\"\r\n", DefaultLimits())
	day := r.Date()
	r.SP()
	same := r.Date()
	r.SP()
	stamp := r.DateTime()
	r.SP()
	r.DateTime()
	r.End()
	if !r.Ok() || !day.Equal(same) || day.Day() != 1 || day.Month() != time.February {
		t.Error(day, same, r.Err())
	}
	if got := string(AppendDateTime(nil, stamp)); got != `" 7-Jul-1996 02:44:25 -0700"` {
		t.Error(got)
	}
	for _, in := range []string{"1-Foo-1994", "32-Jan-1994", "1994-01-01", "1-Feb-94"} {
		r, _ := reading(in+"\r\n", DefaultLimits())
		if r.Date(); r.Ok() {
			t.Errorf("%s is a date", in)
		}
	}
	for _, in := range []string{`"1-Feb-1994"`, `"1-Feb-1994 25:00:00 +0000"`, `1-Feb-1994`, `" 1-Feb-1994 21:52:25"`} {
		r, _ := reading(in+"\r\n", DefaultLimits())
		if r.DateTime(); r.Ok() {
			t.Errorf("%s is a date-time", in)
		}
	}
}

// A date-time is what package time makes of it, whatever the zone and the year.
func TestAppendDateTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		zone := time.FixedZone("", (r.IntN(28*60)-14*60)*60)
		at := time.Date(r.IntN(10100)-50, time.Month(1+r.IntN(12)), 1+r.IntN(31), r.IntN(24), r.IntN(60), r.IntN(60), 0, zone)
		want := at.Format(`"_2-Jan-2006 15:04:05 -0700"`)
		if got := string(AppendDateTime([]byte("x"), at)); got != "x"+want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestSections(t *testing.T) {
	for in, want := range map[string]string{
		"[]": "[]", "[text]": "[TEXT]", "[1.2.mime]": "[1.2.MIME]", "[4.2.HEADER]": "[4.2.HEADER]", "[1]": "[1]", "[1.2.3]": "[1.2.3]",
		`[HEADER.FIELDS (From "To" {2+}` + "\r\nCc)]": "[HEADER.FIELDS (From To Cc)]",
		"[2.HEADER.FIELDS.NOT (X)]":                   "[2.HEADER.FIELDS.NOT (X)]",
		`[HEADER.FIELDS ("a b")]`:                     `[HEADER.FIELDS ("a b")]`,
		"[MIME]":                                      "",
		"[0]":                                         "",
		"[1.]":                                        "",
		"[HEADER.FIELDS ()]":                          "",
		"[HEADER.FIELDS]":                             "",
		"[FOO]":                                       "",
		"[1.99999999999]":                             "",
		"[" + strings.Repeat("1.", 100) + "1]":        "",
		"[HEADER.FIELDS (" + strings.Repeat("a ", 600): "",
	} {
		r, _ := reading(in+"\r\n", DefaultLimits())
		s := r.Section()
		r.End()
		got := string(AppendSection(nil, s))
		if r.Ok() != (want != "") || r.Ok() && got != want {
			t.Errorf("%.30s: %s (%v), want %s", in, got, r.Err(), want)
		}
	}
}
