package cf

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxTemplate caps queries and formats.
const maxTemplate = 64 << 10

// Template is a text with %s (all), %u (local part), %d (domain), %1 to %9
// (parts of the domain from the right), %S, %U, %D and %% (a percent sign).
type Template struct{ parts []part }

type part struct {
	text   string
	letter byte // 0: text
}

// ParseTemplate reads a template. Errors: fail.Invalid.
func ParseTemplate(in string) (Template, error) {
	if len(in) > maxTemplate {
		return Template{}, fail.New(fail.Invalid, "it is longer than %d bytes", maxTemplate)
	}
	var t Template
	for {
		before, after, found := strings.Cut(in, "%")
		t.add(before)
		if !found {
			return t, nil
		}
		if after == "" || !strings.Contains("%sudSUD123456789", after[:1]) {
			return Template{}, fail.New(fail.Invalid, "%%%.1s means nothing: write %%%% for a percent sign", after)
		}
		if after[0] == '%' {
			t.add("%")
		} else {
			t.parts = append(t.parts, part{letter: after[0]})
		}
		in = after[1:]
	}
}

func (t *Template) add(text string) {
	switch last := len(t.parts) - 1; {
	case text == "":
	case last >= 0 && t.parts[last].letter == 0:
		t.parts[last].text += text
	default:
		t.parts = append(t.parts, part{text: text})
	}
}

// Walk calls one of the two for each part.
func (t Template) Walk(text func(string), variable func(letter byte)) {
	for _, p := range t.parts {
		if p.letter == 0 {
			text(p.text)
		} else {
			variable(p.letter)
		}
	}
}

// Fixed reports whether there is nothing in it that depends on the key.
func (t Template) Fixed() bool {
	for _, p := range t.parts {
		if p.letter != 0 {
			return false
		}
	}
	return true
}

// Address is a key, or a value, taken apart.
type Address struct {
	whole, user, domain string
	full                bool // there is an @
}

// Split takes apart a key or a value.
func Split(s string) Address {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Address{whole: s, user: s}
	}
	return Address{s, s[:at], s[at+1:], true}
}

// Eligible reports whether it is user@domain with both parts.
func (a Address) Eligible() bool { return a.full && a.user != "" && a.domain != "" }

// Domain is what follows the @.
func (a Address) Domain() string { return a.domain }

// Part is what a letter of a template stands for; ok is false when a lacks it.
func (a Address) Part(letter byte) (value string, ok bool) {
	switch letter {
	case 's', 'S':
		value = a.whole
	case 'u', 'U':
		value = a.user
	case 'd', 'D':
		value = a.domain
	default:
		value = a.label(int(letter - '0'))
	}
	return value, value != ""
}

// label is part n of the domain, the last one being 1.
func (a Address) label(n int) string {
	rest := a.domain
	for ; n > 1; n-- {
		i := strings.LastIndexByte(rest, '.')
		if i < 0 {
			return ""
		}
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '.')+1:]
}

// Expand puts the parts of key in, each escaped; ok is false when one is
// missing.
func (t Template) Expand(key Address, escape func(string) string) (result string, ok bool) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.letter == 0 {
			b.WriteString(p.text)
			continue
		}
		value, ok := key.Part(p.letter)
		if !ok {
			return "", false
		}
		b.WriteString(escape(value))
	}
	return b.String(), true
}

// Format puts parts of value (%s, %u, %d) and of key (the others) into a
// result_format; ok is false when one is missing, and the value does not count
// then.
func (t Template) Format(value string, key Address) (result string, ok bool) {
	if len(t.parts) == 1 && t.parts[0].letter == 's' {
		return value, value != ""
	}
	v := Split(value)
	var b strings.Builder
	for _, p := range t.parts {
		of := key
		switch p.letter {
		case 0:
			b.WriteString(p.text)
			continue
		case 's', 'u', 'd':
			of = v
		}
		text, ok := of.Part(p.letter)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}
