package pattern

import (
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// posix translates a regular expression as the C library's regcomp(3) takes
// it, with GNU's additions.
type posix struct {
	emitter
	scanner
	extended bool // otherwise a basic one: \( \) \{ \} and no + ? |
	newline  bool // REG_NEWLINE
	groups   []group
}

// compilePosix takes the letters of regexp_table(5), each of which switches an
// option over from its default.
func compilePosix(pattern, flags string) (engine, error) {
	p := posix{scanner: scanner{in: pattern}, extended: true}
	caseless := true
	for _, c := range flags {
		switch c {
		case 'i':
			caseless = !caseless
		case 'm':
			p.newline = !p.newline
		case 'x':
			p.extended = !p.extended
		default:
			return nil, fail.New(fail.Invalid, "there is no option %q (there are i, m, x)", c)
		}
	}
	if len(pattern) > maxPattern || !utf8.ValidString(pattern) {
		return nil, fail.New(fail.Invalid, "the pattern is longer than %d bytes, or not UTF-8", maxPattern)
	}
	p.none()
	if caseless {
		p.both("(?i)")
	}
	for p.more() {
		if err := p.token(); err != nil {
			return nil, err
		}
	}
	if len(p.groups) > 0 {
		return nil, fail.New(fail.Invalid, "a parenthesis is not closed")
	}
	return p.engine(true)
}

func (p *posix) token() error {
	c := p.rune()
	escaped := c == '\\'
	if escaped {
		if !p.more() {
			return fail.New(fail.Invalid, "a backslash stands at the end")
		}
		c = p.rune()
	}
	// What is an operator with a backslash in one kind is one without it in
	// the other.
	if escaped != p.extended {
		switch c {
		case '(':
			return p.opening()
		case ')':
			if len(p.groups) > 0 || !p.extended {
				return p.closing()
			}
		case '|':
			p.both("|")
			p.none()
			return nil
		case '+':
			return p.repetition(1, -1, c)
		case '?':
			return p.repetition(0, 1, c)
		case '{':
			return p.interval()
		}
	}
	if escaped {
		return p.escaped(c)
	}
	return p.plain(c)
}

func (p *posix) plain(c rune) error {
	switch c {
	case '[':
		return p.bracket()
	case '.':
		p.dot(!p.newline)
	case '*':
		return p.repetition(0, -1, c)
	case '^':
		if p.extended || p.atStart() {
			p.anchor(`\A`, `(?m:^)`)
		} else {
			p.literal(c)
		}
	case '$':
		if p.extended || p.atEnd() {
			p.anchor(`\z`, `(?m:$)`)
		} else {
			p.literal(c)
		}
	default:
		p.literal(c)
	}
	return nil
}

func (p *posix) anchor(single, multi string) {
	if p.newline {
		single = multi
	}
	p.both(single)
	p.none()
}

// atStart: the ^ just taken begins a basic expression or a part of one.
func (p *posix) atStart() bool {
	before := p.in[:p.at-1]
	return before == "" || hasEnd(before, `\(`) || hasEnd(before, `\|`) || hasEnd(before, "\n")
}

func hasEnd(s, end string) bool { return len(s) >= len(end) && s[len(s)-len(end):] == end }

func (p *posix) atEnd() bool {
	rest := p.in[p.at:]
	return rest == "" || (len(rest) > 1 && (rest[:2] == `\)` || rest[:2] == `\|`))
}

func (p *posix) opening() error {
	if len(p.groups) >= maxNesting {
		return fail.New(fail.Invalid, "parentheses are nested more than %d deep", maxNesting)
	}
	p.begin()
	p.groups = append(p.groups, group{atomLinear: p.atomLinear, atomSlow: p.atomSlow})
	p.both("(")
	p.count++
	p.none()
	return nil
}

func (p *posix) closing() error {
	if len(p.groups) == 0 {
		return fail.New(fail.Invalid, "a parenthesis is closed that was not opened")
	}
	g := p.groups[len(p.groups)-1]
	p.groups = p.groups[:len(p.groups)-1]
	p.both(")")
	p.reach(g.atomLinear, g.atomSlow)
	return nil
}

// dupMax is RE_DUP_MAX.
const dupMax = 32767

// repetition by c. What is repeated may have been repeated before.
func (p *posix) repetition(low, high int, c rune) error {
	if p.atomLinear < 0 && !p.extended && c == '*' {
		p.literal(c)
		return nil
	}
	if p.atomLinear < 0 {
		return fail.New(fail.Invalid, "there is nothing to repeat")
	}
	if low > dupMax || high > dupMax || (high >= 0 && high < low) {
		return fail.New(fail.Invalid, "a repetition has bounds that are too large or out of order")
	}
	if p.repeated {
		p.regroup()
	}
	p.repeat(low, high, false, false)
	return nil
}

// interval reads the bounds of a repetition.
func (p *posix) interval() error {
	end := "}"
	if !p.extended {
		end = `\}`
	}
	low, high, ok := p.bounds(end, true)
	if !ok {
		return fail.New(fail.Invalid, "a { has no bounds of a repetition after it")
	}
	return p.repetition(low, high, '{')
}

// escaped reads what follows a backslash and is no operator.
func (p *posix) escaped(c rune) error {
	var s set
	switch c {
	case 'w', 'W':
		s.addAll(named("word"), c == 'W')
	case 's', 'S':
		s.addAll(named("space"), c == 'S')
	case 'b', 'B', '<', '>':
		if c == '<' || c == '>' {
			c = 'b' // in all that one would write it is the same
		}
		p.both(`\` + string(c))
		p.none()
		return nil
	case '`', '\'':
		p.both(map[rune]string{'`': `\A`, '\'': `\z`}[c])
		p.none()
		return nil
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if int(c-'0') > p.count {
			return fail.New(fail.Invalid, "there is no group %c before this", c)
		}
		p.only(`(?:\`+string(c)+`)`, "a back reference")
		return nil
	default:
		p.literal(c)
		return nil
	}
	p.class(&s)
	return nil
}

// bracket reads a class after its opening bracket; a backslash is itself.
func (p *posix) bracket() error {
	s := set{negate: p.has("^")}
	if s.negate && p.newline {
		s.add('\n', '\n')
	}
	for first := true; first || p.peek() != ']'; first = false {
		if p.has("[:") {
			name, _ := p.until(":]")
			table := named(name)
			if table == nil || name == "word" || name == "ascii" {
				return fail.New(fail.Invalid, "there is no class [:%.40s:]", name)
			}
			s.addAll(table, false)
			continue
		}
		lo, err := p.one()
		if err != nil {
			return err
		}
		hi := lo
		if rest := p.in[p.at:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			p.at++
			if hi, err = p.one(); err != nil {
				return err
			}
			if rest = p.in[p.at:]; hi < lo || (len(rest) > 1 && rest[0] == '-' && rest[1] != ']') {
				return fail.New(fail.Invalid, "a range in a [] has no good end")
			}
		}
		s.add(lo, hi)
	}
	p.at++
	p.class(&s)
	return nil
}

// one reads a character of a class, or [.x.] or [=x=] for it.
func (p *posix) one() (rune, error) {
	for _, mark := range []string{".", "="} {
		if !p.has("[" + mark) {
			continue
		}
		text, found := p.until(mark + "]")
		if r, n := utf8.DecodeRuneInString(text); found && n == len(text) && n > 0 {
			return r, nil
		}
		return 0, fail.New(fail.Invalid, "[%s%.20s%s] is not supported", mark, text, mark)
	}
	if !p.more() {
		return 0, fail.New(fail.Invalid, "a [ is not closed")
	}
	return p.rune(), nil
}
