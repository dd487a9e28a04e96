package pattern

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// emitter writes a pattern in the languages of both engines at once. All that
// depends on flags (but case) is written out, so that neither needs them.
type emitter struct {
	linear, slow strings.Builder
	lacking      string // what the linear engine has not
	count        int    // groups so far
	err          error  // why the linear engine refused

	// Where the last item starts, which a repetition belongs to; -1: none.
	atomLinear, atomSlow int
	repeated             bool // it has a repetition already
}

// reason is the library's complaint in few words.
func reason(err error) string {
	var se *syntax.Error
	if errors.As(err, &se) {
		return fmt.Sprintf("%s: %.100s", se.Code, se.Expr)
	}
	return err.Error()
}

// begin marks where an item starts.
func (e *emitter) begin() { e.reach(e.linear.Len(), e.slow.Len()) }

// none says that nothing is there to repeat.
func (e *emitter) none() { e.reach(-1, -1) }

// reach says where the last item starts.
func (e *emitter) reach(linear, slow int) { e.atomLinear, e.atomSlow, e.repeated = linear, slow, false }

// both writes the same to both.
func (e *emitter) both(s string) {
	e.linear.WriteString(s)
	e.slow.WriteString(s)
}

// item writes an item.
func (e *emitter) item(linear, slow string) {
	e.begin()
	e.linear.WriteString(linear)
	e.slow.WriteString(slow)
}

// only writes an item that the linear engine lacks.
func (e *emitter) only(slow, what string) {
	e.item("", slow)
	e.need(what)
}

func (e *emitter) need(what string) {
	if e.lacking == "" {
		e.lacking = what
	}
}

// literal writes one character.
func (e *emitter) literal(r rune) {
	s := escape(r)
	e.item(s, s)
}

// escape is r for both engines, in classes, too.
func escape(r rune) string {
	switch {
	case r < 0x80 && (isAlnum(byte(r)) || r == ' ' || r == '_' || r == '@'):
		return string(r)
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	}
	return string(r)
}

// repeat writes a repetition of the last item: high -1 is no limit.
func (e *emitter) repeat(low, high int, lazy, possessive bool) {
	s := "{" + strconv.Itoa(low) + ","
	switch {
	case low == 0 && high == 1:
		s = "?"
	case low == 0 && high < 0:
		s = "*"
	case low == 1 && high < 0:
		s = "+"
	case high < 0:
		s += "}"
	default:
		s += strconv.Itoa(high) + "}"
	}
	if low > 1000 || high > 1000 {
		e.need("a repetition of more than 1000")
	}
	if lazy {
		s += "?"
	}
	e.both(s)
	if possessive {
		e.wrap("(?>", "a possessive repetition")
	}
	e.repeated = true
}

// regroup makes the last item with its repetition one that can be repeated.
func (e *emitter) regroup() {
	for _, x := range []struct {
		b  *strings.Builder
		at int
	}{{&e.linear, e.atomLinear}, {&e.slow, e.atomSlow}} {
		all := x.b.String()
		x.b.Reset()
		x.b.WriteString(all[:x.at] + "(?:" + all[x.at:] + ")")
	}
}

// wrap puts the last item, with what follows it, into a group of the slow
// engine's.
func (e *emitter) wrap(open, what string) {
	all := e.slow.String()
	e.slow.Reset()
	e.slow.WriteString(all[:e.atomSlow] + open + all[e.atomSlow:] + ")")
	e.need(what)
}

// set is a class of characters.
type set struct {
	table  []rune // pairs: first, last
	raw    string // \p{…}, which both engines know
	negate bool
}

func (s *set) add(lo, hi rune) { s.table = append(s.table, lo, hi) }

// addAll adds a class, or all but it.
func (s *set) addAll(table []rune, negate bool) {
	if !negate {
		s.table = append(s.table, table...)
		return
	}
	next := rune(0)
	for i := 0; i < len(table); i += 2 {
		if table[i] > next {
			s.add(next, table[i]-1)
		}
		next = table[i+1] + 1
	}
	if next <= unicode.MaxRune {
		s.add(next, unicode.MaxRune)
	}
}

// String is the class for both engines.
func (s *set) String() string {
	var b strings.Builder
	b.WriteByte('[')
	if s.negate {
		b.WriteByte('^')
	}
	for i := 0; i < len(s.table); i += 2 {
		b.WriteString(escape(s.table[i]))
		if s.table[i+1] != s.table[i] {
			b.WriteString("-" + escape(s.table[i+1]))
		}
	}
	b.WriteString(s.raw)
	b.WriteByte(']')
	return b.String()
}

// class writes a class.
func (e *emitter) class(s *set) {
	text := s.String()
	e.item(text, text)
}

// Pairs of first and last, in order, of the classes that have names.
func named(name string) []rune {
	switch name {
	case "alnum":
		return []rune{'0', '9', 'A', 'Z', 'a', 'z'}
	case "alpha":
		return []rune{'A', 'Z', 'a', 'z'}
	case "ascii":
		return []rune{0, 0x7f}
	case "blank":
		return []rune{'\t', '\t', ' ', ' '}
	case "cntrl":
		return []rune{0, 0x1f, 0x7f, 0x7f}
	case "digit":
		return []rune{'0', '9'}
	case "graph":
		return []rune{'!', '~'}
	case "lower":
		return []rune{'a', 'z'}
	case "print":
		return []rune{' ', '~'}
	case "punct":
		return []rune{'!', '/', ':', '@', '[', '`', '{', '~'}
	case "space":
		return []rune{'\t', '\r', ' ', ' '}
	case "upper":
		return []rune{'A', 'Z'}
	case "word":
		return []rune{'0', '9', 'A', 'Z', '_', '_', 'a', 'z'}
	case "xdigit":
		return []rune{'0', '9', 'A', 'F', 'a', 'f'}
	}
	return nil
}

// scanner walks over a pattern.
type scanner struct {
	in string
	at int
}

func (s *scanner) more() bool { return s.at < len(s.in) }

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.in) {
		return s.in[s.at]
	}
	return 0
}

// has skips a text that comes next.
func (s *scanner) has(text string) bool {
	if strings.HasPrefix(s.in[s.at:], text) {
		s.at += len(text)
		return true
	}
	return false
}

// rune takes the next character.
func (s *scanner) rune() rune {
	r, n := utf8.DecodeRuneInString(s.in[s.at:])
	s.at += n
	return r
}

// until takes the text up to end and skips end.
func (s *scanner) until(end string) (string, bool) {
	text, _, found := strings.Cut(s.in[s.at:], end)
	if found {
		s.at += len(text) + len(end)
	}
	return text, found
}

// bounds reads what stands between the braces of a repetition, up to and with
// end; nothing is taken when it is none. open: "{,n}" counts as well.
func (s *scanner) bounds(end string, open bool) (low, high int, ok bool) {
	text, _, found := strings.Cut(s.in[s.at:], end)
	if !found || text == "" || strings.Trim(text, "0123456789,") != "" || strings.Count(text, ",") > 1 {
		return 0, 0, false
	}
	first, last, two := strings.Cut(text, ",")
	if first == "" && (!open || last == "") {
		return 0, 0, false
	}
	low, _ = strconv.Atoi(first)
	high = low
	if two {
		high = -1
	}
	if last != "" {
		high, _ = strconv.Atoi(last)
	}
	s.at += len(text) + len(end)
	return low, high, true
}
