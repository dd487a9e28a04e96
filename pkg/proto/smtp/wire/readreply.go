package wire

import (
	"bytes"
	"strings"

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

// ReadReply reads one reply of one or more lines (RFC 5321 section 4.2.1). The
// code of the last line counts, as lines may not differ, but do. Lines that are
// none of a reply, such as the output of a program that was not meant for us,
// are taken for more of its text. An enhanced status code that agrees with the
// code is taken out of the text.
func (r *Reader) ReadReply(limits ReplyLimits) (Reply, error) {
	line, err := r.ReadLine(limits.Line)
	if err != nil {
		return Reply{}, err
	}
	if l := parseReplyLine(line); l.code != 0 && !l.more { // as almost all are
		rep := Reply{Code: l.code}
		var text []byte
		rep.Enhanced, text = cutEnhanced(l.code, l.text)
		rep.Text = string(AppendPrintable(nil, string(text)))
		return rep, nil
	}
	var lines []replyLine
	for size := 0; ; {
		l := parseReplyLine(line)
		if size += len(line); size > limits.Bytes || len(lines) >= limits.Lines {
			return Reply{}, ErrBadReply
		}
		l.text, l.whole = bytes.Clone(l.text), string(AppendPrintable(nil, string(line)))
		if lines = append(lines, l); l.code != 0 && !l.more {
			return replyOf(lines), nil
		}
		if line, err = r.ReadLine(limits.Line); err != nil {
			return Reply{}, err
		}
	}
}

// replyLine is one line of a reply; code is 0 for a line of something else.
type replyLine struct {
	code  int
	more  bool
	text  []byte
	whole string
}

// parseReplyLine: code ( "-" | SP ) text, or the code alone.
func parseReplyLine(b []byte) replyLine {
	none := replyLine{text: b}
	if len(b) < 3 || b[0] < '1' || b[0] > '5' {
		return none
	}
	n, ok := Digits(b[:3])
	switch {
	case !ok:
		return none
	case len(b) == 3:
		return replyLine{code: int(n)}
	case b[3] != '-' && b[3] != ' ':
		return none
	}
	return replyLine{code: int(n), more: b[3] == '-', text: b[4:]}
}

// replyOf joins lines. The enhanced code is that of the last line, or of the
// first one that has it.
func replyOf(lines []replyLine) Reply {
	last := lines[len(lines)-1]
	out := Reply{Code: last.code}
	out.Enhanced, _ = cutEnhanced(out.Code, last.text)
	for _, l := range lines {
		if l.code == out.Code && out.Enhanced[0] == 0 {
			out.Enhanced, _ = cutEnhanced(out.Code, l.text)
		}
	}
	var text []byte
	var said []string
	for i, l := range lines {
		if i > 0 {
			text = append(text, '\n')
		}
		if e, rest := cutEnhanced(out.Code, l.text); e == out.Enhanced && l.code == out.Code {
			l.text = rest
		}
		text = AppendPrintable(text, string(l.text))
		said = append(said, l.whole)
	}
	out.Text = string(text)
	if s := strings.TrimSpace(strings.Join(said, " ")); s != out.String() {
		out.Said = s
	}
	return out
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
