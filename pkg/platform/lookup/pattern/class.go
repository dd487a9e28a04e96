package pattern

import (
	"strings"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// shorthand reads \d, \p{…} and the like after their backslash; ok is false,
// and nothing is taken, for anything else.
func (p *perl) shorthand() (s set, ok bool, err error) {
	c := p.peek()
	switch c {
	case 'd', 'D':
		s.addAll(named("digit"), c == 'D')
	case 'w', 'W':
		s.addAll(named("word"), c == 'W')
	case 's', 'S':
		s.addAll(named("space"), c == 'S')
	case 'h', 'H':
		s.addAll([]rune{'\t', '\t', ' ', ' ', 0xa0, 0xa0, 0x1680, 0x1680, 0x180e, 0x180e, 0x2000, 0x200a, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000}, c == 'H')
	case 'v', 'V':
		s.addAll([]rune{'\n', '\r', 0x85, 0x85, 0x2028, 0x2029}, c == 'V')
	case 'p', 'P':
		p.at++
		s.raw, err = p.property(c)
		return s, err == nil, err
	default:
		return s, false, nil
	}
	p.at++
	return s, true, nil
}

// property reads {Lu} or L after \p.
func (p *perl) property(c byte) (string, error) {
	name, found := "", true
	if p.has("{") {
		name, found = p.until("}")
	} else if p.more() {
		name = string(p.rune())
	}
	if strings.HasPrefix(name, "^") {
		name, c = name[1:], c^('p'^'P')
	}
	for i := 0; i < len(name); i++ {
		if !isAlnum(name[i]) && name[i] != '_' {
			found = false
		}
	}
	if !found || name == "" {
		return "", fail.New(fail.Invalid, `\%c is not followed by the name of a property`, c)
	}
	return `\` + string(c) + "{" + name + "}", nil
}

// bracket reads a class after its opening bracket.
func (p *perl) bracket() error {
	s := set{negate: p.has("^")}
	for first := true; first || p.peek() != ']'; first = false {
		if !p.more() {
			return fail.New(fail.Invalid, "a [ is not closed")
		}
		if err := p.members(&s); err != nil {
			return err
		}
	}
	p.at++
	p.class(&s)
	return nil
}

// members reads a character, a range or a class within a class.
func (p *perl) members(s *set) error {
	if done, err := p.member(s); err != nil || done {
		if err == nil && p.ranging() {
			err = fail.New(fail.Invalid, "a class cannot start a range in a []")
		}
		return err
	}
	lo, err := p.one()
	if err != nil {
		return err
	}
	hi := lo
	if p.ranging() {
		p.at++
		switch {
		case !p.more():
			return fail.New(fail.Invalid, "a [ is not closed")
		case isShorthand(p.in[p.at:]):
			return fail.New(fail.Invalid, "a class cannot end a range in a []")
		}
		if hi, err = p.one(); err != nil {
			return err
		}
	}
	if hi < lo {
		return fail.New(fail.Invalid, "the range %c-%c in a [] is out of order", lo, hi)
	}
	s.add(lo, hi)
	return nil
}

// ranging reports whether a - follows that is not the last member.
func (p *perl) ranging() bool {
	rest := p.in[p.at:]
	return strings.HasPrefix(rest, "-") && !strings.HasPrefix(rest, "-]")
}

// isShorthand reports whether a class follows.
func isShorthand(s string) bool {
	return len(s) > 1 && (s[0] == '\\' && strings.IndexByte("dDwWsShHvVpP", s[1]) >= 0 || s[0] == '[' && s[1] == ':')
}

// member reads a class within a class.
func (p *perl) member(s *set) (done bool, err error) {
	if name, after, found := strings.Cut(p.in[p.at:], ":]"); found && strings.HasPrefix(name, "[:") && !strings.ContainsAny(name[2:], "[]") {
		p.at = len(p.in) - len(after)
		return true, posixClass(s, name[2:])
	}
	if !strings.HasPrefix(p.in[p.at:], `\`) {
		return false, nil
	}
	p.at++
	if p.has("E") {
		return true, nil
	}
	inner, ok, err := p.shorthand()
	if !ok && err == nil {
		p.at--
		return false, nil
	}
	s.table = append(s.table, inner.table...)
	s.raw += inner.raw
	return true, err
}

// posixClass adds [:name:] or [:^name:].
func posixClass(s *set, name string) error {
	bare, negate := strings.CutPrefix(name, "^")
	table := named(bare)
	if table == nil {
		return fail.New(fail.Invalid, "there is no class [:%.40s:]", name)
	}
	s.addAll(table, negate)
	return nil
}

// one reads a single character of a class.
func (p *perl) one() (rune, error) {
	c := p.rune()
	if c != '\\' {
		return c, nil
	}
	switch {
	case !p.more():
		return 0, fail.New(fail.Invalid, "a [ is not closed")
	case p.has("b"):
		return '\b', nil
	case '0' <= p.peek() && p.peek() <= '7':
		return p.octal()
	}
	r, err := p.character()
	if err == nil && r == utf8.RuneError {
		err = fail.New(fail.Invalid, "a character of a [] is not UTF-8")
	}
	return r, err
}
