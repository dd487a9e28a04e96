package message

import (
	"strconv"
	"strings"
)

// maxQuoted is the longest string that is sent quoted; RFC 2683 section
// 3.2.1.5 asks servers to keep lines short.
const maxQuoted = 1000

// AppendString appends s as an IMAP string: quoted when that is allowed, else
// a literal. Strings with 8-bit or control bytes are literals. A NUL, which no
// IMAP string can hold (RFC 3501 section 9, CHAR8), becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	escapes, literal := 0, len(s) > maxQuoted
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			escapes++
		case c == 0:
			return AppendString(dst, strings.ReplaceAll(s, "\x00", "\uFFFD"))
		case c < ' ' && c != '\t' || c >= 0x7f:
			literal = true
		}
	}
	switch {
	case literal:
		dst = append(dst, '{')
		dst = strconv.AppendInt(dst, int64(len(s)), 10)
		dst = append(dst, "}\r\n"...)
		return append(dst, s...)
	case escapes == 0:
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// AppendNString is AppendString with NIL for the empty string.
func AppendNString(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "NIL"...)
	}
	return AppendString(dst, s)
}
