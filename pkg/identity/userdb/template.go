package userdb

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Template is a text with Dovecot's variables:
//
//	%u %{user}     whole name
//	%n %{username} part before the last @
//	%d %{domain}   part after it
//	%%             a percent sign
//
// Between % and letter may stand a number of characters (%1n: the first) and
// L or U for lower or upper case.
type Template struct {
	parts []part
}

// part is literal text, or a variable when name is not 0.
type part struct {
	text  string
	name  byte
	width int // characters; 0: all
	upper bool
	lower bool
}

// maxWidth caps %<width>n; nobody shards by more.
const maxWidth = 64

// ParseTemplate reads a template; an unknown variable is an error.
func ParseTemplate(text string) (Template, error) {
	var t Template
	for text != "" {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			i = len(text)
		}
		if i > 0 {
			t.parts = append(t.parts, part{text: text[:i]})
			text = text[i:]
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

// parseVariable reads what follows a percent sign.
func parseVariable(s string) (p part, rest string, err error) {
	if strings.HasPrefix(s, "%") {
		return part{text: "%"}, s[1:], nil
	}
	for long, name := range map[string]byte{"{user}": 'u', "{username}": 'n', "{domain}": 'd'} {
		if rest, ok := strings.CutPrefix(s, long); ok {
			return part{name: name}, rest, nil
		}
	}
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	if digits > 0 {
		p.width, err = strconv.Atoi(s[:digits])
		if err != nil || p.width == 0 || p.width > maxWidth {
			return part{}, "", fail.New(fail.Invalid, "width in %%%.8s is not a number from 1 to %d", s, maxWidth)
		}
		s = s[digits:]
	}
	for len(s) > 0 && (s[0] == 'L' || s[0] == 'U') {
		p.lower, p.upper = s[0] == 'L', s[0] == 'U'
		s = s[1:]
	}
	if s == "" || !strings.ContainsRune("und", rune(s[0])) {
		return part{}, "", fail.New(fail.Invalid, "unknown variable %%%.12s: %%u, %%n and %%d are known", s)
	}
	p.name = s[0]
	return p, s[1:], nil
}

// Uses reports whether the template contains the variable.
func (t Template) Uses(name byte) bool {
	for _, p := range t.parts {
		if p.name == name {
			return true
		}
	}
	return false
}

// Empty reports whether the template is the empty text.
func (t Template) Empty() bool { return len(t.parts) == 0 }

// Expand fills in user's values, once: a percent sign in a value is just one.
func (t Template) Expand(user string) string {
	local, domain := account.Split(user)
	var b strings.Builder
	for _, p := range t.parts {
		switch p.name {
		case 0:
			b.WriteString(p.text)
		case 'u':
			b.WriteString(p.shape(user))
		case 'n':
			b.WriteString(p.shape(local))
		case 'd':
			b.WriteString(p.shape(domain))
		}
	}
	return b.String()
}

func (p part) shape(v string) string {
	if p.width > 0 {
		end := 0
		for n := 0; n < p.width && end < len(v); n++ {
			_, size := utf8.DecodeRuneInString(v[end:])
			end += size
		}
		v = v[:end]
	}
	switch {
	case p.lower:
		return strings.ToLower(v)
	case p.upper:
		return strings.ToUpper(v)
	}
	return v
}

// ExpandPath is Expand for a home: the result is an absolute path that the
// name in it cannot lead elsewhere.
func (t Template) ExpandPath(user string) (string, error) {
	if err := account.CheckName(user); err != nil {
		return "", err
	}
	if _, domain := account.Split(user); domain == "" && t.Uses('d') {
		return "", fail.New(fail.Unavailable, "user %s has no domain, but the home template needs one (set default_domain)", user)
	}
	home := t.Expand(user)
	if err := account.CheckHome(home); err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "home of user %s", user)
	}
	return home, nil
}
