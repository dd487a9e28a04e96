package pattern

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// problems collects what is wrong with which line.
type problems []string

func (p *problems) lines(source, in string) *text.Lines {
	return text.NewLines(source, strings.NewReader(in), text.Limits{}, func(x text.Problem) { *p = append(*p, fmt.Sprint(x.Line)) })
}

// A pattern and the keys that it matches (+) or not (-), as the real library
// says; "error": the library refuses the pattern.
type trial struct{ flags, pattern, keys string }

func try(t *testing.T, c compile, cases []trial) {
	t.Helper()
	for _, tc := range cases {
		e, err := c(tc.pattern, tc.flags)
		if (err != nil) != (tc.keys == "error") {
			t.Errorf("/%s/%s: %v, want %s", tc.pattern, tc.flags, err, tc.keys)
			continue
		}
		if err != nil {
			if !fail.Is(err, fail.Invalid) {
				t.Errorf("/%s/%s: %v", tc.pattern, tc.flags, err)
			}
			continue
		}
		for _, key := range strings.Split(tc.keys, "|") {
			_, matched, err := e.match(key[1:], false)
			if err != nil || matched != (key[0] == '+') {
				t.Errorf("/%s/%s on %q: %v %v", tc.pattern, tc.flags, key[1:], matched, err)
			}
		}
	}
}

func TestPosix(t *testing.T) {
	try(t, compilePosix, []trial{
		{"", `*a`, "error"},
		{"", `x|*b`, "error"},
		{"", `(*a)`, "error"},
		{"", `^*a`, "error"},
		{"", `a)`, "+a)|-a"},
		{"", `a{x`, "error"},
		{"", `a{,2}b`, "+aab|+b"},
		{"", `{2}`, "error"},
		{"", `a{2`, "error"},
		{"", `^a**$`, "+aa|+|-b"},
		{"", `^a+*$`, "+aa|-a+*"},
		{"", `^()$`, "+|-x"},
		{"", `^(a||b)$`, "+a|+b|+|-c"},
		{"", `^[]a]$`, "+]|+a|-b"},
		{"", `^[a\]]$`, `+a]|+\]|-]`},
		{"", `^\w+$`, "+ab1_|--"},
		{"", `\<foo\>`, "+a foo b|-foob"},
		{"", `(a)\1`, "+aa|-a"},
		{"", `\1(a)`, "error"},
		{"", `a\{2\}`, "+a{2}|-aa"},
		{"x", `a\{2\}`, "-a{2}|+aa"},
		{"x", `^\(a\)*$`, "+aa|-(a)*"},
		{"x", `a+`, "-aa|+a+"},
		{"x", `a\+b`, "+aab|-a+b"},
		{"x", `^*a`, "+*a|-a"},
		{"x", `\(*a\)`, "+*a|-a"},
		{"x", `a\|b`, "+b|+a"},
		{"x", `a^b$c`, "+a^b$c"},
		{"x", `a$`, "+a|-a$"},
		{"x", `\(^a\)`, "+a|-ba"},
		{"x", `a)`, "+a)"},
		{"x", `a\)`, "error"},
		{"", `[[:alpha:]]`, "+a|-1"},
		{"", `[^[:space:]]`, "+x|- "},
		{"", `[[.a.]]`, "+a|-b"},
		{"", `[[=a=]]`, "+a|-b"},
		{"", `[[.space.]]`, "error"},
		{"", `[[:foo:]]`, "error"},
		{"", `[b-a]`, "error"},
		{"", `[a-c-e]`, "error"},
		{"", `[a-]`, "+-|+a|-b"},
		{"", `[a`, "error"},
		{"", `(a`, "error"},
		{"", `a$b`, "-a$b"},
		{"", `(^|x)a`, "+a|+xa|-ya"},
		{"", `a{3,2}`, "error"},
		{"", `a{1,99999}`, "error"},
		{"", `\(`, "+("},
		{"", `a\Sb`, "-a b|+axb"},
		{"", `[\w]`, `+w|-a|+\`},
		{"m", `^b$`, "+a\nb|-ab"},
		{"", `^b$`, "-a\nb|-b\n"},
		{"m", `a.b|a[^x]b`, "-a\nb|+axb"},
		{"", `a.b`, "+a\nb"},
		{"", "\\`a", "+a|-ba"},
		{"", `a?*`, "+aa|+b"},
		{"", `()*x`, "+x"},
		{"", `^a{0}$`, "+|-b"},
		{"", `(^)*a`, "+a"},
		{"", `\b{2}a`, "error"},
		{"", `|a`, "+z"},
		{"", `\{`, "+{"},
		{"", `k`, "+K"},
		{"i", `k`, "-K|+k"},
		{"z", `k`, "error"},
		{"", `a\`, "error"},
		{"", strings.Repeat("(", maxNesting+1), "error"},
	})
}

func TestPerl(t *testing.T) {
	try(t, compilePerl, []trial{
		{"", `^(?!owner-)a`, "+ab|-owner-a"},
		{"", `(?<=b)c`, "+bc|-ac"},
		{"", `(?<!b)c`, "-bc|+ac"},
		{"", `a(?=b)`, "+ab|-ac"},
		{"", `(a)\1`, "+aa|-ab"},
		{"", `(a)\g{-1}`, "+aa|-ab"},
		{"", `(a)\g1`, "+aa|-ab"},
		{"", `\1`, "error"},
		{"", `a$`, "+a|+a\n|-ab"},
		{"E", `a$`, "+a|-a\n"},
		{"m", `^a$`, "+b\na\nc"},
		{"", `^a$`, "-b\na\nc"},
		{"", `a.b`, "+a\nb"},
		{"s", `a.b`, "-a\nb"},
		{"i", `a`, "-A|+a"},
		{"", `(?-i)a`, "-A|+a"},
		{"", `(?i)A`, "+a"},
		{"", `a(?-i:B)c`, "-abc|+aBC"},
		{"x", "a b # c\nd", "+abd|-a b"},
		{"", `[[:alpha:]]`, "+a|-1"},
		{"", `[[:^alpha:]]`, "-a|+1"},
		{"", `[[:foo:]]`, "error"},
		{"", `[[:a]`, "+[|+:|+a|-b"},
		{"", `\Qa.b\E`, "+a.b|-axb"},
		{"", `a{,2}`, "+a{,2}|-aa"},
		{"", `a++a`, "-aa"},
		{"", `(ab)?+c`, "+abc|+c"},
		{"", `(?>a+)b`, "+aab"},
		{"", `(?>a+)ab`, "-aab"},
		{"", `\y`, "error"},
		{"", `\pL\p{Nd}`, "+a1|-1a"},
		{"", `(?R)`, "error"},
		{"", `(?|a|b)`, "error"},
		{"", `(*SKIP)a`, "error"},
		{"", `(*UTF8)a`, "+a"},
		{"", `(?<n>a)\k<n>`, "+aa|-ab"},
		{"", `(?P<n>a)(?P=n)`, "+aa|-ab"},
		{"", `(?<1a>a)`, "error"},
		{"", `\x41\x{42}\103\o{104}`, "+abcd"},
		{"", `\cA`, "+\x01"},
		{"", `\bfoo\b`, "+a foo|-afoo"},
		{"", `^(?(?=a)ab|cd)`, "+ab|+cd|-ad"},
		{"", `^(a)?(?(1)b|c)$`, "+ab|+c|-ac"},
		{"", `*a`, "error"},
		{"", `a**`, "error"},
		{"", `a|*`, "error"},
		{"", `[a`, "error"},
		{"", `(a`, "error"},
		{"", `a)`, "error"},
		{"", `a\`, "error"},
		{"A", `b|c`, "+b|+c|-ab|-ac"},
		{"U", `^(a+)a`, "+aa"},
		{"X", `a`, "+a"},
		{"z", `a`, "error"},
		{"", `[\d-x]`, "error"},
		{"", `[a-\d]`, "error"},
		{"", `[\d-]`, "+-|+1|-x"},
		{"", `[z-a]`, "error"},
		{"", `[]a]`, "+]|+a|-b"},
		{"", `[^]a]`, "-]|-a|+b"},
		{"", `[\y]`, "error"},
		{"", `[\x30-\x32\b]`, "+1|-3|+\b"},
		{"", `(?#c)a`, "+a"},
		{"", `\N\h\R`, "+x \r\n|-x\n\n"},
		{"", `a\Kb`, "+ab"},
		{"", `\Ga`, "+a|-ba"},
		{"", `^a\Z`, "+a|+a\n|-ab"},
		{"", `a{99999}`, "error"},
		{"", `^a{1001}$`, "+" + strings.Repeat("a", 1001) + "|-a"},
		{"", `^\S+$`, "+ab|-a b|-a\vb"},
		{"", strings.Repeat("(", maxNesting+1), "error"},
	})
}

func lookups(t *testing.T, r *Rules, want map[string]string) {
	t.Helper()
	for key, want := range want {
		got, found, err := r.Lookup(t.Context(), key)
		if err != nil {
			t.Errorf("%q: %v", key, err)
		}
		if !found {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

const table = `
/^A1$/ one
/^b2$/i two
!/zz|ok|k|^d|if|q|w|e|m/ neg with  blanks
 more
if /^k/
/kx(.)(y)?/ kx-${1}-$(1)$2-$$
/ky/
 ky
endif
/^d\/e/ slash
|q(1)| pipe$1
IF !/^w/
/w/ notreached
endif
/(e)(f)/ $3
!/e/ $1
/novalue/
endif
endif
if /unclosed/
/a/ $x
/a/z v
(pa) v
xpax v
/m(/ v
/d/ ${1
/d/ $
/mm/ mm
`

// What Postfix makes of it, which both kinds agree on.
func TestRules(t *testing.T) {
	for name, read := range map[string]func(*text.Lines) (*Rules, error){"regexp": ReadRegexp, "pcre": ReadPCRE} {
		var p problems
		r, err := read(p.lines(name, table))
		if err != nil {
			t.Fatal(err)
		}
		lookups(t, r, map[string]string{
			"a1": "one", "A1": "one", "b2": "two", "B2": "neg with  blanks more", "nomatch": "-", "kx1": "kx-1-1-$", "kx1y": "kx-1-1y-$",
			"ky": "ky", "kz": "-", "d/e": "slash", "q1": "pipe1", "w": "-", "novalue": "", "zz": "-", "mm": "-", "unclosed mm e": "mm",
		})
		if got, want := strings.Join(p, " "), "16 17 18 19 20 22 23 24 25 26 27 28 21"; got != want {
			t.Errorf("%s: problems on lines %s, want %s", name, got, want)
		}
	}
}

// Of the matches at one place POSIX takes the longest, Perl the first.
func TestLongest(t *testing.T) {
	const in = `/^(a|ab)(c)?/ $1,$2`
	posix, err := ReadRegexp(new(problems).lines("", in))
	if err != nil {
		t.Fatal(err)
	}
	lookups(t, posix, map[string]string{"abcd": "ab,c"})
	perl, err := ReadPCRE(new(problems).lines("", in))
	if err != nil {
		t.Fatal(err)
	}
	lookups(t, perl, map[string]string{"abcd": "a,"})
}

// Groups count in the order of their parentheses, named or not, whichever
// engine it is.
func TestGroups(t *testing.T) {
	r, err := ReadPCRE(new(problems).lines("", "/^(?<x>a)(b)(?=c)/ $1$2\n/^(?<x>d)(e)(f)?/ $2$1[$3]"))
	if err != nil {
		t.Fatal(err)
	}
	lookups(t, r, map[string]string{"abc": "ab", "de": "ed[]"})
}

// A pattern that never ends is cut off, and that is no answer.
func TestPatience(t *testing.T) {
	r, err := ReadPCRE(new(problems).lines("", `/^(?=(a+)+$)/ x`))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.Lookup(t.Context(), strings.Repeat("a", 40)+"!")
	if !fail.Is(err, fail.Unavailable) || strings.Contains(err.Error(), "aaa") {
		t.Error(err)
	}
	if _, _, err = r.Lookup(t.Context(), strings.Repeat("a", maxSlowKey+1)); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	if _, _, err = r.Lookup(t.Context(), strings.Repeat("a", maxKey+1)); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err = r.Lookup(ctx, "a"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func TestCIDR(t *testing.T) {
	var p problems
	n, err := ReadCIDR(p.lines("", `
1.2.3.0/24 a
1.2.3.4 b
::1 c
[2001:db8::]/32 d
2001:db9::/32 e
1.2.3.4/24 bad
if 10.1.0.0/16
10.1.1.0/24 f
endif
10.1.2.0/24 f2
if !10.2.0.0/16
10.3.0.0/16 g
endif
endif
10.4.0.0/33 bad
10.4.0.0/16
x y
! 10.0.0.0/8 notten
10.0.0.0/8 ten
::ffff:1.2.3.4 m
if ::2
`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"1.2.3.4": "a", "1.2.3.9": "a", "::1": "c", "2001:db8::1": "d", "2001:db9::1": "e", "10.1.1.1": "f", "10.1.2.1": "f2", "10.3.0.1": "g", "10.2.0.1": "ten",
		"192.0.2.1": "notten", "bogus": "-", "::ffff:1.2.3.4": "m", "[::1]": "-", "1.2.3": "-", "fe80::1%eth0": "-", "2001::": "-", "": "-",
	} {
		got, found := n.Lookup(key)
		if !found {
			got = "-"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	if got, want := strings.Join(p, " "), "7 15 16 17 18 22"; got != want {
		t.Errorf("problems on lines %s, want %s", got, want)
	}
}

// An if for the other kind of addresses is not entered, negated or not.
func TestCIDRFamilies(t *testing.T) {
	for _, in := range []string{"!10.0.0.0/8 x", "if !10.0.0.0/8\n::/0 y\nendif", "if 10.0.0.0/8\n::/0 y\nendif"} {
		n, err := ReadCIDR(new(problems).lines("", in))
		if err != nil {
			t.Fatal(err)
		}
		if v, found := n.Lookup("::1"); found {
			t.Errorf("%s: %s", in, v)
		}
	}
}

func fuzzRules(f *testing.F, read func(*text.Lines) (*Rules, error)) {
	f.Add(table, "kx1")
	f.Add(`/(?<n>a)[[:alpha:]-]\d{2,3}+?(?!b)\g{-1}/xU $1`, "aa")
	f.Add(`/\(a\{1,\}[]x]\1\)*/xm $1`, "aa")
	f.Fuzz(func(t *testing.T, in, key string) {
		r, err := read(text.NewLines("", strings.NewReader(in), text.Limits{Line: 200, Entries: 20}, nil))
		if err != nil {
			return
		}
		if _, _, err := r.Lookup(t.Context(), key[:min(len(key), 20)]); err != nil && !fail.Is(err, fail.Unavailable) {
			t.Fatal(err)
		}
	})
}

func FuzzRegexp(f *testing.F) { fuzzRules(f, ReadRegexp) }

func FuzzPCRE(f *testing.F) { fuzzRules(f, ReadPCRE) }

func FuzzCIDR(f *testing.F) {
	f.Add("1.2.3.0/24 a\nif !::/0\n[::1] b\nendif\n!10.0.0.0/8 c", "1.2.3.4")
	f.Fuzz(func(t *testing.T, in, key string) {
		n, err := ReadCIDR(text.NewLines("", strings.NewReader(in), text.Limits{}, nil))
		if err != nil {
			return
		}
		if v, found := n.Lookup(key); found && v == "" {
			t.Fatal("empty")
		}
	})
}
