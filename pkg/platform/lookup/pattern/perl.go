package pattern

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// modes are the options that hold from a place to the end of its group.
type modes struct{ caseless, dotall, multiline, extended, ungreedy bool }

// perl translates a pattern of PCRE.
type perl struct {
	emitter
	scanner
	modes
	dollarEnd bool // $ is not before a line feed at the end
	names     map[string]int
	groups    []group // open ones
}

// group is an open parenthesis.
type group struct {
	atomLinear, atomSlow int
	modes                modes
}

// maxPattern caps patterns, maxNesting their parentheses.
const (
	maxPattern = 64 << 10
	maxNesting = 250
)

// compilePerl takes the letters of pcre_table(5), each of which switches an
// option over from its default.
func compilePerl(pattern, flags string) (engine, error) {
	p := perl{scanner: scanner{in: pattern}, modes: modes{caseless: true, dotall: true}, names: map[string]int{}}
	anchored := false
	for _, c := range flags {
		switch c {
		case 'i':
			p.caseless = !p.caseless
		case 's':
			p.dotall = !p.dotall
		case 'm':
			p.multiline = !p.multiline
		case 'x':
			p.extended = !p.extended
		case 'A':
			anchored = !anchored
		case 'E':
			p.dollarEnd = !p.dollarEnd
		case 'U':
			p.ungreedy = !p.ungreedy
		case 'X': // PCRE2 is always strict about unknown escapes
		default:
			return nil, fail.New(fail.Invalid, "there is no option %q (there are i, m, s, x, A, E, U, X)", c)
		}
	}
	if len(pattern) > maxPattern || !utf8.ValidString(pattern) {
		return nil, fail.New(fail.Invalid, "the pattern is longer than %d bytes, or not UTF-8", maxPattern)
	}
	p.none()
	if p.caseless {
		p.both("(?i)")
	}
	if anchored {
		p.both(`\A(?:`)
	}
	if err := p.translate(); err != nil {
		return nil, err
	}
	if anchored {
		p.both(")")
	}
	return p.engine(false)
}

func (p *perl) translate() error {
	for p.has("(*UTF8)") || p.has("(*UTF)") || p.has("(*UCP)") {
		continue // texts are UTF-8 anyway
	}
	for p.more() {
		if err := p.token(); err != nil {
			return err
		}
	}
	if len(p.groups) > 0 {
		return fail.New(fail.Invalid, "a parenthesis is not closed")
	}
	return nil
}

func (p *perl) token() error {
	c := p.rune()
	switch c {
	case '\\':
		return p.escaped()
	case '[':
		return p.bracket()
	case '(':
		return p.opening()
	case ')':
		return p.closing()
	case '|':
		p.both("|")
		p.none()
	case '^':
		p.anchor(`\A`, `(?m:^)`)
	case '$':
		p.dollar()
	case '.':
		p.dot(p.dotall)
	case '*':
		return p.repetition(0, -1)
	case '+':
		return p.repetition(1, -1)
	case '?':
		return p.repetition(0, 1)
	case '{':
		if low, high, ok := p.bounds("}", false); ok {
			return p.repetition(low, high)
		}
		p.literal('{')
	case ' ', '\t', '\n', '\r', '\f', '\v':
		if !p.extended {
			p.literal(c)
		}
	case '#':
		if !p.extended {
			p.literal(c)
		} else if _, found := p.until("\n"); !found {
			p.at = len(p.in)
		}
	default:
		p.literal(c)
	}
	return nil
}

func (p *perl) anchor(single, multi string) {
	if p.multiline {
		single = multi
	}
	p.item(single, single)
}

func (p *perl) dollar() {
	switch {
	case p.multiline:
		p.item(`(?m:$)`, `(?m:$)`)
	case p.dollarEnd:
		p.item(`\z`, `\z`)
	default:
		p.item(`(?:\n?\z)`, `(?=\n?\z)`)
	}
}

func (e *emitter) dot(all bool) {
	if all {
		e.item(`(?s:.)`, `(?s:.)`)
	} else {
		e.item(`[^\n]`, `[^\n]`)
	}
}

// repetition reads what may follow: ? for the other greed, + for possession.
func (p *perl) repetition(low, high int) error {
	if high > 65535 || low > 65535 || (high >= 0 && high < low) {
		return fail.New(fail.Invalid, "a repetition has bounds that are too large or out of order")
	}
	lazy := p.ungreedy
	possessive := false
	if p.has("?") {
		lazy = !lazy
	} else if p.has("+") {
		lazy, possessive = false, true
	}
	if p.atomLinear < 0 || p.repeated {
		return fail.New(fail.Invalid, "there is nothing to repeat")
	}
	p.repeat(low, high, lazy, possessive)
	return nil
}

// escaped reads what follows a backslash.
func (p *perl) escaped() error {
	if !p.more() {
		return fail.New(fail.Invalid, "a backslash stands at the end")
	}
	if s, ok, err := p.shorthand(); ok || err != nil {
		if err == nil {
			p.class(&s)
		}
		return err
	}
	if '1' <= p.peek() && p.peek() <= '9' {
		return p.numbered()
	}
	switch c := p.rune(); c {
	case 'b', 'B':
		p.item(`\`+string(c), `\`+string(c))
	case 'A', 'G':
		p.item(`\A`, `\A`)
	case 'z':
		p.item(`\z`, `\z`)
	case 'Z':
		p.item(`(?:\n?\z)`, `(?=\n?\z)`)
	case 'K': // only the start of the match, which nobody asks for
	case 'N':
		p.dot(false)
	case 'R':
		p.item(`(?:\r\n|[\n-\r\x85\x{2028}\x{2029}])`, "(?:\\r\\n|[\\n-\\r\u0085\u2028\u2029])")
	case 'Q':
		text, found := p.until(`\E`)
		if !found {
			text, p.at = p.in[p.at:], len(p.in)
		}
		for _, r := range text {
			p.literal(r)
		}
	case 'E':
	case 'g', 'k':
		return p.named(c)
	default:
		p.at -= utf8.RuneLen(c)
		r, err := p.character()
		if err != nil {
			return err
		}
		p.literal(r)
	}
	return nil
}

// numbered reads \1 and so on: a group, or what is in octal then.
func (p *perl) numbered() error {
	start := p.at
	for p.at < len(p.in) && p.at < start+3 && '0' <= p.in[p.at] && p.in[p.at] <= '9' {
		p.at++
	}
	n, _ := strconv.Atoi(p.in[start:p.at])
	if n >= 10 && n > strings.Count(p.in, "(") {
		p.at = start
		r, err := p.octal()
		p.literal(r)
		return err
	}
	return p.reference(n)
}

// reference writes what a group has matched.
func (p *perl) reference(n int) error {
	if n < 1 || n > strings.Count(p.in, "(") {
		return fail.New(fail.Invalid, "there is no group %d", n)
	}
	p.only(`(?:\`+strconv.Itoa(n)+`)`, "a back reference")
	return nil
}

// named reads \g1, \g{-1}, \g{name}, \k<name>, \k'name' and \k{name}.
func (p *perl) named(c rune) error {
	var name string
	found := true
	switch {
	case p.has("{"):
		name, found = p.until("}")
	case c == 'k' && p.has("<"):
		name, found = p.until(">")
	case c == 'k' && p.has("'"):
		name, found = p.until("'")
	case c == 'g' && p.peek() != '<' && p.peek() != '\'':
		start := p.at
		p.has("-")
		for '0' <= p.peek() && p.peek() <= '9' {
			p.at++
		}
		name = p.in[start:p.at]
	default:
		return fail.New(fail.Invalid, `\%c as a call of a group is not supported`, c)
	}
	if n, known := p.names[name]; known && found {
		return p.reference(n)
	}
	n, err := strconv.Atoi(name)
	if err != nil || !found || c == 'k' {
		return fail.New(fail.Invalid, "there is no group %.40q before this", name)
	}
	if strings.HasPrefix(name, "-") {
		n += p.count + 1
	}
	return p.reference(n)
}

// character reads an escape that stands for one character.
func (p *perl) character() (rune, error) {
	switch c := p.rune(); c {
	case 'a':
		return '\a', nil
	case 'e':
		return 0x1b, nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '0':
		p.at--
		return p.octal()
	case 'c':
		if !p.more() || p.peek() >= 0x80 {
			return 0, fail.New(fail.Invalid, `\c stands at the end`)
		}
		return rune(strings.ToUpper(string(p.rune()))[0] ^ 0x40), nil
	case 'x':
		return p.hex()
	case 'o':
		if !p.has("{") {
			return 0, fail.New(fail.Invalid, `\o is not followed by {`)
		}
		text, _ := p.until("}")
		return number(text, 8)
	default:
		if c < 0x80 && isAlnum(byte(c)) {
			return 0, fail.New(fail.Invalid, `\%c is not supported`, c)
		}
		return c, nil
	}
}

// octal reads up to three digits.
func (p *perl) octal() (rune, error) {
	start := p.at
	for p.at < len(p.in) && p.at < start+3 && '0' <= p.in[p.at] && p.in[p.at] <= '7' {
		p.at++
	}
	return number(p.in[start:p.at], 8)
}

func (p *perl) hex() (rune, error) {
	if p.has("{") {
		text, _ := p.until("}")
		return number(text, 16)
	}
	start := p.at
	for p.at < len(p.in) && p.at < start+2 && strings.IndexByte("0123456789abcdefABCDEF", p.in[p.at]) >= 0 {
		p.at++
	}
	if p.at == start {
		return 0, nil
	}
	return number(p.in[start:p.at], 16)
}

func number(text string, base int) (rune, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), base, 32)
	if err != nil || n > utf8.MaxRune || (0xd800 <= n && n < 0xe000) {
		return 0, fail.New(fail.Invalid, "%.20q is no code of a character", text)
	}
	return rune(n), nil
}
