package aliases

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Kind is what an item of a right-hand side is.
type Kind uint8

// The kinds.
const (
	Address Kind = iota // Text is one address
	User                // \user: the mailbox itself, no aliases
	Command             // |command: Text is without the bar
	Path                // /file: Text is the path
	Include             // :include:/file: Text is the path
)

// Item is one entry of a right-hand side.
type Item struct {
	Kind Kind
	Text string
}

// ParseValue reads a right-hand side: items separated by commas. Errors:
// fail.Invalid.
func ParseValue(value string) ([]Item, error) {
	var out []Item
	for rest := value; strings.TrimSpace(rest) != ""; {
		text, more, err := cutItem(rest)
		if err != nil {
			return nil, err
		}
		rest = more
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		item, err := itemOf(text)
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}

// ParseList reads a file of right-hand sides, one or several in a line, as
// :include: and .forward files are. Lines that begin with # do not count.
// Errors: fail.Invalid.
func ParseList(text string) ([]Item, error) {
	var items []Item
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		more, err := ParseValue(line)
		if err != nil {
			return nil, err
		}
		items = append(items, more...)
	}
	return items, nil
}

// cutItem ends an item at a comma that stands outside of quotes, brackets and
// comments.
func cutItem(s string) (text, rest string, err error) {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ',' && depth == 0:
			return s[:i], s[i+1:], nil
		}
	}
	if quoted || depth > 0 {
		return "", "", fail.New(fail.Invalid, "%.80q: quotes or a comment do not end", s)
	}
	return s, "", nil
}

const includeWord = ":include:"

func itemOf(text string) (Item, error) {
	plain := text
	if text[0] == '"' {
		inner, rest, _ := unquote(text)
		if strings.TrimSpace(rest) == "" && special(inner) {
			plain = inner
		}
	}
	if strings.ContainsAny(plain, "\x00\r\n") {
		return Item{}, fail.New(fail.Invalid, "%.80q: control character", text)
	}
	switch {
	case plain[0] == '|':
		if plain = strings.TrimSpace(plain[1:]); plain == "" {
			return Item{}, fail.New(fail.Invalid, "a command is missing behind |")
		}
		return Item{Command, plain}, nil
	case plain[0] == '/':
		return Item{Path, plain}, nil
	case plain[0] == '\\' && len(plain) > 1:
		return Item{User, plain[1:]}, nil
	case len(plain) > len(includeWord) && strings.EqualFold(plain[:len(includeWord)], includeWord):
		path := strings.TrimSpace(plain[len(includeWord):])
		if !strings.HasPrefix(path, "/") {
			return Item{}, fail.New(fail.Invalid, "%.80q: an included file needs an absolute path", text)
		}
		return Item{Include, path}, nil
	}
	return Item{Address, text}, nil
}

// special reports whether the content of quotes is more than a local part.
func special(s string) bool {
	return s != "" && (s[0] == '|' || s[0] == '/' || s[0] == '\\' || len(s) > len(includeWord) && strings.EqualFold(s[:len(includeWord)], includeWord))
}
