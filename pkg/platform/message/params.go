package message

import (
	"slices"
	"strconv"
	"strings"
)

func lower(s string) string { return strings.ToLower(s) }

func findParam(ps []Param, name string) string {
	for _, p := range ps {
		if strings.EqualFold(strings.TrimSuffix(p.Name, "*"), name) {
			return p.Value
		}
	}
	return ""
}

// parseValue reads "value; name=value; …" as Content-Type and
// Content-Disposition have it. The value ends at the first semicolon or white
// space; comments are skipped.
func parseValue(s string, max int) (value string, params []Param) {
	t := scanner{s: s}
	t.skipSpace()
	value = t.until(stops{low: blanks | 1<<';' | 1<<'('})
	for len(params) < max {
		t.skipSpace()
		if !t.accept(';') {
			// Rubbish between parameters: resume at the next semicolon.
			if t.until(stops{low: 1 << ';'}) == "" && t.done() {
				break
			}
			continue
		}
		t.skipSpace()
		name := t.until(stops{low: blanks | 1<<';' | 1<<'=' | 1<<'('})
		t.skipSpace()
		if !t.accept('=') {
			if t.done() {
				break
			}
			continue
		}
		t.skipSpace()
		v := t.paramValue()
		if name != "" {
			params = append(params, Param{Name: name, Value: v})
		}
	}
	return value, join2231(params)
}

// join2231 joins continuations (RFC 2231 section 3) into one parameter, which
// keeps a "*" at its name's end when it is in the extended form of section 4.
func join2231(ps []Param) []Param {
	if !slices.ContainsFunc(ps, func(p Param) bool { return strings.IndexByte(p.Name, '*') >= 0 }) {
		return ps
	}
	var out []Param
	at := map[string]int{}   // lower-case name -> index in out
	next := map[string]int{} // the piece that must come next
	for _, p := range ps {
		name, piece, ext, ok := split2231(p.Name)
		key := lower(name)
		if !ok {
			out = append(out, p)
			continue
		}
		if piece == 0 {
			at[key], next[key] = len(out), 1
			if ext {
				name += "*"
			}
			out = append(out, Param{Name: name, Value: p.Value})
			continue
		}
		i, have := at[key]
		if !have || next[key] != piece {
			out = append(out, p) // out of order: leave it visible
			continue
		}
		next[key]++
		out[i].Value += p.Value
	}
	return out
}

// split2231 takes "name*3*" apart.
func split2231(s string) (name string, piece int, ext, ok bool) {
	star := strings.IndexByte(s, '*')
	if star <= 0 || star == len(s)-1 {
		return "", 0, false, false
	}
	num, ext := strings.CutSuffix(s[star+1:], "*")
	n, err := strconv.Atoi(num)
	if err != nil || n < 0 || n > 9999 {
		return "", 0, false, false
	}
	return s[:star], n, ext, true
}

// parseWords reads a comma-separated list such as Content-Language.
func parseWords(s string, max int) []string {
	var out []string
	for w := range strings.SplitSeq(s, ",") {
		t := scanner{s: w}
		t.skipSpace()
		if w = strings.TrimRight(t.until(stops{low: 1 << '('}), " \t"); w != "" && len(out) < max {
			out = append(out, w)
		}
	}
	return out
}

// scanner walks over a field value. All its methods are linear in what they
// consume.
type scanner struct {
	s       string
	pos     int
	comment string // the text of the comment that skipSpace saw last
}

func (t *scanner) done() bool { return t.pos >= len(t.s) }

func (t *scanner) peek() byte {
	if t.done() {
		return 0
	}
	return t.s[t.pos]
}

func (t *scanner) accept(c byte) bool {
	if t.done() || t.s[t.pos] != c {
		return false
	}
	t.pos++
	return true
}

// stops is a set of ASCII characters: those below 64, and the others.
type stops struct{ low, high uint64 }

// The sets are constants to the compiler: asking for one costs nothing.
const (
	blanks   = 1<<' ' | 1<<'\t'
	lineEnds = 1<<'\r' | 1<<'\n'
	brackets = 1<<('['-64) | 1<<(']'-64)
	atSign   = 1 << ('@' - 64)
	special  = 1<<'(' | 1<<')' | 1<<'<' | 1<<'>' | 1<<',' | 1<<';' | 1<<':' | 1<<'"' | blanks | lineEnds
)

func (s stops) has(b byte) bool {
	if b < 64 {
		return s.low>>b&1 != 0
	}
	return s.high>>(b-64)&1 != 0 // 0 beyond ASCII
}

// until returns what stands before the first byte of stop.
func (t *scanner) until(stop stops) string {
	start := t.pos
	for t.pos < len(t.s) && !stop.has(t.s[t.pos]) {
		t.pos++
	}
	return t.s[start:t.pos]
}

// skipSpace skips white space and comments (RFC 5322 CFWS).
func (t *scanner) skipSpace() {
	for !t.done() {
		switch t.s[t.pos] {
		case ' ', '\t', '\r', '\n':
			t.pos++
		case '(':
			t.skipComment()
		default:
			return
		}
	}
}

// skipComment reads a comment, nested ones included; an unclosed comment goes
// to the end.
func (t *scanner) skipComment() {
	var text []byte
	depth := 0
	for !t.done() {
		c := t.s[t.pos]
		t.pos++
		switch {
		case c == '\\' && !t.done():
			text = append(text, t.s[t.pos])
			t.pos++
			continue
		case c == '(':
			depth++
			if depth == 1 {
				continue
			}
		case c == ')':
			depth--
			if depth == 0 {
				t.comment = string(text)
				return
			}
		case c == '\r' || c == '\n':
			continue
		}
		text = append(text, c)
	}
	t.comment = string(text)
}

// quoted reads a quoted string whose opening quote is at pos; an unclosed one
// goes to the end.
func (t *scanner) quoted() string {
	t.pos++
	rest := t.s[t.pos:]
	if end := strings.IndexByte(rest, '"'); end >= 0 && !strings.ContainsAny(rest[:end], "\\\r\n") {
		t.pos += end + 1
		return rest[:end]
	}
	var out []byte
	for !t.done() {
		c := t.s[t.pos]
		t.pos++
		switch {
		case c == '"':
			return string(out)
		case c == '\\' && !t.done():
			c = t.s[t.pos]
			t.pos++
		case c == '\r' || c == '\n':
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

// paramValue reads a token or quoted string. Tokens with spaces or tspecials
// are wrong and common ("filename=my file.pdf"): all up to the semicolon counts.
func (t *scanner) paramValue() string {
	if t.peek() == '"' {
		return t.quoted()
	}
	return strings.TrimRight(t.until(stops{low: 1<<';' | 1<<'('}), " \t")
}

// MediaType reads the value of a Content-Type field: the type in lower case,
// and the boundary of its parts, empty without one. An empty or malformed value
// is text/plain (RFC 2045 section 5.2).
func MediaType(value string) (kind, boundary string) {
	kind, params := parseValue(value, DefaultLimits().Params)
	kind = lower(kind)
	if major, minor, ok := strings.Cut(kind, "/"); !ok || major == "" || minor == "" {
		return "text/plain", ""
	}
	return kind, findParam(params, "boundary")
}
