package expand

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	maxTemplate = 32 << 10 // bytes of a template
	maxDepth    = 8        // of conditions within conditions
)

// letters are Dovecot's one-letter variables (2.3) by their long names.
func letters() map[byte]string {
	return map[byte]string{
		'u': "user", 'n': "username", 'd': "domain", 's': "service", 'l': "local_ip", 'r': "remote_ip",
		'a': "local_port", 'b': "remote_port", 'p': "pid", 'm': "mechanism", 'w': "password", 'c': "secured",
		'k': "cert", 'h': "home", 'i': "uid",
	}
}

// Parse reads a template; see the package for the grammar. %% is a percent
// sign. Errors: fail.Invalid. Whether a variable exists is known only where
// the template is used; Names lists them.
func Parse(text string) (Template, error) {
	if len(text) > maxTemplate {
		return Template{}, fail.New(fail.Invalid, "text with variables is longer than %d bytes", maxTemplate)
	}
	return parse(text, maxDepth)
}

func parse(text string, depth int) (Template, error) {
	var t Template
	for text != "" {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			i = len(text)
		}
		if i > 0 {
			t.add(text[:i])
			text = text[i:]
			continue
		}
		if strings.HasPrefix(text, "%%") {
			t.add("%")
			text = text[2:]
			continue
		}
		s, rest, err := parseVariable(text[1:], depth)
		if err != nil {
			return Template{}, err
		}
		t.parts = append(t.parts, part{source: s})
		text = rest
	}
	return t, nil
}

// add appends literal text, to the last part if that is literal too.
func (t *Template) add(text string) {
	if n := len(t.parts); n > 0 && t.parts[n-1].source == nil {
		t.parts[n-1].text += text
		return
	}
	t.parts = append(t.parts, part{text: text})
}

// parseVariable reads what follows a percent sign:
// [[-]offset.][[-]width][modifiers](letter|{…}).
func parseVariable(s string, depth int) (src source, rest string, err error) {
	all := s
	m, s, err := parseShort(s)
	if err != nil {
		return nil, "", err
	}
	switch {
	case strings.HasPrefix(s, "{"):
		inner, rest, err := cutBraces(s)
		if err != nil {
			return nil, "", err
		}
		if src, err = parseBraces(inner, depth); err != nil {
			return nil, "", err
		}
		return m.on(src), rest, nil
	case s != "":
		if name, ok := letters()[s[0]]; ok {
			return m.on(variable(name)), s[1:], nil
		}
	}
	return nil, "", fail.New(fail.Invalid, "unknown variable %%%.12s: write %%{user}, %%{username}, %%{domain} and the like", all)
}

// cutBraces parts "{…}rest". Quotes hide braces, except in 2.3's conditions,
// where a quote is just one and a backslash takes the meaning from what follows.
func cutBraces(s string) (inner, rest string, err error) {
	condition := strings.HasPrefix(s, "{if;")
	var quote byte
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (condition || quote != 0):
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '\'' || c == '"') && !condition:
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], nil
			}
		}
	}
	return "", "", fail.New(fail.Invalid, "variable %%%.20s has no closing brace", s)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
