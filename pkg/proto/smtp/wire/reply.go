package wire

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"
)

// maxReplyText is how much text goes into one reply line. RFC 5321 section
// 4.5.3.1.5 allows 512 octets with code and CRLF.
const maxReplyText = 480

// Reply is what a server says to one command. The zero value is "no reply";
// hooks return it to mean "the default".
type Reply struct {
	Code     int
	Enhanced smtp.EnhancedCode // zero: none is written
	Text     string            // lines are separated by "\n"; never holds the codes
	// Said is a reply of several lines that was read, on one line, where it had
	// another form than Append would give it.
	Said string
}

// MakeReply returns a reply with an enhanced status code (RFC 2034).
func MakeReply(code, class, subject, detail int, text string) Reply {
	return Reply{Code: code, Enhanced: smtp.EnhancedCode{class, subject, detail}, Text: text}
}

// IsZero reports whether r says nothing.
func (r Reply) IsZero() bool { return r.Code == 0 }

// OK reports a 2xx reply.
func (r Reply) OK() bool { return r.Code/100 == 2 }

// Temporary reports a 4xx reply.
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent reports a 5xx reply.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// String returns the reply on one line as Postfix logs it, with the codes of
// each of its lines: "550-5.1.1 text 550 5.1.1 more".
func (r Reply) String() string {
	if r.Said != "" {
		return r.Said
	}
	var b []byte
	rest := r.Text
	for {
		line, more, found := strings.Cut(rest, "\n")
		if !found {
			break
		}
		b = append(append(r.appendCodes(b, '-'), line...), ' ')
		rest = more
	}
	b = append(r.appendCodes(b, ' '), rest...)
	return strings.TrimRight(string(b), " ")
}

// Append writes the reply in wire form. Each line carries both codes.
// Control characters and invalid UTF-8 become "?", so that no text can forge
// another reply, and long lines are broken.
func (r Reply) Append(dst []byte) []byte {
	rest := r.Text
	for {
		line, more := rest, false
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			line, rest, more = rest[:i], rest[i+1:], true
		}
		for len(line) > maxReplyText {
			cut := breakAt(line)
			dst = r.appendLine(dst, line[:cut], '-')
			line = strings.TrimPrefix(line[cut:], " ")
		}
		if !more {
			return r.appendLine(dst, line, ' ')
		}
		dst = r.appendLine(dst, line, '-')
	}
}

// breakAt returns where a long line is cut: at its last space, or at the end
// of a character.
func breakAt(line string) int {
	if i := strings.LastIndexByte(line[:maxReplyText], ' '); i > 0 {
		return i
	}
	cut := maxReplyText
	for cut > maxReplyText-utf8.UTFMax && !utf8.RuneStart(line[cut]) {
		cut--
	}
	return cut
}

func (r Reply) appendLine(dst []byte, text string, sep byte) []byte {
	dst = r.appendCodes(dst, sep)
	dst = AppendPrintable(dst, text)
	return append(dst, '\r', '\n')
}

func (r Reply) appendCodes(dst []byte, sep byte) []byte {
	dst = strconv.AppendInt(dst, int64(r.Code), 10)
	dst = append(dst, sep)
	if r.Enhanced[0] <= 0 {
		return dst
	}
	dst = AppendEnhanced(dst, r.Enhanced)
	return append(dst, ' ')
}

// AppendEnhanced appends "5.1.1".
func AppendEnhanced(dst []byte, e smtp.EnhancedCode) []byte {
	dst = strconv.AppendInt(dst, int64(e[0]), 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, int64(e[1]), 10)
	dst = append(dst, '.')
	return strconv.AppendInt(dst, int64(e[2]), 10)
}

// AppendEscaped appends b with what is no printable ASCII, and backslashes, in
// C's escapes.
func AppendEscaped(dst, b []byte) []byte {
	const named = "\a\b\t\n\v\f\r"
	for _, c := range b {
		switch i := strings.IndexByte(named, c); {
		case i >= 0:
			dst = append(dst, '\\', "abtnvfr"[i])
		case c == '\\':
			dst = append(dst, '\\', '\\')
		case c < 0x20 || c >= 0x7f:
			dst = append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendPrintable appends text with control characters and invalid UTF-8
// replaced by "?".
func AppendPrintable(dst []byte, text string) []byte {
	clean := true
	for i := 0; i < len(text) && clean; i++ {
		clean = text[i] >= 0x20 && text[i] < 0x7f
	}
	if clean {
		return append(dst, text...)
	}
	for _, c := range text {
		if c < 0x20 || c >= 0x7f && c < 0xa0 || c == utf8.RuneError {
			c = '?'
		}
		dst = utf8.AppendRune(dst, c)
	}
	return dst
}
