package lookup

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// write makes a file in a folder of the test's.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answer is what a table says: its value, or the kind of its error.
func answer(t *testing.T, spec, key string) string {
	t.Helper()
	table, err := Open(spec, Options{})
	if err != nil {
		return "open: " + fail.KindOf(err).String()
	}
	value, err := table.Lookup(t.Context(), key)
	if err != nil {
		return fail.KindOf(err).String()
	}
	return value
}

// What Postfix 3.7 answers, but for what it ends the process over.
func TestTables(t *testing.T) {
	file := write(t, "key v\nUPPER\tU  \n")
	for _, tc := range []struct{ spec, key, want string }{
		{"texthash:" + file, "Key", "v"},
		{"hash:" + file, "upper", "U"},
		{"proxy:cdb:" + file, "none", "not found"},
		{"texthash:/nonexistent/file", "key", "unavailable"},
		{"texthash:/", "key", "unavailable"},
		{"texthash:relative", "key", "open: invalid"},
		{"inline:{a=b, {c = d e } , A=z}", "a", "z"},
		{"inline:{a=b, {c = d e } , A=z}", "C", "d e"},
		{"inline:{É=x}", "é", "x"},
		{"inline:{straße=x}", "STRASSE", "x"},
		{"inline:{,a=b,,}", "a", "b"},
		{"inline:{a={x y}}", "a", "{x y}"},
		{"inline:{a=b=c}", "a", "b=c"},
		{"inline:{{a=}}", "a", "invalid"},
		{"inline:{a = b}", "a", "open: invalid"},
		{"inline:{{a b=c}}", "a", "open: invalid"},
		{"inline:{a=b}x", "a", "open: invalid"},
		{"inline:{a=b", "a", "open: invalid"},
		{"inline:{}", "a", "open: invalid"},
		{"static:xx", "a", "xx"},
		{"static:{ a  b }", "a", "a  b"},
		{"static:{}", "a", "invalid"},
		{"static:{a}b", "a", "open: invalid"},
		{"static:", "a", "open: invalid"},
		{"fail:x", "a", "unavailable"},
		{"randmap:{a}", "x", "a"},
		{"randmap:{ {a b} }", "x", "{a b}"},
		{"randmap:{}", "x", "open: invalid"},
		{"unionmap:{static:a,inline:{a=b}}", "a", "a,b"},
		{"unionmap:{ static:a , static:{b c}}", "a", "a,b c"},
		{"unionmap:{inline:{a=b},inline:{c=d}}", "x", "not found"},
		{"unionmap:{static:a,fail:x}", "a", "unavailable"},
		{"unionmap:{static:" + strings.Repeat("x", maxAnswer/2) + ",static:" + strings.Repeat("x", maxAnswer/2) + "}", "a", "open: invalid"},
		{"unionmap:{}", "a", "open: invalid"},
		{"pipemap:{inline:{a=b},inline:{b=c}}", "a", "c"},
		{"pipemap:{inline:{a=b},inline:{c=c}}", "a", "not found"},
		{"pipemap:{inline:{a=b},fail:x}", "a", "unavailable"},
		{"pipemap:static:a", "a", "open: invalid"},
		{strings.Repeat("pipemap:{", maxDepth) + "static:x" + strings.Repeat("}", maxDepth), "a", "open: invalid"},
		{"unix:shadow.byname", "root", "open: invalid"},
		{"nope:x", "a", "open: invalid"},
		{"inline", "a", "open: invalid"},
		{"/etc/passwd", "a", "open: invalid"},
		{"", "a", "open: invalid"},
	} {
		if got := answer(t, tc.spec, tc.key); got != tc.want {
			t.Errorf("%.80s: %q is %.80q, want %q", tc.spec, tc.key, got, tc.want)
		}
	}
}

func TestKeepCase(t *testing.T) {
	table, err := Open("texthash:"+write(t, "Key v\n"), Options{KeepCase: true})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := table.Lookup(t.Context(), "Key"); v != "v" || err != nil {
		t.Error(v, err)
	}
	if _, err := table.Lookup(t.Context(), "key"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

func TestAccounts(t *testing.T) {
	table := accounts(write(t, "root:x:0:0:root:/root:/bin/sh\nhalf:x\n:x:0:0:::\n"), 7, Options{})
	if v, err := table.Lookup(t.Context(), "ROOT"); v != "root:x:0:0:root:/root:/bin/sh" || err != nil {
		t.Error(v, err)
	}
	for _, key := range []string{"half", ""} {
		if _, err := table.Lookup(t.Context(), key); !fail.Is(err, fail.NotFound) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestEnviron(t *testing.T) {
	t.Setenv("lower_name", "x")
	if got := answer(t, "environ:", "Lower_Name"); got != "x" {
		t.Error(got)
	}
}

// asked notes the keys it is asked for.
type asked struct {
	values map[string]string
	keys   *[]string
	whole  bool
	err    error
}

func (a asked) Patterned() bool { return a.whole }

func (a asked) Lookup(_ context.Context, key string) (string, error) {
	*a.keys = append(*a.keys, key)
	if a.err != nil {
		return "", a.err
	}
	if v, ok := a.values[key]; ok {
		return v, nil
	}
	return "", notFound("test")
}

func parsed(t *testing.T, s string) addr.Address {
	t.Helper()
	a, err := addr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddressKeys(t *testing.T) {
	own := func(_ context.Context, domain string) (bool, error) { return domain == "own.example", nil }
	for address, want := range map[string]string{
		"joe+x@own.example":   "joe+x@own.example joe@own.example joe+x joe @own.example",
		"joe@own.example":     "joe@own.example joe @own.example",
		"joe+x@other.example": "joe+x@other.example joe@other.example @other.example",
		"joe+x":               "joe+x joe",
		"joe":                 "joe",
		"+x@other.example":    "+x@other.example @other.example",
		`"a@b"@other.example`: `"a@b"@other.example @other.example`,
		`"a b+x"@own.example`: `"a b+x"@own.example "a b"@own.example "a b+x" "a b" @own.example`,
	} {
		var fixed, patterned []string
		m := Maps{asked{keys: &fixed}, asked{keys: &patterned, whole: true}}
		if _, err := Address(t.Context(), m, parsed(t, address), AddressKeys{"+", own}); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", address, err)
		}
		if got := strings.Join(fixed, " "); got != want {
			t.Errorf("%s: asked for %s, want %s", address, got, want)
		}
		if len(patterned) != 1 || patterned[0] != address {
			t.Errorf("%s: patterns were asked for %q", address, patterned)
		}
	}
}

func TestAddressFound(t *testing.T) {
	own := func(_ context.Context, domain string) (bool, error) { return domain == "own.example", nil }
	const all = "inline:{joe@own.example=a, ann=b, {@own.example = @new.example}, bob+x@own.example=c, {@other.example=all@x.example}}"
	m, err := OpenAll([]string{"inline:{x=y}", all}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]Found{
		"Joe@own.example":     {"a", "Joe@own.example", ""},
		"joe+l@own.example":   {"a", "joe@own.example", "+l"},
		"ann+l+m@own.example": {"b", "ann", "+l+m"},
		"bob+x@own.example":   {"c", "bob+x@own.example", ""},
		"bob+y@own.example":   {"bob+y@new.example", "@own.example", ""},
		`"b b+y"@own.example`: {`"b b+y"@new.example`, "@own.example", ""},
		"eve@own.example":     {"eve@new.example", "@own.example", ""},
		"ann@other.example":   {"all@x.example", "@other.example", ""},
		"all+y@other.example": {"all@x.example", "@other.example", ""}, // not all+y, whatever the value begins with
	} {
		if got, err := Address(t.Context(), m, parsed(t, address), AddressKeys{"+", own}); got != want || err != nil {
			t.Errorf("%s: %+v %v, want %+v", address, got, err, want)
		}
	}
}

// An outage ends the search: the key may be in the table that is away.
func TestAddressOutage(t *testing.T) {
	down := fail.New(fail.Unavailable, "down")
	var keys []string
	m := Maps{asked{keys: &keys, err: down}, asked{keys: &keys, values: map[string]string{"joe@a.example": "x"}}}
	if _, err := Address(t.Context(), m, parsed(t, "joe+l@a.example"), AddressKeys{Delimiter: "+"}); !fail.Is(err, fail.Unavailable) || len(keys) != 1 {
		t.Error(err, keys)
	}
	own := func(context.Context, string) (bool, error) { return false, down }
	if _, err := Address(t.Context(), Maps{asked{keys: &keys}}, parsed(t, "joe@a.example"), AddressKeys{Own: own}); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, s := range []string{"inline:{a=b,{c=d e}}", "unionmap:{static:a,pipemap:{inline:{a=b},fail:}}", "static:{x}", "proxy:randmap:{a,{b}}", "inline:{{a=\\}}"} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, spec, key string) {
		table, err := Open(spec, Options{})
		if err != nil {
			if !fail.Is(err, fail.Invalid) {
				t.Fatalf("%q: %v", spec, err)
			}
			return
		}
		if value, err := table.Lookup(t.Context(), key); err == nil && value == "" {
			t.Fatalf("%q answers %q with nothing", spec, key)
		}
	})
}

// Where a result may be a command or a file, no part of the key gets into it.
func TestNoGroups(t *testing.T) {
	for _, kind := range []string{"regexp", "pcre"} {
		var warned []string
		o := Options{NoGroups: true, Warn: func(p text.Problem) { warned = append(warned, p.Text) }}
		table, err := Open(kind+":{{/^run-(.*)$/ |/bin/$1}, {/^(safe)$/ joe}, {if /x/}, {/^x-(.*)/ :include:/$1}, {/^xy/ ann}, {endif}}", o)
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{"run-sh": "", "safe": "joe", "x-etc": "", "xy": "ann"} {
			if got, err := table.Lookup(t.Context(), key); got != want || (err == nil) != (want != "") {
				t.Errorf("%s: %s is %q, %v", kind, key, got, err)
			}
		}
		if len(warned) != 2 {
			t.Errorf("%s: told of %q", kind, warned)
		}
	}
}
