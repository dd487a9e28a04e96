package pattern

import (
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// opening reads what follows an opening parenthesis.
func (p *perl) opening() error {
	if len(p.groups) >= maxNesting {
		return fail.New(fail.Invalid, "parentheses are nested more than %d deep", maxNesting)
	}
	switch {
	case strings.HasPrefix(p.in[p.at:], "*"):
		return fail.New(fail.Invalid, "verbs such as (*SKIP) are not supported")
	case !p.has("?"):
		p.push("(", "(", "")
		p.count++
		return nil
	}
	for _, look := range []string{"=", "!", "<=", "<!", ">"} {
		if strings.HasPrefix(p.in[p.at:], look) {
			p.at += len(look)
			what := "look-around"
			if look == ">" {
				what = "an atomic group"
			}
			p.push("(", "(?"+look, what)
			return nil
		}
	}
	switch {
	case p.has("#"):
		if _, found := p.until(")"); !found {
			return fail.New(fail.Invalid, "a comment is not closed")
		}
		return nil
	case p.has("P<"), p.has("<"):
		return p.naming(">")
	case p.has("'"):
		return p.naming("'")
	case p.has("P="):
		name, _ := p.until(")")
		n, known := p.names[name]
		if !known {
			return fail.New(fail.Invalid, "there is no group %.40q before this", name)
		}
		return p.reference(n)
	case p.has("("):
		return p.conditional()
	case p.has("|"):
		return fail.New(fail.Invalid, "(?| is not supported")
	case p.more() && strings.IndexByte("R&P0123456789+", p.peek()) >= 0:
		return fail.New(fail.Invalid, "calls of groups, such as (?R), are not supported")
	}
	return p.switching()
}

// push opens a group.
func (p *perl) push(linear, slow, lacking string) {
	p.begin()
	p.groups = append(p.groups, group{p.atomLinear, p.atomSlow, p.modes})
	p.linear.WriteString(linear)
	p.slow.WriteString(slow)
	if lacking != "" {
		p.need(lacking)
	}
	p.none()
}

func (p *perl) closing() error {
	if len(p.groups) == 0 {
		return fail.New(fail.Invalid, "a parenthesis is closed that was not opened")
	}
	g := p.groups[len(p.groups)-1]
	p.groups = p.groups[:len(p.groups)-1]
	p.both(")")
	p.modes = g.modes
	p.reach(g.atomLinear, g.atomSlow)
	return nil
}

// naming reads the name of a group; the engines only get its number, since one
// of them counts groups with names apart.
func (p *perl) naming(end string) error {
	name, found := p.until(end)
	if !found || name == "" || strings.ContainsAny(name, "()[]{}\\") || name[0] <= '9' {
		return fail.New(fail.Invalid, "the name of a group is not closed, or starts with a digit")
	}
	if _, twice := p.names[name]; twice {
		return fail.New(fail.Invalid, "two groups have the name %.40q", name)
	}
	p.push("(", "(", "")
	p.count++
	p.names[name] = p.count
	return nil
}

// conditional reads (?(1)yes|no), or by name, or by look-around.
func (p *perl) conditional() error {
	const what = "a condition"
	if p.peek() == '?' {
		p.push("(", "(?", what)
		p.at--
		return nil
	}
	name, found := p.until(")")
	name = strings.Trim(name, "<>'")
	n, known := p.names[name]
	if !known {
		var err error
		if n, err = strconv.Atoi(name); err != nil || n < 1 || n > strings.Count(p.in, "(") {
			found = false
		}
	}
	if !found {
		return fail.New(fail.Invalid, "the condition (?(%.40s) is not supported", name)
	}
	p.push("(", "(?("+strconv.Itoa(n)+")", what)
	return nil
}

// switching reads (?i), (?i-s:…) and the like.
func (p *perl) switching() error {
	next := p.modes
	for on := true; p.more(); {
		switch c := p.rune(); c {
		case '-':
			on = false
		case '^':
			next = modes{}
		case 'i':
			next.caseless = on
		case 's':
			next.dotall = on
		case 'm':
			next.multiline = on
		case 'x':
			next.extended = on
		case 'U':
			next.ungreedy = on
		case ':':
			p.push("(?"+letters(next)+":", "(?"+letters(next)+":", "")
			p.modes = next
			return nil
		case ')':
			p.modes = next
			p.both("(?" + letters(next) + ")")
			p.none()
			return nil
		default:
			return fail.New(fail.Invalid, "(?%c is not supported", c)
		}
	}
	return fail.New(fail.Invalid, "a parenthesis is not closed")
}

// letters are the options that the engines are left with.
func letters(m modes) string {
	if m.caseless {
		return "i"
	}
	return "-i"
}
