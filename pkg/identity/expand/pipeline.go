package expand

import (
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxSteps caps the filters of one value.
const maxSteps = 32

// pipeline is 2.4's %{variable | filter(argument) | …}.
type pipeline struct {
	first source // nil: the first filter makes a value from nothing
	steps []step
}

// step is one filter with its arguments.
type step struct {
	filter filter
	args   []argument
}

// argument is a literal, or a variable's value when variable is set.
type argument struct {
	key      string // of a named one
	text     string
	variable variable
}

// flow is the value between two filters.
type flow struct {
	text   string
	binary bool  // bytes: shown in hexadecimal unless a filter reads them
	err    error // there is no value, and why; only default can go on
}

func (p pipeline) names() []string {
	var names []string
	if p.first != nil {
		names = p.first.names()
	}
	for _, s := range p.steps {
		for _, a := range s.args {
			if a.variable != "" {
				names = append(names, string(a.variable))
			}
		}
	}
	return names
}

func (p pipeline) value(v Values) (string, error) {
	f := flow{err: fail.New(fail.Invalid, "there is no value before the first filter")}
	if p.first != nil {
		f.text, f.err = p.first.value(v)
	}
	for _, s := range p.steps {
		f = s.run(f, v)
		if len(f.text) > MaxResult {
			return "", errTooLong()
		}
	}
	if f.binary {
		f.text = hexText([]byte(f.text))
	}
	return f.text, f.err
}

// run applies one filter. One that needs a value passes a missing one on.
func (s step) run(f flow, v Values) flow {
	if f.err != nil && !s.filter.source {
		return f
	}
	args := append([]argument(nil), s.args...)
	for i, a := range args {
		if a.variable == "" {
			continue
		}
		text, err := a.variable.value(v)
		if err != nil {
			return flow{err: err}
		}
		args[i].text = text
	}
	out, err := s.filter.run(f, args)
	if err != nil {
		return flow{err: fail.Wrap(fail.Invalid, err, "filter %s", s.filter.name)}
	}
	return out
}

// parsePipeline reads 2.4's grammar.
func parsePipeline(text string) (source, error) {
	r := &reader{text: text}
	p := pipeline{}
	word := r.word()
	switch {
	case word == "":
		return nil, r.wrong("a variable or a filter")
	case r.next("("):
		s, err := r.call(word)
		if err != nil {
			return nil, err
		}
		p.steps = append(p.steps, s)
	default:
		p.first = variable(word)
	}
	for !r.end() {
		s, err := r.step()
		if err != nil {
			return nil, err
		}
		if p.steps = append(p.steps, s); len(p.steps) > maxSteps {
			return nil, fail.New(fail.Invalid, "%%{%.30s…} has more than %d filters", text, maxSteps)
		}
	}
	if p.first == nil && !p.steps[0].filter.source {
		return nil, fail.New(fail.Invalid, "%%{%.40s} begins with filter %s, which needs a value", text, p.steps[0].filter.name)
	}
	return p, nil
}

// reader cuts a text into words.
type reader struct {
	text string
	at   int
}

func (r *reader) space() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
}

func (r *reader) end() bool {
	r.space()
	return r.at >= len(r.text)
}

// next skips one of the characters, if it is there.
func (r *reader) next(chars string) bool {
	r.space()
	if r.at < len(r.text) && strings.IndexByte(chars, r.text[r.at]) >= 0 {
		r.at++
		return true
	}
	return false
}

// word reads a name.
func (r *reader) word() string {
	r.space()
	start := r.at
	for r.at < len(r.text) && r.at-start < maxName && strings.IndexByte(" \t\r\n|(),='\"+*/%", r.text[r.at]) < 0 {
		r.at++
	}
	return r.text[start:r.at]
}

func (r *reader) wrong(want string) error {
	return fail.New(fail.Invalid, "%%{%.60s}: %s is missing at %.12q", r.text, want, r.text[min(r.at, len(r.text)):])
}

// step reads "| filter(…)" or "% 256".
func (r *reader) step() (step, error) {
	if r.next("|") {
		name := r.word()
		if name == "" {
			return step{}, r.wrong("a filter")
		}
		if r.next("(") {
			return r.call(name)
		}
		return newStep(name, nil)
	}
	for _, op := range []string{"+", "-", "*", "/", "%"} {
		if !r.next(op) {
			continue
		}
		a, err := r.argument()
		if err != nil {
			return step{}, err
		}
		return newStep("calculate", []argument{{text: op}, a})
	}
	return step{}, r.wrong("| or an operator")
}

// call reads the arguments after an opening parenthesis.
func (r *reader) call(name string) (step, error) {
	var args []argument
	for !r.next(")") {
		if len(args) > 0 && !r.next(",") {
			return step{}, r.wrong("a comma or a closing parenthesis")
		}
		a, err := r.argument()
		if err != nil {
			return step{}, err
		}
		if args = append(args, a); len(args) > maxSteps {
			return step{}, fail.New(fail.Invalid, "filter %s has more than %d arguments", name, maxSteps)
		}
	}
	return newStep(name, args)
}

// argument reads 'text', 12, name or key=….
func (r *reader) argument() (argument, error) {
	r.space()
	if r.at < len(r.text) && (r.text[r.at] == '\'' || r.text[r.at] == '"') {
		text, err := r.quoted(r.text[r.at])
		return argument{text: text}, err
	}
	word := r.word()
	switch {
	case word == "":
		return argument{}, r.wrong("an argument")
	case r.next("="):
		a, err := r.argument()
		a.key = word
		return a, err
	}
	if _, err := strconv.ParseInt(word, 10, 64); err == nil {
		return argument{text: word}, nil
	}
	return argument{variable: variable(word)}, nil
}

// quoted reads up to the closing quote; a backslash escapes.
func (r *reader) quoted(quote byte) (string, error) {
	var b strings.Builder
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == quote:
			r.at++
			return b.String(), nil
		case c == '\\' && r.at+1 < len(r.text):
			r.at++
			b.WriteString(unescape(r.text[r.at]))
		default:
			b.WriteByte(c)
		}
	}
	return "", r.wrong("a closing quote")
}

func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '\\', '\'', '"':
		return string(c)
	}
	return `\` + string(c)
}
