package header

import (
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Bytes is a set of byte values.
type Bytes struct {
	has [256]bool
	any bool
}

// escapes are the letters behind a backslash that stand for one byte.
var escapes = map[byte]byte{'a': '\a', 'b': '\b', 'f': '\f', 't': '\t', 'v': '\v', '\\': '\\'}

// ParseBytes reads the bytes of text one by one, with C's escapes: \a \b \f \t
// \v \\ and up to three octal digits (Postfix: message_strip_characters). The
// bytes that end lines are in no set. Errors: fail.Invalid.
func ParseBytes(text string) (Bytes, error) {
	var s Bytes
	for text != "" {
		c, n := text[0], 1
		if c == '\\' {
			for n < len(text) && n < 4 && '0' <= text[n] && text[n] <= '7' {
				n++
			}
			v, err := strconv.ParseUint(text[1:n], 8, 8)
			if n == 1 && len(text) > 1 {
				named, ok := escapes[text[1]]
				if n = 2; ok {
					v, err = uint64(named), nil
				}
			}
			if err != nil {
				return Bytes{}, fail.New(fail.Invalid, `%q is no byte: write \0 to \377, \a, \b, \f, \t, \v or \\`, text[:n])
			}
			c = byte(v)
		}
		if c == '\r' || c == '\n' {
			return Bytes{}, fail.New(fail.Invalid, "%q ends lines and cannot be singled out", c)
		}
		s.has[c], s.any = true, true
		text = text[n:]
	}
	return s, nil
}

// In reports whether p has a byte of the set.
func (s *Bytes) In(p []byte) bool {
	if !s.any {
		return false
	}
	for _, c := range p {
		if s.has[c] {
			return true
		}
	}
	return false
}

// Without returns p without the bytes of the set. p itself does not change.
func (s *Bytes) Without(p []byte) []byte {
	if !s.In(p) {
		return p
	}
	out := make([]byte, 0, len(p))
	for _, c := range p {
		if !s.has[c] {
			out = append(out, c)
		}
	}
	return out
}
