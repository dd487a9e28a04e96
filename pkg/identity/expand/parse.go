package expand

import (
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// letters are Dovecot's one-letter variables (2.3) by their long names.
func letters() map[byte]string {
	return map[byte]string{
		'u': "user", 'n': "username", 'd': "domain", 's': "service", 'l': "local_ip", 'r': "remote_ip",
		'a': "local_port", 'b': "remote_port", 'm': "mechanism", 'c': "secured", 'k': "cert", 'h': "home",
	}
}

// Parse reads a template: %u, %{user}, %% and modifiers between % and name.
// Errors: fail.Invalid. Whether a variable exists is known only where the
// template is used; Names lists them.
func Parse(text string) (Template, error) {
	var t Template
	for text != "" {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			i = len(text)
		}
		if i > 0 {
			t.literal(text[:i])
			text = text[i:]
			continue
		}
		if strings.HasPrefix(text, "%%") {
			t.literal("%")
			text = text[2:]
			continue
		}
		p, rest, err := parseVariable(text[1:])
		if err != nil {
			return Template{}, err
		}
		t.parts = append(t.parts, p)
		text = rest
	}
	return t, nil
}

// literal appends text to the last part if that is literal too.
func (t *Template) literal(text string) {
	if n := len(t.parts); n > 0 && t.parts[n-1].name == "" {
		t.parts[n-1].text += text
		return
	}
	t.parts = append(t.parts, part{text: text})
}

// parseVariable reads what follows a percent sign.
func parseVariable(s string) (p part, rest string, err error) {
	var modify []modifier
	for s != "" {
		if digit(s[0]) {
			digits := 1
			for digits < len(s) && digit(s[digits]) {
				digits++
			}
			n, err := strconv.Atoi(s[:digits])
			if err != nil || n == 0 || n > maxWidth {
				return part{}, "", fail.New(fail.Invalid, "width in %%%.12s is not a number from 1 to %d", s, maxWidth)
			}
			modify = append(modify, first(n))
			s = s[digits:]
			continue
		}
		m, ok := shortModifier(s[0])
		if !ok {
			break
		}
		modify = append(modify, m)
		s = s[1:]
	}
	if name, rest, ok := longName(s); ok {
		return part{name: name, modify: modify}, rest, nil
	}
	if s != "" {
		if name, ok := letters()[s[0]]; ok {
			return part{name: name, modify: modify}, s[1:], nil
		}
	}
	return part{}, "", fail.New(fail.Invalid, "unknown variable %%%.12s: write %%{user}, %%{username}, %%{domain} and the like", s)
}

func longName(s string) (name, rest string, ok bool) {
	if !strings.HasPrefix(s, "{") {
		return "", "", false
	}
	name, rest, ok = strings.Cut(s[1:], "}")
	return name, rest, ok && name != ""
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
