package expand

import (
	"strings"
	"unicode/utf8"
)

// maxWidth caps %<width>n; nobody shards by more.
const maxWidth = 64

// shortModifier is a letter between % and the variable.
func shortModifier(c byte) (modifier, bool) {
	switch c {
	case 'L':
		return plain(strings.ToLower), true
	case 'U':
		return plain(strings.ToUpper), true
	}
	return nil, false
}

func plain(f func(string) string) modifier {
	return func(s string) (string, error) { return f(s), nil }
}

// first keeps n characters.
func first(n int) modifier {
	return plain(func(s string) string {
		end := 0
		for i := 0; i < n && end < len(s); i++ {
			_, size := utf8.DecodeRuneInString(s[end:])
			end += size
		}
		return s[:end]
	})
}
