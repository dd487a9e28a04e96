package sqltext

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// MaxText caps the text of a query.
const MaxText = 64 << 10

// Argument is one parameter: texts and variables that follow each other in
// one quoted constant, or a variable that stands by itself.
type Argument[V any] []Piece[V]

// Piece is a text or a variable.
type Piece[V any] struct {
	Text  string
	Var   V
	IsVar bool
}

// NewParser reads a template in the dialect of driver, one of sqlpool's. A
// variable becomes a parameter; one in a quoted constant makes a parameter of
// the whole constant, so that '/home/%d/%n' means what it did where constants
// were put together by hand. placeholder is Pool.Placeholder.
func NewParser[V any](driver string, placeholder func(n int) string) *Parser[V] {
	return &Parser[V]{driver: driver, placeholder: placeholder}
}

// Done returns the text of the statement and its parameters. Errors:
// fail.Invalid.
func (p *Parser[V]) Done() (text string, args []Argument[V], err error) {
	if p.err == nil && p.state != inCode && p.state != inLineComment {
		p.err = fail.New(fail.Invalid, "a quote or a comment is not closed")
	}
	if p.err != nil {
		return "", nil, p.err
	}
	text = strings.TrimRight(p.out.String(), "; \t\r\n")
	if text == "" {
		return "", nil, fail.New(fail.Invalid, "is empty")
	}
	return text, p.args, nil
}

// state is where in SQL the parser stands.
type state uint8

const (
	inCode state = iota
	inString
	inName        // "…" or `…`
	inLineComment // -- or #
	inComment     // /* */
	inDollar      // $tag$ … $tag$ of PostgreSQL
)

// Parser goes through the literal texts and variables of a template.
type Parser[V any] struct {
	driver      string
	placeholder func(int) string
	out         strings.Builder
	args        []Argument[V]
	err         error

	state  state
	quote  byte   // that ends the string or name
	escape bool   // a backslash in this string escapes
	dollar string // that ends the dollar quote

	raw    strings.Builder // the string as written, without its first quote
	pieces Argument[V]     // what was in it before the last variable
	inside strings.Builder // the value after that
	before string          // word right before the string, such as E
	params bool            // the string has a variable
}

func (p *Parser[V]) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fail.New(fail.Invalid, format, args...)
	}
}

// Variable takes a variable of the template.
func (p *Parser[V]) Variable(v V) {
	switch p.state {
	case inCode:
		p.param(Argument[V]{{Var: v, IsVar: true}})
	case inString:
		p.flush()
		p.pieces = append(p.pieces, Piece[V]{Var: v, IsVar: true})
		p.params = true
	case inName:
		p.fail("a variable stands in %c quotes, which are for names of columns: use ' instead", p.quote)
	case inDollar:
		p.fail("a variable stands in a $ quote: use ' instead")
	default:
		p.fail("a variable stands in a comment")
	}
}

// flush turns the text since the last variable into a piece.
func (p *Parser[V]) flush() {
	if p.inside.Len() == 0 {
		return
	}
	p.pieces = append(p.pieces, Piece[V]{Text: p.inside.String()})
	p.inside.Reset()
}

// param writes a placeholder, apart from the word before it.
func (p *Parser[V]) param(a Argument[V]) {
	if s := p.out.String(); s != "" && wordByte(s[len(s)-1]) {
		p.out.WriteByte(' ')
	}
	p.args = append(p.args, a)
	p.out.WriteString(p.placeholder(len(p.args)))
}

// Text takes literal text of the template.
func (p *Parser[V]) Text(s string) {
	for s != "" && p.err == nil {
		n := 0
		switch p.state {
		case inCode:
			n = p.code(s)
		case inString:
			n = p.string(s)
		case inName:
			n = p.until(s, string(p.quote))
		case inLineComment:
			n = p.until(s, "\n")
		case inComment:
			n = p.until(s, "*/")
		case inDollar:
			n = p.until(s, p.dollar)
		}
		s = s[n:]
	}
}

// until copies text up to end, after which there is code again. A doubled
// quote ends a name and begins another, which comes to the same.
func (p *Parser[V]) until(s, end string) int {
	i := strings.Index(s, end)
	if i < 0 {
		p.out.WriteString(s)
		return len(s)
	}
	p.state = inCode
	p.out.WriteString(s[:i+len(end)])
	return i + len(end)
}

// code copies one step of code and sees what begins there.
func (p *Parser[V]) code(s string) int {
	switch c := s[0]; {
	case c == '\'', c == '"' && p.driver == sqlpool.MySQL:
		p.begin(c)
		return 1
	case c == '"', c == '`' && p.driver != sqlpool.PgSQL:
		p.state, p.quote = inName, c
	case strings.HasPrefix(s, "--"), c == '#' && p.driver == sqlpool.MySQL:
		p.state = inLineComment
	case strings.HasPrefix(s, "/*"):
		p.state = inComment
		p.out.WriteString("/*")
		return 2
	case c == '$' && p.driver == sqlpool.PgSQL:
		if tag, ok := dollarTag(s); ok {
			p.state, p.dollar = inDollar, tag
			p.out.WriteString(tag)
			return len(tag)
		}
	}
	if last := p.out.Len(); last > 0 && len(p.args) > 0 && wordByte(s[0]) && p.afterParam() {
		p.out.WriteByte(' ')
	}
	p.out.WriteByte(s[0])
	return 1
}

// afterParam reports whether a placeholder was written last.
func (p *Parser[V]) afterParam() bool {
	return strings.HasSuffix(p.out.String(), p.placeholder(len(p.args)))
}

// begin enters a quoted constant.
func (p *Parser[V]) begin(quote byte) {
	p.state, p.quote = inString, quote
	p.before = lastWord(p.out.String())
	p.escape = p.driver == sqlpool.MySQL || (p.driver == sqlpool.PgSQL && strings.EqualFold(p.before, "e"))
	p.raw.Reset()
	p.inside.Reset()
	p.pieces, p.params = nil, false
}

// string takes one step of a quoted constant.
func (p *Parser[V]) string(s string) int {
	switch c := s[0]; {
	case c == '\\' && p.escape && len(s) > 1:
		p.raw.WriteString(s[:2])
		p.inside.WriteString(s[:2])
		return 2
	case c == p.quote && len(s) > 1 && s[1] == p.quote:
		p.raw.WriteString(s[:2])
		p.inside.WriteByte(c)
		return 2
	case c == p.quote:
		p.end()
		return 1
	default:
		p.raw.WriteByte(c)
		p.inside.WriteByte(c)
		return 1
	}
}

// end leaves a quoted constant: as it was, or as a parameter.
func (p *Parser[V]) end() {
	p.state = inCode
	if !p.params {
		p.out.WriteByte(p.quote)
		p.out.WriteString(p.raw.String())
		p.out.WriteByte(p.quote)
		return
	}
	p.flush()
	switch {
	case p.escape && strings.Contains(p.raw.String(), `\`):
		p.fail(`a constant with a variable in it contains a backslash: put it together with CONCAT or ||`)
	case p.before != "" && prefix(p.before):
		p.fail("a constant with a variable in it begins with %s'", p.before)
	}
	p.param(p.pieces)
}

// prefix reports whether word before a quote changes what the constant means.
func prefix(word string) bool {
	switch strings.ToLower(word) {
	case "e", "n", "b", "x", "u&", "date", "time", "timestamp", "interval":
		return true
	}
	return word[0] == '_' // _utf8'…' of MySQL
}

// lastWord is the word that s ends with.
func lastWord(s string) string {
	i := len(s)
	for i > 0 && (wordByte(s[i-1]) || s[i-1] == '&') {
		i--
	}
	return s[i:]
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// dollarTag reads the $tag$ that s begins with.
func dollarTag(s string) (tag string, ok bool) {
	i := strings.IndexByte(s[1:], '$')
	if i < 0 {
		return "", false
	}
	name := s[1 : i+1]
	for k := range len(name) {
		if !wordByte(name[k]) || (k == 0 && name[0] >= '0' && name[0] <= '9') {
			return "", false
		}
	}
	return s[:i+2], true
}
