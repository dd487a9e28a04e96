package expand

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// MaxResult caps an expanded text.
const MaxResult = 64 << 10

// Values supplies variables by their long names; request.Request does.
type Values interface {
	Var(name string) (value string, ok bool)
}

// Template is a parsed text. The zero value is the empty text.
type Template struct{ parts []part }

// part is literal text when name is empty, else a variable.
type part struct {
	text   string
	name   string
	modify []modifier
}

// modifier changes a value.
type modifier func(string) (string, error)

// Escape makes a value safe for the language that it goes into.
type Escape func(string) string

// Empty reports whether the template is the empty text.
func (t Template) Empty() bool { return len(t.parts) == 0 }

// Uses reports whether the variable called name (its long name) occurs.
func (t Template) Uses(name string) bool {
	for _, p := range t.parts {
		if p.name == name {
			return true
		}
	}
	return false
}

// Names lists the variables in order, each as often as it occurs.
func (t Template) Names() []string {
	var names []string
	for _, p := range t.parts {
		if p.name != "" {
			names = append(names, p.name)
		}
	}
	return names
}

// Expand returns the text with v's values in it, each passed through escape
// (nil: as it is) after its modifiers. Values are not parsed again. Errors:
// fail.Invalid for a variable that v does not know and for results above
// MaxResult.
func (t Template) Expand(v Values, escape Escape) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		value, err := p.value(v)
		if err != nil {
			return "", err
		}
		if escape != nil {
			value = escape(value)
		}
		b.WriteString(value)
		if b.Len() > MaxResult {
			return "", fail.New(fail.Invalid, "expanded text is longer than %d bytes", MaxResult)
		}
	}
	return b.String(), nil
}

// Walk goes through the template in order: literal gets each text, variable
// each variable as a template of its own. It is for languages whose quoting
// decides what may stand in the place of a variable.
func (t Template) Walk(literal func(text string), variable func(v Template)) {
	for i, p := range t.parts {
		if p.name == "" {
			literal(p.text)
			continue
		}
		variable(Template{parts: t.parts[i : i+1]})
	}
}

// Bind renders the template with a placeholder for each variable (n counts
// from 1), for languages with parameters. Args yields the parameters in the
// same order. A variable inside quotes ('%u', as in Dovecot's examples) takes
// the quotes with it.
func (t Template) Bind(placeholder func(n int) string) string {
	var b strings.Builder
	n := 0
	for i, p := range t.parts {
		if p.name == "" {
			b.WriteString(t.unquoted(i))
			continue
		}
		n++
		b.WriteString(placeholder(n))
	}
	return b.String()
}

// unquoted is literal i without the quotes that close around a lone variable.
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

// quoted reports whether part i is a variable with a quote on each side.
func (t Template) quoted(i int) bool {
	if i <= 0 || i+1 >= len(t.parts) || t.parts[i].name == "" {
		return false
	}
	before, after := t.parts[i-1], t.parts[i+1]
	return before.name == "" && after.name == "" && strings.HasSuffix(before.text, "'") && strings.HasPrefix(after.text, "'")
}

// Args are the values of the variables in order, modified but not escaped.
func (t Template) Args(v Values) ([]string, error) {
	var args []string
	for _, p := range t.parts {
		if p.name == "" {
			continue
		}
		value, err := p.value(v)
		if err != nil {
			return nil, err
		}
		args = append(args, value)
	}
	return args, nil
}

func (p part) value(v Values) (string, error) {
	value, ok := v.Var(p.name)
	if !ok {
		return "", fail.New(fail.Invalid, "there is no variable %%{%.40s} here", p.name)
	}
	for _, m := range p.modify {
		var err error
		if value, err = m(value); err != nil {
			return "", fail.Wrap(fail.Invalid, err, "variable %%{%.40s}", p.name)
		}
	}
	return value, nil
}
