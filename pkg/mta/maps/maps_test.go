package maps

import (
	"context"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// asked records the keys it is asked for; it has one of them.
type asked struct {
	keys    *[]string
	name    string
	has     string
	broken  bool
	pattern bool
}

func (a asked) Patterned() bool { return a.pattern }

func (a asked) Lookup(_ context.Context, key string) (string, error) {
	*a.keys = append(*a.keys, a.name+key)
	switch {
	case a.broken:
		return "", fail.New(fail.Denied, "no access")
	case strings.EqualFold(key, a.has):
		return "value of " + key, nil
	}
	return "", fail.New(fail.NotFound, "no %s", key)
}

func TestFindAsksInOrder(t *testing.T) {
	for _, tc := range []struct {
		in, has string
		bare    bool
		want    string // keys
		rest    string
	}{
		{"Joe+X@A.example", "", false, "1:Joe+X@a.example 2:Joe+X@a.example 1:Joe@a.example 1:@a.example", ""},
		{"joe+x@a.example", "", true, "1:joe+x@a.example 2:joe+x@a.example 1:joe@a.example 1:joe+x 1:joe 1:@a.example", ""},
		{"joe@a.example", "", true, "1:joe@a.example 2:joe@a.example 1:joe 1:@a.example", ""},
		{"joe+x@a.example", "joe+x@a.example", true, "1:joe+x@a.example", ""},
		{"joe+X@a.example", "joe@a.example", true, "1:joe+X@a.example 2:joe+X@a.example 1:joe@a.example", "+X"},
		{"joe+x@a.example", "joe+x", true, "1:joe+x@a.example 2:joe+x@a.example 1:joe@a.example 1:joe+x", ""},
		{"joe+x@a.example", "@a.example", false, "1:joe+x@a.example 2:joe+x@a.example 1:joe@a.example 1:@a.example", ""},
		{"joe+x", "joe", false, "1:joe+x 2:joe+x 1:joe", "+x"},
	} {
		var keys []string
		m := Map{Key: "test_maps", Tables: lookup.Maps{asked{keys: &keys, name: "1:", has: tc.has}, asked{keys: &keys, name: "2:", pattern: true}}}
		a, err := addr.Parse(tc.in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Find(context.Background(), a, Query{Delims: "+", Bare: tc.bare})
		if (err == nil) != (tc.has != "") || err != nil && !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", tc.in, err)
		}
		if strings.Join(keys, " ") != tc.want || got.Rest != tc.rest {
			t.Errorf("%s having %q:\n got %s, rest %q\nwant %s, rest %q", tc.in, tc.has, strings.Join(keys, " "), got.Rest, tc.want, tc.rest)
		}
	}
}

func TestATableThatCannotBeAskedIsNotNo(t *testing.T) {
	var keys []string
	m := Map{Key: "test_maps", Tables: lookup.Maps{asked{keys: &keys, broken: true}, asked{keys: &keys, has: "a.example"}}}
	if _, err := m.Find(context.Background(), addr.Address{Local: "joe", Domain: "a.example"}, Query{}); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	if _, err := m.Domain(context.Background(), "a.example", true); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func TestDomain(t *testing.T) {
	for _, tc := range []struct{ in, has, want string }{
		{"a.b.example", "", "a.b.example .b.example .example"},
		{"a.b.example", ".b.example", "a.b.example .b.example"},
		{"[192.0.2.1]", "", "[192.0.2.1]"},
	} {
		var keys []string
		_, err := Map{Tables: lookup.Maps{asked{keys: &keys, has: tc.has}}}.Domain(context.Background(), tc.in, true)
		if got := strings.Join(keys, " "); got != tc.want || (err == nil) != (tc.has != "") {
			t.Errorf("%s: asked %s, %v", tc.in, got, err)
		}
	}
}

func TestWhatWasFoundIsTold(t *testing.T) {
	var keys []string
	var got explain.Step
	ctx := explain.With(context.Background(), func(s explain.Step) { got = s })
	if _, err := (Map{Key: "test_maps", Tables: lookup.Maps{asked{keys: &keys, has: "x"}}}).Lookup(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	if got.Key != "test_maps" || got.Match != "x" || got.Result != "value of x" {
		t.Errorf("%+v", got)
	}
}
