package lookup

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Spec is the name of a table, taken apart.
type Spec struct {
	Type string // "texthash", "regexp", …; never "proxy"
	Name string // a path, text in braces, or what the type makes of it
}

// String is how it is written.
func (s Spec) String() string { return s.Type + ":" + s.Name }

// maxSpec caps the length of a spec: an inline table of some size still fits.
const maxSpec = 1 << 20

// ParseSpec reads "type:name". The prefixes proxy: and proxywrite: of Postfix
// are dropped: connections are shared anyway. Errors: fail.Invalid.
func ParseSpec(text string) (Spec, error) {
	s := Spec{Name: strings.TrimSpace(text)}
	if len(text) > maxSpec {
		return Spec{}, fail.New(fail.Invalid, "the name of a table is longer than %d bytes", maxSpec)
	}
	for {
		kind, name, found := strings.Cut(s.Name, ":")
		if !found || !isType(kind) {
			return Spec{}, fail.New(fail.Invalid, "table %.80q: write type:name, such as texthash:/etc/postcote/virtual", text)
		}
		s = Spec{kind, name}
		if kind != "proxy" && kind != "proxywrite" {
			break
		}
	}
	if s.Name == "" && s.Type != "environ" && s.Type != "fail" {
		return Spec{}, fail.New(fail.Invalid, "table %.80q: the name after the type is missing", text)
	}
	return s, nil
}

func isType(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

// braced returns what is between the outermost braces of text, which has
// nothing else but white space. Braces inside must pair.
func braced(text string) (string, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") {
		return "", fail.New(fail.Invalid, "%.80q does not start with {", text)
	}
	end := pair(text)
	switch {
	case end < 0:
		return "", fail.New(fail.Invalid, "%.80q lacks a closing }", text)
	case strings.TrimSpace(text[end+1:]) != "":
		return "", fail.New(fail.Invalid, "%.80q goes on after the closing }", text)
	}
	return strings.TrimSpace(text[1:end]), nil
}

// pair returns where the brace that text starts with is closed, or -1.
func pair(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// fields splits text at commas and white space that are not in braces.
func fields(text string) ([]string, error) {
	const blanks = ", \t\r\n"
	var out []string
	for {
		text = strings.TrimLeft(text, blanks)
		if text == "" {
			return out, nil
		}
		end := 0
		for end < len(text) && !strings.ContainsRune(blanks, rune(text[end])) {
			if text[end] == '{' {
				n := pair(text[end:])
				if n < 0 {
					return nil, fail.New(fail.Invalid, "%.80q lacks a closing }", text)
				}
				end += n
			}
			end++
		}
		out, text = append(out, text[:end]), text[end:]
	}
}
