package server

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/message/collate"
)

// The matcher agrees with a regular expression on every pattern and name.
func TestMatcherProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab.*%]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab.]{0,8}`).Draw(t, "name")
		re := strings.NewReplacer(`\*`, ".*", "%", "[^.]*").Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile("^" + re + "$").MatchString(name)
		if got := newMatcher("", pattern, '.').match(name); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, name, got, want)
		}
	})
}

func TestMatcherINBOX(t *testing.T) {
	for pattern, want := range map[string]bool{
		"inbox": true, "InBoX": true, "INBOX*": true, "inbox%": true, "inboxes": false, "i*": false, "I*": true,
	} {
		if got := newMatcher("", pattern, '.').match("INBOX"); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
	if !newMatcher("inbox.", "%", '.').match("INBOX.a") {
		t.Error("reference inbox.")
	}
}

// The cost of a pattern is bounded, whatever its wildcards.
func TestMatcherIsLinear(t *testing.T) {
	m := newMatcher("", strings.Repeat("*a", maxPattern/2), '.')
	if m.match(strings.Repeat("a", 400) + "b") {
		t.Error("matches")
	}
}

// Searching a stream finds what searching the whole text finds, however the
// stream is cut.
func TestContainsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abüÜé𝔘각가\u0308")), 0, 60, -1).Draw(t, "text")
		needle := collate.String(rapid.StringOfN(rapid.SampledFrom([]rune("abü𝔘가\u0308")), 1, 4, -1).Draw(t, "needle"))
		step := rapid.IntRange(1, 7).Draw(t, "step")
		var buf []byte
		got, err := contains(context.Background(), &choppy{text, step}, needle, &buf)
		if want := strings.Contains(collate.String(text), needle); err != nil || got != want {
			t.Fatalf("%q in %q: %v, %v", needle, text, got, err)
		}
	})
}

// choppy gives a few bytes at a time.
type choppy struct {
	rest string
	step int
}

func (c *choppy) Read(p []byte) (int, error) {
	n := copy(p, c.rest[:min(c.step, len(c.rest))])
	c.rest = c.rest[n:]
	if c.rest == "" {
		return n, io.EOF
	}
	return n, nil
}
