package wire

import (
	"bytes"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ErrBadReply is a reply that is none, or one beyond the caps.
var ErrBadReply = fail.New(fail.Invalid, "malformed reply from server")

// ReplyLimits cap what a server may make us store for one reply.
type ReplyLimits struct {
	Line  int // octets of a line; longer ones are an error
	Lines int
	Bytes int // of text
}

// DefaultReplyLimits are generous: no real server comes near.
func DefaultReplyLimits() ReplyLimits { return ReplyLimits{Line: 4096, Lines: 256, Bytes: 32 << 10} }

// ReadReply reads one reply of one or more lines (RFC 5321 section 4.2.1). An
// enhanced status code that agrees with the code is taken out of the text.
func (r *Reader) ReadReply(limits ReplyLimits) (Reply, error) {
	var rep Reply
	var text []byte
	for lines := 0; ; lines++ {
		line, err := r.ReadLine(limits.Line)
		if err != nil {
			return Reply{}, err
		}
		code, more, rest, ok := parseReplyLine(line)
		if !ok || lines > 0 && code != rep.Code || lines >= limits.Lines || len(text)+len(rest) > limits.Bytes {
			return Reply{}, ErrBadReply
		}
		if lines == 0 {
			rep.Code = code
			rep.Enhanced, rest = cutEnhanced(code, rest)
		} else {
			text = append(text, '\n')
			if e, r := cutEnhanced(code, rest); e == rep.Enhanced {
				rest = r
			}
		}
		text = AppendPrintable(text, string(rest))
		if !more {
			rep.Text = string(text)
			return rep, nil
		}
	}
}

// parseReplyLine: code ( "-" | SP ) text, or the code alone.
func parseReplyLine(b []byte) (code int, more bool, text []byte, ok bool) {
	if len(b) < 3 || b[0] < '2' || b[0] > '5' {
		return 0, false, nil, false
	}
	n, ok := Digits(b[:3])
	if !ok {
		return 0, false, nil, false
	}
	if len(b) == 3 {
		return int(n), false, nil, true
	}
	return int(n), b[3] == '-', b[4:], b[3] == '-' || b[3] == ' '
}

// cutEnhanced takes "5.1.1 " off text, if its class agrees with the code (RFC
// 2034 section 4).
func cutEnhanced(code int, text []byte) (smtp.EnhancedCode, []byte) {
	word, rest, _ := bytes.Cut(text, []byte(" "))
	var e smtp.EnhancedCode
	for i := range e {
		part, more, dot := bytes.Cut(word, []byte("."))
		n, ok := Digits(part)
		if !ok || len(part) > 3 || dot != (i < 2) {
			return smtp.EnhancedCode{}, text
		}
		e[i], word = int(n), more
	}
	if e[0] != code/100 || e[0] == 3 {
		return smtp.EnhancedCode{}, text
	}
	return e, rest
}

// ParseEnhanced reads "5.1.1".
func ParseEnhanced(s string) (smtp.EnhancedCode, bool) {
	if s == "" || s[0] < '2' || s[0] > '5' {
		return smtp.EnhancedCode{}, false
	}
	e, rest := cutEnhanced(int(s[0]-'0')*100, []byte(s))
	return e, e[0] != 0 && len(rest) == 0
}
