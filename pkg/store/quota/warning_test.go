package quota

import (
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Each warning is named by its socket; the usage is in bytes and messages.
func TestCrossed(t *testing.T) {
	const both = "95% high;80% low;-100% below"
	limits := Limits{Bytes: 1000, Messages: 10}
	for _, c := range []struct {
		warnings      string
		before, after Usage
		want          string
	}{
		{both, Usage{700, 0}, Usage{790, 0}, ""},
		{both, Usage{700, 0}, Usage{800, 0}, "low: bytes=700 -> 800 over limit 800"},
		{both, Usage{799, 0}, Usage{800, 0}, "low: bytes=799 -> 800 over limit 800"},
		{both, Usage{800, 0}, Usage{810, 0}, ""},
		{both, Usage{700, 0}, Usage{960, 0}, "high: bytes=700 -> 960 over limit 950"}, // the first alone
		{both, Usage{960, 0}, Usage{1200, 0}, ""},
		{both, Usage{1000, 0}, Usage{999, 0}, "below: bytes=1000 -> 999 below limit 1000"},
		{both, Usage{1000, 0}, Usage{1000, 0}, ""},
		{both, Usage{900, 0}, Usage{100, 0}, ""},
		{"80% low;95% high", Usage{700, 0}, Usage{960, 0}, "low: bytes=700 -> 960 over limit 800"},
		{"messages=90% m", Usage{0, 8}, Usage{0, 9}, "m: count=8 -> 9 over limit 9"},
		{"messages=5 m", Usage{0, 4}, Usage{0, 6}, "m: count=4 -> 6 over limit 5"},
		{"-messages=5 m", Usage{0, 5}, Usage{0, 4}, "m: count=5 -> 4 below limit 5"},
		{"storage=1 k", Usage{1000, 0}, Usage{1024, 0}, "k: bytes=1000 -> 1024 over limit 1024"},
		{"storage=500B b", Usage{0, 0}, Usage{501, 0}, "b: bytes=0 -> 501 over limit 500"},
		{"bytes=500 b", Usage{0, 0}, Usage{500, 0}, "b: bytes=0 -> 500 over limit 500"},
		{"storage=90%%:messages=5 either", Usage{0, 4}, Usage{1, 5}, "either: count=4 -> 5 over limit 5"},
		{"storage=110% over", Usage{900, 0}, Usage{1100, 0}, "over: bytes=900 -> 1100 over limit 1100"},
	} {
		ws, err := ParseWarnings(strings.Split(c.warnings, ";"))
		if err != nil {
			t.Errorf("%s: %v", c.warnings, err)
			continue
		}
		got := ""
		if w, why, ok := Crossed(ws, c.before, c.after, limits); ok {
			got = strings.TrimPrefix(w.Socket, "/run/dovecot/") + ": " + why
		}
		if got != c.want {
			t.Errorf("%s, %v -> %v: %q, want %q", c.warnings, c.before, c.after, got, c.want)
		}
	}
	ws, err := ParseWarnings([]string{"95% bytes", "-95% bytes"})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range [][2]Usage{{{0, 0}, {1 << 40, 1}}, {{1 << 40, 1}, {0, 0}}} {
		if w, why, ok := Crossed(ws, u[0], u[1], Limits{Messages: 10}); ok {
			t.Errorf("hundredths of no limit: %v, %s", w, why)
		}
	}
}

func TestParseWarning(t *testing.T) {
	for _, c := range []struct{ text, user, socket, args string }{
		{"storage=95%% quota-warning 95 %u", "alice@example.org", "/run/dovecot/quota-warning", "95|alice@example.org"},
		{"95% /run/w.sock %n %d 100%%", "alice@example.org", "/run/w.sock", "alice|example.org|100%"},
		{"-storage=100% unix:/run/w.sock below <%u>", "bob", "/run/w.sock", "below|<bob>"},
		{"90% w %n %d", "bob", "/run/dovecot/w", "bob|"},
		{"90%", "bob", "", ""},
	} {
		w, err := ParseWarning(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		args, err := w.argsFor(c.user)
		if got := strings.Join(args, "|"); err != nil || w.Socket != c.socket || got != c.args {
			t.Errorf("%s: %s %q, %v", c.text, w.Socket, got, err)
		}
	}
	for _, text := range []string{
		"", "  ", "x%", "storage= w", "storage=+10% w", "-+10% w", "--10% w", "0% w", "ignore w", "size=10% w", "storage=10%:ignore w",
		"90% tcp:host:25", "90% unix:", "90% w %x", "90% w %", "90% w %{user}", "90% w " + strings.Repeat("x", maxRuleLength),
	} {
		if w, err := ParseWarning(text); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %+v, %v", text, w, err)
		}
	}
	if _, err := ParseWarnings(slices.Repeat([]string{"90% w"}, maxRules+1)); !fail.Is(err, fail.Invalid) {
		t.Errorf("too many: %v", err)
	}
}

// What is let in can be asked of any account and told of any user.
func FuzzParseWarning(f *testing.F) {
	for _, s := range []string{"95%", "storage=95%% quota-warning 95 %u", "-messages=5:bytes=1M unix:/a %n%d%%", "9223372036854775807% w"} {
		f.Add(s, "alice@example.org")
	}
	f.Fuzz(func(t *testing.T, text, user string) {
		w, err := ParseWarning(text)
		if err != nil {
			return
		}
		args, err := w.argsFor(user)
		if err != nil {
			t.Fatalf("%q: let in, and then %v", text, err)
		}
		if req, err := request(args); err == nil && strings.Count(string(req), "\n") > len(args)+3 {
			t.Fatalf("%q: an argument became two: %q", text, req)
		}
		Crossed([]Warning{w}, Usage{}, Usage{1 << 61, 1 << 61}, Limits{1 << 61, 1 << 61})
	})
}
