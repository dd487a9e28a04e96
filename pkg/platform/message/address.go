package message

import "strings"

// AddressKind tells mailboxes from the ends of a group.
type AddressKind uint8

// Kinds of Address.
const (
	Mailbox    AddressKind = iota
	GroupStart             // Mailbox holds the group's name
	GroupEnd
)

// Address is one element of an address field. Quoting is undone, encoded words
// are left as they are.
type Address struct {
	Kind    AddressKind
	Name    string // display name; a trailing comment where there is none
	Route   string // obsolete source route, "@a,@b"
	Mailbox string // local part
	Host    string // domain; "" when it is missing
}

// ParseAddresses reads an address list (RFC 5322 section 3.4 with the obsolete
// forms of 4.4), at most max elements. It reads anything: what is no address
// becomes the local part of one without a host, so that nothing a person may
// want to see is lost. It is linear in the length of value (CVE-2024-23184 was
// a quadratic one).
func ParseAddresses(value string, max int) []Address { return parseAddresses(value, max, nil) }

// parseAddresses is ParseAddresses with room for the result.
func parseAddresses(value string, max int, room []Address) []Address {
	p := addrParser{scanner: scanner{s: value}, max: max, out: room[:0]}
	for !p.done() && len(p.out) < max {
		p.skipSpace()
		switch {
		case p.done():
		case p.accept(','):
		case p.accept(';'):
			if p.group {
				p.group = false
				p.add(Address{Kind: GroupEnd})
			}
		default:
			p.element()
		}
	}
	if p.group {
		p.out = append(p.out, Address{Kind: GroupEnd})
	}
	return p.out
}

type addrParser struct {
	scanner
	out   []Address
	max   int
	group bool // inside a group
}

func (p *addrParser) add(a Address) {
	if len(p.out) < p.max {
		p.out = append(p.out, a)
	}
}

// element reads a mailbox, or a group's name and colon.
func (p *addrParser) element() {
	p.comment = ""
	name := p.phrase(false)
	switch {
	case p.accept(':') && !p.group:
		p.group = true
		p.add(Address{Kind: GroupStart, Mailbox: name.text})
	case p.peek() == '<':
		a := p.angle()
		if a.Name = name.text; a.Name == "" {
			p.skipSpace()
			a.Name = p.comment
		}
		p.skipRest()
		p.add(a)
	case p.accept('@'):
		a := Address{Mailbox: name.joined, Host: p.domain()}
		p.skipSpace()
		a.Name = p.comment
		p.skipRest()
		p.add(a)
	default:
		p.skipRest()
		if name.text != "" || p.comment != "" {
			p.add(Address{Mailbox: name.text, Name: p.comment})
		}
	}
}

// skipRest drops rubbish up to the next separator.
func (p *addrParser) skipRest() {
	for p.skipSpace(); !p.done(); p.skipSpace() {
		switch p.s[p.pos] {
		case ',', ';':
			return
		case '"':
			p.quoted()
		default:
			p.pos++
		}
	}
}

// phraseText is a run of words: text with one space between them, joined with
// none (a local part with obsolete spaces around its dots).
type phraseText struct{ text, joined string }

// phrase reads words up to a special of the address grammar. A period belongs
// to a word (RFC 5322 section 4.1, "John Q. Public" unquoted). Inside angle
// brackets ">" ends it too; outside, one that nothing opened is dropped.
func (p *addrParser) phrase(inside bool) phraseText {
	var text, joined words
	for {
		before := p.pos
		p.skipSpace()
		gap := p.pos > before && text.String() != ""
		var word string
		switch {
		case p.done():
			return phraseText{text.String(), joined.String()}
		case p.peek() == '"':
			word = p.quoted()
		default:
			word = p.until(stops{low: special, high: atSign})
			if word == "" {
				if p.peek() == ')' || p.peek() == '>' && !inside {
					p.pos++
					continue
				}
				return phraseText{text.String(), joined.String()}
			}
		}
		if gap {
			text.add(" ")
		}
		text.add(word)
		joined.add(word)
	}
}

// words joins strings. Most are one: no copy is made of it.
type words struct {
	first string
	all   strings.Builder
}

func (w *words) add(s string) {
	switch {
	case w.all.Len() > 0:
		w.all.WriteString(s)
	case w.first == "":
		w.first = s
	default:
		w.all.WriteString(w.first)
		w.all.WriteString(s)
	}
}

func (w *words) String() string {
	if w.all.Len() > 0 {
		return w.all.String()
	}
	return w.first
}

// angle reads "<route:local@domain>".
func (p *addrParser) angle() Address {
	p.pos++
	var a Address
	p.skipSpace()
	if p.peek() == '@' {
		a.Route = p.route()
	}
	name := p.phrase(true)
	a.Mailbox = name.joined
	if p.accept('@') {
		a.Host = p.domain()
	}
	p.skipSpace()
	for !p.done() && p.peek() != '>' && p.peek() != ',' {
		p.pos++
	}
	p.accept('>')
	return a
}

// route reads "@a,@b:". When no colon follows it was no route but an address
// without a local part, which is left to be read again.
func (p *addrParser) route() string {
	start := p.pos
	var parts []string
	for p.accept('@') {
		parts = append(parts, "@"+p.domain())
		p.skipSpace()
		for p.accept(',') {
			p.skipSpace()
		}
	}
	if p.accept(':') {
		return strings.Join(parts, ",")
	}
	p.pos = start
	return ""
}

// domain reads a domain or a domain literal; white space and comments inside
// are obsolete syntax and dropped.
func (p *addrParser) domain() string {
	var out words
	for {
		before := p.pos
		p.skipSpace()
		start := p.pos
		if p.peek() == '[' {
			p.until(stops{low: 1 << '>', high: 1 << (']' - 64)})
			p.accept(']')
			out.add(p.s[start:p.pos])
			continue
		}
		// Two words without a dot between them are two things.
		if d := out.String(); p.pos > before && d != "" && !strings.HasSuffix(d, ".") && p.peek() != '.' {
			return d
		}
		word := p.until(stops{low: special, high: atSign | brackets})
		if word == "" {
			return out.String()
		}
		out.add(word)
	}
}
