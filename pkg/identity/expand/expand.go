package expand

import (
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// MaxResult caps an expanded text, and each value on the way to it.
const MaxResult = 64 << 10

// Values supplies variables by their long names; request.Request does.
type Values interface {
	Var(name string) (value string, ok bool)
}

// Template is a parsed text. The zero value is the empty text.
type Template struct{ parts []part }

// part is literal text when source is nil, else a value that is computed.
type part struct {
	text   string
	source source
}

// source computes one value.
type source interface {
	value(v Values) (string, error)
	// names lists the variables that the value depends on.
	names() []string
}

// Escape makes a value safe for the language that it goes into.
type Escape func(string) string

// Empty reports whether the template is the empty text.
func (t Template) Empty() bool { return len(t.parts) == 0 }

// Uses reports whether the variable called name (its long name) occurs.
func (t Template) Uses(name string) bool { return slices.Contains(t.Names(), name) }

// Names lists the variables that the text depends on in order, each as often
// as it occurs.
func (t Template) Names() []string {
	var names []string
	for _, p := range t.parts {
		if p.source != nil {
			names = append(names, p.source.names()...)
		}
	}
	return names
}

// literal returns the text of a template without variables.
func (t Template) literal() (string, bool) {
	switch {
	case len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].source == nil:
		return t.parts[0].text, true
	}
	return "", false
}

// Expand returns the text with v's values in it, each passed through escape
// (nil: as it is) after its modifiers. Values are not parsed again. Errors:
// fail.Invalid for a variable that v does not know, for values that a filter
// cannot work on and for results above MaxResult.
func (t Template) Expand(v Values, escape Escape) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.source == nil {
			b.WriteString(p.text)
			continue
		}
		value, err := p.source.value(v)
		if err != nil {
			return "", err
		}
		if escape != nil {
			value = escape(value)
		}
		b.WriteString(value)
		if b.Len() > MaxResult {
			return "", errTooLong()
		}
	}
	return b.String(), nil
}

func errTooLong() error {
	return fail.New(fail.Invalid, "expanded text is longer than %d bytes", MaxResult)
}

// Walk goes through the template in order: literal gets each text, variable
// each value as a template of its own. It is for languages whose quoting
// decides what may stand in the place of a value.
func (t Template) Walk(literal func(text string), variable func(v Template)) {
	for i, p := range t.parts {
		if p.source == nil {
			literal(p.text)
			continue
		}
		variable(Template{parts: t.parts[i : i+1]})
	}
}

// Bind renders the template with a placeholder for each value (n counts from
// 1), for languages with parameters. Args yields the parameters in the same
// order. A value inside quotes ('%u', as in Dovecot's examples) takes the
// quotes with it.
func (t Template) Bind(placeholder func(n int) string) string {
	var b strings.Builder
	n := 0
	for i, p := range t.parts {
		if p.source == nil {
			b.WriteString(t.unquoted(i))
			continue
		}
		n++
		b.WriteString(placeholder(n))
	}
	return b.String()
}

// unquoted is literal i without the quotes that close around a lone value.
func (t Template) unquoted(i int) string {
	text := t.parts[i].text
	if i > 0 && t.quoted(i-1) {
		text = text[1:]
	}
	if i+1 < len(t.parts) && t.quoted(i+1) {
		text = text[:len(text)-1]
	}
	return text
}

// quoted reports whether part i is a value with a quote on each side.
func (t Template) quoted(i int) bool {
	if i <= 0 || i+1 >= len(t.parts) || t.parts[i].source == nil {
		return false
	}
	before, after := t.parts[i-1], t.parts[i+1]
	return before.source == nil && after.source == nil && strings.HasSuffix(before.text, "'") && strings.HasPrefix(after.text, "'")
}

// Args are the values in order, modified but not escaped.
func (t Template) Args(v Values) ([]string, error) {
	var args []string
	for _, p := range t.parts {
		if p.source == nil {
			continue
		}
		value, err := p.source.value(v)
		if err != nil {
			return nil, err
		}
		if len(value) > MaxResult {
			return nil, errTooLong()
		}
		args = append(args, value)
	}
	return args, nil
}

// variable is a source that is just a name.
type variable string

func (name variable) names() []string { return []string{string(name)} }

func (name variable) value(v Values) (string, error) {
	value, ok := v.Var(string(name))
	if !ok {
		return "", fail.New(fail.Invalid, "there is no variable %%{%.40s} here", string(name))
	}
	return value, nil
}
