package wire

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
)

var errXtext = fail.New(fail.Invalid, "malformed xtext")

const hexDigits = "0123456789ABCDEF"

// AppendXtext appends s as xtext (RFC 3461 section 4).
func AppendXtext(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			dst = append(dst, '+', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// ParseXtext decodes xtext. Octets that xtext could not carry, and encoded
// control characters, are errors: the result goes into headers and logs.
func ParseXtext(s string) (string, error) {
	if strings.IndexByte(s, '+') < 0 {
		for i := 0; i < len(s); i++ {
			if s[i] <= ' ' || s[i] == 0x7f {
				return "", errXtext
			}
		}
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) {
				return "", errXtext
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || strings.ContainsAny(s[i+1:i+3], "abcdef+-_") {
				return "", errXtext
			}
			c = byte(v)
			i += 2
			if c < ' ' || c == 0x7f {
				return "", errXtext
			}
		} else if c <= ' ' || c == 0x7f {
			return "", errXtext
		}
		b = append(b, c)
	}
	return string(b), nil
}

// ParseUnitext decodes the address of ORCPT=utf-8;… (RFC 6533 section 3), in
// which \x{HEX} stands for a character.
func ParseUnitext(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errXtext
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		b.WriteString(s[:i])
		hex, rest, ok := strings.Cut(strings.TrimPrefix(s[i:], `\x{`), "}")
		v, err := strconv.ParseUint(hex, 16, 21)
		if !ok || !strings.HasPrefix(s[i:], `\x{`) || err != nil || v < 0x20 || v == 0x7f || !utf8.ValidRune(rune(v)) {
			return "", errXtext
		}
		b.WriteRune(rune(v))
		s = rest
	}
}

// AppendUnitext is the inverse of ParseUnitext, in ASCII.
func AppendUnitext(dst []byte, s string) []byte {
	for _, c := range s {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '+' || c == '=' {
			dst = fmt.Appendf(dst, `\x{%02X}`, c)
			continue
		}
		dst = append(dst, byte(c))
	}
	return dst
}
