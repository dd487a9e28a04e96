package expand

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// test is a comparison: == != < <= > >= of numbers, eq ne lt le gt ge of
// texts, * and !* with a mask, ~ and !~ with a regular expression.
type test struct {
	op      string
	pattern *regexp.Regexp
}

// newTest checks an operator. literal is the right side when it is known
// already; a regular expression has to be.
func newTest(op, literal string, known bool) (test, error) {
	switch op {
	case "==", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge", "*", "!*":
		return test{op: op}, nil
	case "~", "!~":
		if !known {
			return test{}, fail.New(fail.Invalid, "a regular expression cannot contain variables")
		}
		re, err := regexp.Compile(literal)
		return test{op, re}, fail.Wrap(fail.Invalid, err, "condition")
	}
	return test{}, fail.New(fail.Invalid, "%.10q is no comparison: ==, !=, <, <=, >, >=, eq, ne, lt, le, gt, ge, *, !*, ~, !~", op)
}

func (t test) holds(a, b string) (bool, error) {
	switch t.op {
	case "*", "!*":
		return account.Match(b, a) == (t.op == "*"), nil
	case "~", "!~":
		return t.pattern.MatchString(a) == (t.op == "~"), nil
	case "==", "!=", "<", "<=", ">", ">=":
		return t.compareNumbers(a, b)
	}
	switch order := strings.Compare(a, b); t.op {
	case "eq":
		return order == 0, nil
	case "ne":
		return order != 0, nil
	case "lt":
		return order < 0, nil
	case "le":
		return order <= 0, nil
	case "gt":
		return order > 0, nil
	default:
		return order >= 0, nil
	}
}

func (t test) compareNumbers(left, right string) (bool, error) {
	a, err := strconv.ParseInt(left, 10, 64)
	if err != nil {
		return false, fail.New(fail.Invalid, "%.20q is compared as a number and is none", left)
	}
	b, err := strconv.ParseInt(right, 10, 64)
	if err != nil {
		return false, fail.New(fail.Invalid, "%.20q is compared as a number and is none", right)
	}
	switch t.op {
	case "==":
		return a == b, nil
	case "!=":
		return a != b, nil
	case "<":
		return a < b, nil
	case "<=":
		return a <= b, nil
	case ">":
		return a > b, nil
	default:
		return a >= b, nil
	}
}

// condition is 2.3's %{if;left;operator;right;then;else}.
type condition struct {
	test                     test
	left, right, then, else_ Template
}

func parseIf(text string, depth int) (source, error) {
	if depth == 0 {
		return nil, fail.New(fail.Invalid, "conditions are nested more than %d deep", maxDepth)
	}
	fields := splitIf(text)
	if len(fields) == 4 {
		fields = append(fields, "")
	}
	if len(fields) != 5 {
		return nil, fail.New(fail.Invalid, "%%{if;%.40s} needs four or five parts: value;comparison;value;if true;if false", text)
	}
	var c condition
	for _, f := range []struct {
		into *Template
		text string
	}{{&c.left, fields[0]}, {&c.right, fields[2]}, {&c.then, fields[3]}, {&c.else_, fields[4]}} {
		t, err := parse(f.text, depth-1)
		if err != nil {
			return nil, err
		}
		*f.into = t
	}
	literal, known := c.right.literal()
	var err error
	c.test, err = newTest(fields[1], literal, known)
	return c, err
}

// splitIf cuts at semicolons outside of variables. A backslash takes the
// meaning from what follows, a colon ends the whole.
func splitIf(text string) []string {
	var fields []string
	var b strings.Builder
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] == '%' {
				b.WriteByte('%') // doubled: it is to be text
			}
			b.WriteByte(text[i])
			continue
		case c == '{' && i > 0 && (depth > 0 || opensVariable(text[:i])):
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == ';' && depth == 0:
			fields = append(fields, b.String())
			b.Reset()
			continue
		case c == ':' && depth == 0:
			return append(fields, b.String())
		}
		b.WriteByte(text[i])
	}
	return append(fields, b.String())
}

// opensVariable reports whether text ends with a percent sign and modifiers.
func opensVariable(text string) bool {
	i := strings.LastIndexByte(text, '%')
	return i >= 0 && strings.Trim(text[i+1:], "-.0123456789LUEXRHNMDT") == ""
}

func (c condition) names() []string {
	var names []string
	for _, t := range []Template{c.left, c.right, c.then, c.else_} {
		names = append(names, t.Names()...)
	}
	return names
}

func (c condition) value(v Values) (string, error) {
	left, err := c.left.Expand(v, nil)
	if err != nil {
		return "", err
	}
	right, err := c.right.Expand(v, nil)
	if err != nil {
		return "", err
	}
	holds, err := c.test.holds(left, right)
	switch {
	case err != nil:
		return "", err
	case holds:
		return c.then.Expand(v, nil)
	}
	return c.else_.Expand(v, nil)
}
