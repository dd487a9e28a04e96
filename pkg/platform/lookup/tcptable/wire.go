package tcptable

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxLine is Postfix's limit for both directions, with the line feed.
const maxLine = 4096

// request is the line for a key; ok is false when it would be too long.
func request(key string) (line string, ok bool) {
	var b strings.Builder
	b.WriteString("get ")
	for i := 0; i < len(key); i++ {
		if c := key[i]; c <= ' ' || c >= 0x7f || c == '%' {
			const hex = "0123456789ABCDEF"
			b.WriteString("%" + hex[c>>4:c>>4+1] + hex[c&15:c&15+1])
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('\n')
	return b.String(), b.Len() <= maxLine
}

// understand reads a reply without its line feed. Errors: fail.NotFound,
// fail.Unavailable.
func understand(line string) (string, error) {
	line = strings.TrimSuffix(line, "\r")
	code, text, spaced := strings.Cut(line, " ")
	value, err := decode(text)
	switch {
	case err != nil || !spaced:
	case code == "200" && value == "":
		return "", fail.New(fail.Unavailable, "the value is empty")
	case code == "200":
		return value, nil
	case code == "500":
		return "", fail.New(fail.NotFound, "not found")
	case code == "400":
		return "", fail.New(fail.Unavailable, "the server says: %.200q", value)
	}
	return "", fail.New(fail.Unavailable, "the reply %.60q is not understood", line)
}

func decode(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fail.New(fail.Invalid, "a %% lacks its digits")
		}
		hi, lo := digit(s[i+1]), digit(s[i+2])
		if hi < 0 || lo < 0 {
			return "", fail.New(fail.Invalid, "a %% lacks its digits")
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
