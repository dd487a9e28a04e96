package ldapdb

import (
	"strings"
	"unicode/utf8"
)

// escape makes a value safe in a filter (RFC 4515 section 3) and in a DN (RFC
// 4514 section 2.4) alike: both read a backslash with two hex digits as that
// byte, wherever a value may stand. Whatever is not plainly harmless is written
// so; characters beyond ASCII stay when they are UTF-8, as both grammars want.
func escape(value string) string {
	const hex = "0123456789abcdef"
	raw := utf8.ValidString(value)
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if harmless(c) || (c >= 0x80 && raw) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func harmless(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '.' || c == '-' || c == '_' || c == '@'
}
