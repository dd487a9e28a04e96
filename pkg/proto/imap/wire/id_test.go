package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	list := func(n int) string { return "(" + strings.TrimSuffix(strings.Repeat("\"a\" \"b\" ", n), " ") + ")" }
	for in, want := range map[string][]IDPair{
		"NIL":                           nil,
		"()":                            nil,
		`("name" "Mail" "version" NIL)`: {{Name: "name", Value: "Mail"}, {Name: "version", Nil: true}},
		"(\"name\" {4+}\r\nMail)":       {{Name: "name", Value: "Mail"}},
		`("name" "")`:                   {{Name: "name"}},
		list(30):                        slices.Repeat([]IDPair{{Name: "a", Value: "b"}}, 30),
		`("` + strings.Repeat("x", 30) + `" NIL)`: {{Name: strings.Repeat("x", 30), Nil: true}},
	} {
		r := NewReader(strings.NewReader(in+"\r\n"), DefaultLimits(), nil)
		if got := r.ID(); !r.Ok() || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", in, got, r.Err())
		}
	}
	for _, in := range []string{
		`"x"`, `("name")`, `("name" "x" "y")`, list(31), `("` + strings.Repeat("x", 31) + `" NIL)`, `("x" "` + strings.Repeat("y", 1025) + `")`, "x",
	} {
		r := NewReader(strings.NewReader(in+"\r\n"), DefaultLimits(), nil)
		if got := r.ID(); r.Ok() || got != nil {
			t.Errorf("%.40s: %v", in, got)
		}
	}
}

func TestWriteID(t *testing.T) {
	for want, pairs := range map[string][][2]string{
		"* ID NIL\r\n": nil,
		"* ID (\"name\" \"Postcote\" \"a\\\"b\" \"\")\r\n": {{"name", "Postcote"}, {"a\"b", ""}},
	} {
		var b bytes.Buffer
		w := NewWriter(&b)
		if w.ID(pairs); w.Flush() != nil || b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
}

// What a client says of itself goes into a log: it must not look like more.
func TestIDText(t *testing.T) {
	pairs := []IDPair{{Name: "name", Value: "Mail, user=<root>\r\nx"}, {Name: "Version", Value: "1"}, {Name: "os", Nil: true}, {Name: "x", Value: "y"}}
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"version", "os"}, "Version=1"},
		{[]string{"name"}, "name=Mail? user??root???x"},
		{[]string{"*"}, "name=Mail? user??root???x, Version=1, x=y"},
	} {
		if got := IDText(pairs, c.names); got != c.want {
			t.Errorf("%v: %q, want %q", c.names, got, c.want)
		}
	}
	long := slices.Repeat([]IDPair{{Name: "name", Value: strings.Repeat("v", 1000)}}, 30)
	if got := IDText(long, []string{"*"}); len(got) > maxLoggedID || len(got) < maxLoggedValue {
		t.Errorf("%d bytes", len(got))
	}
}
