package aliases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

func TestParse(t *testing.T) {
	table, problems := Parse([]byte(`# a comment
postmaster:    root
Root: joe,
	ann,   # not a comment: a value ends at the line's end
# a comment does not end a logical line

  "|/usr/bin/archive \"a b\", c"
"with space": x@far.example
"quoted\"name":y
dup: one
DUP: two
no colon here
: empty
joe@ours.example: z
nothing:
`))
	for name, want := range map[string]string{
		"postmaster": "root", "root": `joe, ann,   # not a comment: a value ends at the line's end "|/usr/bin/archive \"a b\", c"`,
		"with space": "x@far.example", `quoted"name`: "y", "dup": "one",
	} {
		if table[name] != want {
			t.Errorf("%s: %q", name, table[name])
		}
	}
	if len(table) != 5 {
		t.Errorf("%d names: %v", len(table), table)
	}
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	if fmt.Sprint(lines) != "[11 12 13 14 15]" {
		t.Errorf("problems: %v", problems)
	}
}

func TestParseValue(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"joe", "[{0 joe}]"},
		{"joe, ann@far.example ,,", "[{0 joe} {0 ann@far.example}]"},
		{`"|/usr/bin/x -a \"b c\", d", joe`, `[{2 /usr/bin/x -a "b c", d} {0 joe}]`},
		{"|/usr/bin/x", "[{2 /usr/bin/x}]"},
		{"/var/mail/archive", "[{3 /var/mail/archive}]"},
		{`"/var/mail/a, b"`, "[{3 /var/mail/a, b}]"},
		{":include:/etc/mail/list, :INCLUDE: /x", "[{4 /etc/mail/list} {4 /x}]"},
		{`\joe, ann`, "[{1 joe} {0 ann}]"},
		{`"\\joe"`, "[{1 joe}]"},
		{`"Joe, Bloggs" <joe@x.example>, "a b"@y.example`, `[{0 "Joe, Bloggs" <joe@x.example>} {0 "a b"@y.example}]`},
		{"joe (a, b)", "[{0 joe (a, b)}]"},
		{"", "[]"},
		{`"joe`, "invalid"},
		{"(joe", "invalid"},
		{"|", "invalid"},
		{":include:relative", "invalid"},
	} {
		got, err := ParseValue(tc.in)
		text := fmt.Sprint(got)
		if err != nil {
			text = fail.KindOf(err).String()
		}
		if text != tc.want {
			t.Errorf("%s: got %s, %v", tc.in, text, err)
		}
	}
}

// world is an Expander for names at ours.example.
func world(t *testing.T, text string, cfg Config) *Expander {
	t.Helper()
	path := filepath.Join(t.TempDir(), "aliases")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg.Map = maps.Map{Key: "alias_maps", Tables: lookup.Maps{Open(path, time.Now)}}
	cfg.Delims = "+"
	cfg.Parse = func(_ context.Context, s string) ([]addr.Address, error) {
		var out []addr.Address
		for _, w := range strings.Split(s, ",") {
			a, err := addr.Parse(strings.TrimSpace(w))
			if err != nil {
				return nil, err
			}
			if a.Domain == "" {
				a.Domain = "ours.example"
			}
			out = append(out, a)
		}
		return out, nil
	}
	cfg.Local = func(_ context.Context, d string) (bool, error) { return d == "ours.example", nil }
	return New(cfg)
}

func show(ts []Target, err error) string {
	if err != nil {
		return fail.KindOf(err).String()
	}
	var out []string
	for _, t := range ts {
		s := t.Text
		switch t.Kind {
		case User:
			s = `\` + t.Addr.String()
		case Address:
			s = t.Addr.String()
		case Command:
			s = "|" + s
		}
		if !t.Owner.Null() {
			s += " by " + t.Owner.String()
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	list, open, loop := filepath.Join(dir, "list"), filepath.Join(dir, "open"), filepath.Join(dir, "loop")
	for path, text := range map[string]string{
		list: "# members\njoe\n ann@far.example, Team\n\n", open: "joe\n", loop: ":include:" + loop + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o666); err != nil {
		t.Fatal(err)
	}
	evil := filepath.Join(dir, "evil")
	if err := os.WriteFile(evil, []byte("joe\n|/bin/evil\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("LIST", list, "OPEN", open, "LOOP", loop, "EVIL", evil).Replace(`
postmaster: root
root: joe, admin@far.example
joe: \joe, copy@far.example
ann: ann, copy@far.example
team: joe, ann, joe
one: two
two: one
members: :include:LIST
owner-members: ann.smith@far.example
nested: members, root
program: "|/usr/bin/archive x"
file: /var/mail/archive
open: :include:OPEN
loop: :include:LOOP
evil: :include:EVIL
missing: joe, :include:/nonexistent/list
broken: "joe
user+special: special@far.example
user: plain@far.example
`)
	x := world(t, text, Config{PropagateAlias: true, Commands: true, Files: true})
	for _, tc := range []struct{ in, want string }{
		{"nobody@ours.example", "not found"},
		{"POSTMASTER@ours.example", `\joe@ours.example, copy@far.example, admin@far.example`},
		{"joe@ours.example", `\joe@ours.example, copy@far.example`},
		{"ann@ours.example", `\ann@ours.example, copy@far.example`},
		{"team@ours.example", `\joe@ours.example, copy@far.example, \ann@ours.example`},
		{"one@ours.example", "permanent"},
		{"members@ours.example", `\joe@ours.example by owner-members@ours.example, copy@far.example by owner-members@ours.example, ann@far.example by owner-members@ours.example, \ann@ours.example by owner-members@ours.example`},
		{"nested@ours.example", `\joe@ours.example by owner-members@ours.example, copy@far.example by owner-members@ours.example, ann@far.example by owner-members@ours.example, \ann@ours.example by owner-members@ours.example, \joe@ours.example, copy@far.example, admin@far.example`},
		{"owner-members@ours.example", "ann.smith@far.example"},
		{"program@ours.example", "|/usr/bin/archive x"},
		{"file@ours.example", "/var/mail/archive"},
		{"open@ours.example", "unavailable"},
		{"loop@ours.example", "permanent"},
		{"evil@ours.example", "permanent"},
		{"missing@ours.example", "unavailable"},
		{"broken@ours.example", "permanent"},
		{"user+special@ours.example", "special@far.example"},
		{"user+Other@ours.example", "plain+Other@far.example"},
	} {
		if got := show(x.Expand(context.Background(), addrOf(t, tc.in))); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.in, got, tc.want)
		}
	}
	x = world(t, text, Config{ExpandOwner: true})
	if got := show(x.Expand(context.Background(), addrOf(t, "members@ours.example"))); !strings.HasPrefix(got, `\joe@ours.example by ann.smith@far.example`) {
		t.Error(got)
	}
	for _, in := range []string{"program@ours.example", "file@ours.example"} {
		if got := show(x.Expand(context.Background(), addrOf(t, in))); got != "permanent" {
			t.Errorf("%s is not allowed: %s", in, got)
		}
	}
	if ok, err := x.Has(context.Background(), addrOf(t, "user+x@ours.example")); !ok || err != nil {
		t.Error(ok, err)
	}
}

func addrOf(t *testing.T, s string) addr.Address {
	t.Helper()
	a, err := addr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestExpansionIsCapped(t *testing.T) {
	var b strings.Builder
	for i := range MaxDepth + 2 {
		fmt.Fprintf(&b, "a%d: a%d\n", i, i+1)
	}
	b.WriteString("many: u")
	for i := range MaxTargets {
		fmt.Fprintf(&b, ", u%d@far.example", i)
	}
	b.WriteString("\n")
	x := world(t, b.String(), Config{})
	for _, in := range []string{"a0@ours.example", "many@ours.example"} {
		if got := show(x.Expand(context.Background(), addrOf(t, in))); got != "permanent" {
			t.Errorf("%s: %.100s", in, got)
		}
	}
	if got := show(x.Expand(context.Background(), addrOf(t, "a50@ours.example"))); got != fmt.Sprintf(`\a%d@ours.example`, MaxDepth+2) {
		t.Error(got)
	}
}

// Names, and files, that each stand for the next one twice are followed once,
// and not two to the power of their number times.
func TestExpansionThatDoubles(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "a%d: a%d, A%d+x\n", i, i+1, i+1)
		next := fmt.Sprintf(":include:%s/%d\n", dir, i+1)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(next+next), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "40"), []byte("ann@far.example\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "a40: joe@far.example\nlist: :include:%s/0\n", dir)
	x := world(t, b.String(), Config{})
	for in, want := range map[string]string{"a0@ours.example": "joe@far.example", "list@ours.example": "ann@far.example"} {
		if got := show(x.Expand(context.Background(), addrOf(t, in))); got != want {
			t.Errorf("%s: %.100s", in, got)
		}
	}
}

func TestFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aliases")
	now := time.Unix(1700000000, 0)
	f := Open(path, func() time.Time { return now })
	if _, err := f.Lookup(context.Background(), "root"); !fail.Is(err, fail.Unavailable) {
		t.Error("a file that is not there says no:", err)
	}
	for i, want := range []string{"joe", "ann.smith"} {
		if err := os.WriteFile(path, []byte("root: "+want+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * time.Second)
		if got, err := f.Lookup(context.Background(), "Root"); err != nil || got != want {
			t.Errorf("%d: %s, %v", i, got, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Lookup(context.Background(), "root"); err != nil || got != "ann.smith" {
		t.Error("the file is looked at once a second:", got, err)
	}
	now = now.Add(2 * time.Second)
	if _, err := f.Lookup(context.Background(), "root"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

// A change that size and mtime do not tell is seen all the same.
func TestFileOfEqualSizeAndTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aliases")
	now := time.Now()
	f := Open(path, func() time.Time { return now })
	for _, want := range []string{"joe", "ann"} {
		if err := os.WriteFile(path, []byte("root: "+want+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(1700000000, 0)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * time.Second)
		if got, err := f.Lookup(context.Background(), "root"); err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	for _, s := range []string{"a: b\n", "\"a b\": c,\n d\n#x\n e", ":", "a", "\"", "a: \"|x y\", :include:/z, \\u\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		table, _ := Parse([]byte(text))
		for name, value := range table {
			if name == "" || value == "" || name != strings.ToLower(name) {
				t.Fatalf("%q: %q", name, value)
			}
			items, err := ParseValue(value)
			if err != nil {
				continue
			}
			for _, it := range items {
				if it.Text == "" || strings.ContainsRune(it.Text, '\n') {
					t.Fatalf("%q: %+v", value, it)
				}
			}
		}
	})
}
