package sqldb

import (
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/sqlpool"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxQuery caps the text of a query.
const maxQuery = 64 << 10

// query is a template made ready for a kind of database: its text with
// placeholders, and what goes into them.
type query struct {
	text  string
	args  []argument
	names []string // of the variables, sorted, each once
	stmt  *sqlpool.Statement
}

func (q *query) uses(name string) bool { return slices.Contains(q.names, name) }

// argument is one parameter: texts and variables that follow each other in
// one quoted constant, or a variable that stands by itself.
type argument []expand.Template

// values are the parameters for one request. No part of the SQL text depends
// on them.
func (q *query) values(v expand.Values) ([]string, error) {
	all := make([]string, len(q.args))
	for i, a := range q.args {
		var b strings.Builder
		for _, t := range a {
			text, err := t.Expand(v, nil)
			if err != nil {
				return nil, err
			}
			b.WriteString(text)
		}
		if b.Len() > expand.MaxResult {
			return nil, fail.New(fail.Invalid, "a parameter is longer than %d bytes", expand.MaxResult)
		}
		all[i] = b.String()
	}
	return all, nil
}

// parseQuery reads a template in the dialect of driver. A variable becomes a
// parameter; one in a quoted constant makes a parameter of the whole constant,
// so that '/home/%d/%n' of Dovecot's examples means what it did there.
func parseQuery(driver string, placeholder func(n int) string, t expand.Template) (*query, error) {
	p := &queryParser{driver: driver, placeholder: placeholder}
	t.Walk(p.text, p.variable)
	if p.err == nil && p.state != inCode && p.state != inLineComment {
		p.err = fail.New(fail.Invalid, "a quote or a comment is not closed")
	}
	if p.err != nil {
		return nil, p.err
	}
	q := &query{text: strings.TrimRight(p.out.String(), "; \t\r\n"), args: p.args, names: slices.Compact(slices.Sorted(slices.Values(t.Names())))}
	if q.text == "" {
		return nil, fail.New(fail.Invalid, "is empty")
	}
	q.stmt = sqlpool.NewStatement(q.text, len(q.args))
	if q.uses("password") {
		q.stmt.Secret()
	}
	return q, nil
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

// queryParser goes through the literal texts and variables of a template.
type queryParser struct {
	driver      string
	placeholder func(int) string
	out         strings.Builder
	args        []argument
	err         error

	state  state
	quote  byte   // that ends the string or name
	escape bool   // a backslash in this string escapes
	dollar string // that ends the dollar quote

	raw    strings.Builder // the string as written, without its first quote
	pieces argument        // what was in it before the last variable
	inside strings.Builder // the value after that
	before string          // word right before the string, such as E
	params bool            // the string has a variable
}

func (p *queryParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fail.New(fail.Invalid, format, args...)
	}
}

// variable takes a variable of the template.
func (p *queryParser) variable(v expand.Template) {
	switch p.state {
	case inCode:
		p.param(argument{v})
	case inString:
		p.flush()
		p.pieces = append(p.pieces, v)
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
func (p *queryParser) flush() {
	if p.inside.Len() == 0 {
		return
	}
	t, err := expand.Parse(strings.ReplaceAll(p.inside.String(), "%", "%%"))
	if err != nil {
		p.fail("%v", err)
	}
	p.pieces = append(p.pieces, t)
	p.inside.Reset()
}

// param writes a placeholder, apart from the word before it.
func (p *queryParser) param(a argument) {
	if s := p.out.String(); s != "" && wordByte(s[len(s)-1]) {
		p.out.WriteByte(' ')
	}
	p.args = append(p.args, a)
	p.out.WriteString(p.placeholder(len(p.args)))
}

// text takes literal text of the template.
func (p *queryParser) text(s string) {
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
func (p *queryParser) until(s, end string) int {
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
func (p *queryParser) code(s string) int {
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
func (p *queryParser) afterParam() bool {
	return strings.HasSuffix(p.out.String(), p.placeholder(len(p.args)))
}

// begin enters a quoted constant.
func (p *queryParser) begin(quote byte) {
	p.state, p.quote = inString, quote
	p.before = lastWord(p.out.String())
	p.escape = p.driver == sqlpool.MySQL || (p.driver == sqlpool.PgSQL && strings.EqualFold(p.before, "e"))
	p.raw.Reset()
	p.inside.Reset()
	p.pieces, p.params = nil, false
}

// string takes one step of a quoted constant.
func (p *queryParser) string(s string) int {
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
func (p *queryParser) end() {
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
