package pattern

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// maxRules is how many patterns a table may have.
const maxRules = 50_000

// maxKey is how long a key may be that patterns are tried on; a header field
// of Postfix's is at most 102400 bytes (header_size_limit).
const maxKey = 128 << 10

// Rules are a table of regular expressions. They do not change and are safe
// for concurrent use.
type Rules struct {
	source string
	rules  []rule
}

// rule is a line of the table.
type rule struct {
	line   int
	re     engine
	negate bool
	block  bool // "if": else is where its "endif" is
	result result
	next   int
}

// compile makes an engine of a pattern and the letters behind it.
type compile func(pattern, flags string) (engine, error)

// ReadRegexp reads Postfix's regexp_table(5), ReadPCRE its pcre_table(5).
// Lines with mistakes are reported and skipped. Errors: those of l.
func ReadRegexp(l *text.Lines) (*Rules, error) { return read(l, compilePosix) }

// ReadPCRE is described at ReadRegexp.
func ReadPCRE(l *text.Lines) (*Rules, error) { return read(l, compilePerl) }

// reader is one table being read.
type reader struct {
	lines   *text.Lines
	compile compile
	rules   []rule
	open    []int // "if"s without their "endif" so far
}

func read(l *text.Lines, c compile) (*Rules, error) {
	l.Limits.Entries = min(l.Limits.Entries, maxRules)
	r := reader{lines: l, compile: c}
	for {
		line, err := l.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := r.line(string(line)); err != nil {
			l.Warnf("%v: the line is ignored", err)
		}
	}
	for _, i := range r.open {
		l.WarnAt(r.rules[i].line, "this if has no endif")
		r.rules[i].next = len(r.rules)
	}
	return &Rules{l.Source, r.rules}, nil
}

func (r *reader) line(line string) error {
	switch word, rest := keyword(line); word {
	case "if":
		one, rest, err := r.pattern(rest)
		if err != nil {
			return err
		}
		if rest != "" {
			r.lines.Warnf("%.80q behind the pattern of an if means nothing", rest)
		}
		one.block = true
		r.open = append(r.open, len(r.rules))
		r.rules = append(r.rules, one)
	case "endif":
		if rest != "" {
			r.lines.Warnf("%.80q behind endif means nothing", rest)
		}
		if len(r.open) == 0 {
			return fail.New(fail.Invalid, "there is no if to this endif")
		}
		last := len(r.open) - 1
		r.rules[r.open[last]].next = len(r.rules)
		r.open = r.open[:last]
	case "":
		return r.rule(line)
	default:
		return fail.New(fail.Invalid, "%.80q is neither /pattern/ nor if nor endif", line)
	}
	return nil
}

// keyword returns the word at the start of a line that begins with a letter
// or a digit, in lower case; "" when the line is a pattern.
func keyword(line string) (word, rest string) {
	i := 0
	for i < len(line) && isAlnum(line[i]) {
		i++
	}
	return strings.ToLower(line[:i]), strings.TrimSpace(line[i:])
}

func (r *reader) rule(line string) error {
	one, rest, err := r.pattern(line)
	if err != nil {
		return err
	}
	groups := one.re.groups()
	if one.negate {
		groups = 0
	}
	if one.result, err = parseResult(rest, groups); err != nil {
		return err
	}
	if rest == "" {
		r.lines.Warnf("there is no text behind the pattern: keys that match are an error")
	}
	r.rules = append(r.rules, one)
	return nil
}

// pattern reads "!/pattern/flags"; any other byte will do for the slash.
func (r *reader) pattern(in string) (one rule, rest string, err error) {
	one.line = r.lines.Number()
	for in != "" && (in[0] == '!' || in[0] == ' ' || in[0] == '\t') {
		one.negate = one.negate != (in[0] == '!')
		in = in[1:]
	}
	if in == "" {
		return one, "", fail.New(fail.Invalid, "the pattern is missing")
	}
	end := 1
	for end < len(in) && in[end] != in[0] {
		if in[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(in) {
		return one, "", fail.New(fail.Invalid, "the pattern has no second %q", in[0])
	}
	flags := in[end+1:]
	if i := strings.IndexAny(flags, " \t\r\n\v\f"); i >= 0 {
		flags, rest = flags[:i], strings.TrimSpace(flags[i:])
	}
	one.re, err = r.compile(in[1:end], flags)
	return one, rest, err
}

// Lookup returns the result of the first rule that matches key; found is false
// when none does. Errors: fail.Unavailable when a pattern took too long,
// fail.Invalid for a key that is too long.
func (r *Rules) Lookup(ctx context.Context, key string) (value string, found bool, err error) {
	if len(key) > maxKey {
		return "", false, fail.New(fail.Invalid, "%s: the key is longer than %d bytes", r.source, maxKey)
	}
	for i := 0; i < len(r.rules); i++ {
		if err := ctx.Err(); err != nil {
			return "", false, fail.Wrap(fail.Unavailable, err, "%s", r.source)
		}
		one := &r.rules[i]
		groups, matched, err := one.re.match(key, len(one.result.groups) > 0)
		switch {
		case err != nil:
			return "", false, fail.Wrap(fail.Unavailable, err, "%s, line %d", r.source, one.line)
		case matched == one.negate:
			if one.block {
				i = one.next - 1
			}
		case !one.block:
			return one.result.expand(groups), true, nil
		}
	}
	return "", false, nil
}

// DropGroups makes rules whose result has a group match nothing; warn is told
// of each. It is called before the first Lookup.
func (r *Rules) DropGroups(warn func(line int, text string)) {
	for i := range r.rules {
		if one := &r.rules[i]; len(one.result.groups) > 0 {
			one.re, one.result = nothing{}, result{text: []string{""}}
			warn(one.line, "no part of the key may stand in this table's results: the line is ignored")
		}
	}
}

// nothing is the engine of a rule that does not count.
type nothing struct{}

func (nothing) match(string, bool) ([]string, bool, error) { return nil, false, nil }
func (nothing) groups() int                                { return 0 }

// Len is how many patterns there are.
func (r *Rules) Len() int { return len(r.rules) }
