package digest

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Collate maps a string so that comparing bytes is comparing under
// i;unicode-casemap (RFC 5051): each character in title case, then decomposed.
// Beyond MaxKey bytes it is cut.
func Collate(s string) string {
	i := 0
	for i < len(s) && i < MaxKey && s[i] < utf8.RuneSelf && (s[i] < 'a' || s[i] > 'z') {
		i++
	}
	if i == len(s) {
		return s
	}
	out := make([]byte, 0, min(len(s), MaxKey)+utf8.UTFMax)
	ascii := true
	for _, r := range s {
		if len(out) >= MaxKey {
			break
		}
		switch {
		case r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		case r >= utf8.RuneSelf:
			r, ascii = unicode.ToTitle(r), false
		}
		out = utf8.AppendRune(out, r)
	}
	if ascii {
		return string(out)
	}
	out = norm.NFKD.Bytes(out)
	if len(out) > 2*MaxKey { // one character may decompose to many
		out = out[:2*MaxKey]
	}
	return string(out)
}
