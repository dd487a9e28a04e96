package rewrite

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxTokens caps the addresses of one list (Postfix: header_address_token_limit).
const maxTokens = 10240

// ParseList reads the addresses of a table's value: separated by commas, with
// names and comments ignored. Bare names are completed. Errors: fail.Invalid.
func (e *Engine) ParseList(ctx context.Context, value string) ([]addr.Address, error) {
	spans, ok := scan(value)
	if !ok {
		return nil, fail.New(fail.Invalid, "%.80q is no list of addresses", value)
	}
	var out []addr.Address
	for _, s := range spans {
		a, err := addr.Parse(value[s.from:s.to])
		if err != nil {
			return nil, err
		}
		if !a.Null() {
			out = append(out, e.Complete(ctx, a))
		}
	}
	return out, nil
}

// span is where an addr-spec stands in a text.
type span struct{ from, to int }

// scanner finds the addr-specs of an address list (RFC 5322 section 3.4,
// with the obsolete forms). It keeps to what cannot be misread: text that it
// is in doubt about is reported as such.
type scanner struct {
	spans []span

	first, last int  // of the current element, outside of comments; last is behind it
	open, close int  // of its angle brackets, -1 for none
	gap         bool // white space or a comment stands behind it
	words       int
}

// scan reports false for a text with an unfinished quote, comment or bracket,
// with an element that is no address, or with too many of them.
func scan(text string) ([]span, bool) {
	s := &scanner{}
	s.begin()
	for i := 0; i < len(text); {
		n, ok := s.token(text, i)
		if !ok || len(s.spans) > maxTokens {
			return nil, false
		}
		i += n
	}
	return s.spans, s.end()
}

func (s *scanner) begin() {
	s.first, s.last, s.open, s.close = -1, -1, -1, -1
	s.gap, s.words = false, 0
}

// token takes what stands at i and returns its length.
func (s *scanner) token(text string, i int) (int, bool) {
	inAngle := s.open >= 0 && s.close < 0
	switch c := text[i]; {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		s.gap = s.first >= 0
		return 1, true
	case c == '(':
		n := comment(text[i:])
		s.gap = s.first >= 0
		return n, n > 0
	case c == '"':
		n := quoted(text[i:])
		s.extend(i, n)
		return n, n > 0
	case c == '[':
		n := strings.IndexByte(text[i:], ']') + 1
		s.extend(i, n)
		return n, n > 0
	case c == '<' && s.open < 0:
		s.open = i
	case c == '>' && inAngle:
		s.close = i
	case inAngle:
		if c == '<' {
			return 0, false
		}
	case c == ',' || c == ';':
		return 1, s.end()
	case c == ':' && s.first >= 0:
		s.begin() // the name of a group
	default:
		s.extend(i, 1)
	}
	return 1, true
}

// extend adds n bytes at i to the current element, unless they are inside of
// its brackets.
func (s *scanner) extend(i, n int) {
	switch {
	case s.open >= 0:
		s.words++
		return
	case s.first < 0:
		s.first = i
	case s.gap:
		s.words++
	}
	s.gap, s.last = false, i+n
}

// end closes an element.
func (s *scanner) end() bool {
	defer s.begin()
	switch {
	case s.open >= 0 && s.close < 0:
		return false
	case s.open >= 0:
		s.spans = append(s.spans, span{s.open + 1, s.close})
	case s.first < 0:
	case s.words > 0:
		return false
	default:
		s.spans = append(s.spans, span{s.first, s.last})
	}
	return true
}

// comment is the length of the comment that s begins with, 0 for none.
func comment(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// quoted is the same for a quoted string.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
