package wire

import (
	"bytes"
	"mime"
	"strconv"
	"unicode/utf8"
)

// Downgrade rewrites the wire bytes of an ENVELOPE or BODYSTRUCTURE for a
// client that has not said that it knows UTF-8: strings in UTF-8 become encoded
// words (RFC 6858 section 2.3, and for addresses and parameters a surrogate
// that cannot be taken for them). Strings in another charset stay. It returns b
// itself when there is nothing to do.
func Downgrade(b []byte) []byte {
	if isASCII(b) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for i := 0; i < len(b); {
		switch b[i] {
		case '"':
			n := quotedLen(b[i:])
			out = append(out, b[i:i+n]...)
			i += n
		case '{':
			head, text := literalAt(b[i:])
			n := max(head+len(text), 1)
			if isASCII(text) || !utf8.Valid(text) {
				out = append(out, b[i:i+n]...)
			} else {
				out = appendQuoted(out, mime.BEncoding.Encode("utf-8", string(text)))
			}
			i += n
		default:
			out = append(out, b[i])
			i++
		}
	}
	return out
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// quotedLen is the length of the quoted string that b begins with.
func quotedLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// literalAt returns the length of the announcement that b begins with, and the
// literal; both are empty when it is none.
func literalAt(b []byte) (head int, text []byte) {
	end := bytes.Index(b, []byte("}\r\n"))
	if end < 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(string(b[1:end]))
	if head = end + 3; err != nil || n < 0 || n > len(b)-head {
		return 0, nil
	}
	return head, b[head : head+n]
}
