package message

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// DecodeWords turns RFC 2047 encoded words in s into UTF-8. What cannot be
// decoded stays as it is; the result is valid UTF-8.
func DecodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return validUTF8(s)
	}
	var out strings.Builder
	out.Grow(len(s))
	var run pending // adjacent words of one charset: a character may be split between them
	for len(s) > 0 {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, n, ok := findWord(s[i:])
		if !ok {
			run.flush(&out)
			out.WriteString(validUTF8(s[:i+2]))
			s = s[i+2:]
			continue
		}
		// White space between two encoded words is not displayed (section 6.2).
		if gap := s[:i]; !run.open || strings.Trim(gap, " \t\r\n") != "" {
			run.flush(&out)
			out.WriteString(validUTF8(gap))
		}
		if run.open && !strings.EqualFold(run.charset, w.charset) {
			run.flush(&out)
		}
		run.open, run.charset = true, w.charset
		run.bytes = w.appendTo(run.bytes)
		s = s[i+n:]
	}
	run.flush(&out)
	out.WriteString(validUTF8(s))
	return out.String()
}

type pending struct {
	open    bool
	charset string
	bytes   []byte
}

func (p *pending) flush(out *strings.Builder) {
	switch {
	case !p.open:
	case charsetOf(p.charset) == nil && utf8.Valid(p.bytes):
		out.Write(p.bytes)
	default:
		out.WriteString(toUTF8(p.charset, p.bytes))
	}
	*p = pending{bytes: p.bytes[:0]}
}

// word is one encoded word.
type word struct {
	charset, text string
	base64        bool
}

// findWord reads "=?charset*lang?enc?text?=" at the start of s and returns its
// length.
func findWord(s string) (w word, n int, ok bool) {
	const maxWord = 4096 // RFC 2047 allows 75; long ones are seen
	charset, rest, ok := strings.Cut(s[2:min(len(s), maxWord)], "?")
	enc, rest, ok2 := strings.Cut(rest, "?")
	text, rest, ok3 := strings.Cut(rest, "?")
	if !ok || !ok2 || !ok3 || len(enc) != 1 || !strings.HasPrefix(rest, "=") {
		return word{}, 0, false
	}
	n = 2 + len(charset) + 1 + 1 + 1 + len(text) + 2
	charset, _, _ = strings.Cut(charset, "*")
	switch w = (word{charset: charset, text: text, base64: enc == "b" || enc == "B"}); {
	case charset == "", !w.base64 && enc != "q" && enc != "Q":
		return word{}, 0, false
	}
	return w, n, true
}

// appendTo appends the decoded bytes.
func (w *word) appendTo(dst []byte) []byte {
	if w.base64 {
		return appendBase64(dst, w.text)
	}
	return appendQ(dst, w.text)
}

func appendQ(out []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '_':
			out = append(out, ' ')
		case s[i] == '=' && i+2 < len(s) && hexPair(s[i+1], s[i+2]) >= 0:
			out = append(out, byte(hexPair(s[i+1], s[i+2])))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return out
}

// hexPair is the value of two hexadecimal digits, or -1.
func hexPair(a, b byte) int {
	x, y := hexDigit(a), hexDigit(b)
	if x < 0 || y < 0 {
		return -1
	}
	return x<<4 | y
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// appendBase64 decodes what it can: padding and length errors are common.
func appendBase64(dst []byte, s string) []byte {
	s = strings.TrimRight(s, "=")
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	at := len(dst)
	dst = slices.Grow(dst, len(s)) // both what is decoded and what it is decoded from
	text := append(dst[at:], s...)
	n, _ := base64.RawStdEncoding.Decode(text, text) // in place: no byte is written before those it comes from were read
	return dst[:at+n]
}

// charsetOf finds a charset by any of its names (WHATWG's list, which is what
// mail programs mean by them), nil for UTF-8 and unknown ones.
func charsetOf(name string) encoding.Encoding {
	switch name { // as most have it
	case "", "UTF-8", "utf-8":
		return nil
	}
	name = strings.ToLower(strings.Trim(name, " \t\"'"))
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit":
		return nil
	}
	enc, err := htmlindex.Get(name)
	if err != nil {
		// cp1252 and the like are labels of the list only with another prefix.
		enc, err = htmlindex.Get(strings.Replace(name, "cp-", "windows-", 1))
	}
	if err != nil {
		return nil
	}
	return enc
}

// Charsets are the names of those that ToUTF8 knows, one for each.
func Charsets() []string {
	return []string{
		"US-ASCII", "UTF-8",
		"ISO-8859-1", "ISO-8859-2", "ISO-8859-3", "ISO-8859-4", "ISO-8859-5", "ISO-8859-6", "ISO-8859-7", "ISO-8859-8",
		"ISO-8859-9", "ISO-8859-10", "ISO-8859-13", "ISO-8859-14", "ISO-8859-15", "ISO-8859-16",
		"WINDOWS-874", "WINDOWS-1250", "WINDOWS-1251", "WINDOWS-1252", "WINDOWS-1253", "WINDOWS-1254", "WINDOWS-1255",
		"WINDOWS-1256", "WINDOWS-1257", "WINDOWS-1258", "KOI8-R", "KOI8-U", "IBM866", "MACINTOSH",
		"BIG5", "EUC-JP", "EUC-KR", "GB18030", "GBK", "ISO-2022-JP", "SHIFT_JIS",
	}
}

// ToUTF8 converts s from a charset, "" being UTF-8. What is not valid in
// UTF-8 stays as it is, so that it can be seen. known is false, and s
// unchanged, when the charset is none that text on a line can be in.
func ToUTF8(charset, s string) (text string, known bool) {
	switch strings.ToLower(charset) {
	case "", "utf-8", "us-ascii":
		return s, true
	}
	enc := charsetOf(charset)
	if enc == nil || !slices.ContainsFunc(Charsets(), func(name string) bool { return charsetOf(name) == enc }) {
		return s, false
	}
	text, err := enc.NewDecoder().String(s)
	if err != nil {
		return s, true
	}
	return text, true
}

// toUTF8 converts; an unknown charset counts as UTF-8.
func toUTF8(charset string, b []byte) string {
	if enc := charsetOf(charset); enc != nil {
		if out, err := enc.NewDecoder().Bytes(b); err == nil {
			return validUTF8(string(out))
		}
	}
	return validUTF8(string(b))
}

func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// DecodeParam returns a parameter as UTF-8: RFC 2231 section 4
// (charset'language'percent-encoded) when its name ends in "*", and RFC 2047
// words, which have no business there and are everywhere.
func DecodeParam(p Param) string {
	if !strings.HasSuffix(p.Name, "*") {
		return DecodeWords(p.Value)
	}
	charset, rest, ok := strings.Cut(p.Value, "'")
	if ok {
		_, rest, ok = strings.Cut(rest, "'")
	}
	if !ok {
		charset, rest = "", p.Value
	}
	out := make([]byte, 0, len(rest))
	for i := 0; i < len(rest); i++ {
		if rest[i] == '%' && i+2 < len(rest) && hexPair(rest[i+1], rest[i+2]) >= 0 {
			out = append(out, byte(hexPair(rest[i+1], rest[i+2])))
			i += 2
			continue
		}
		out = append(out, rest[i])
	}
	return toUTF8(charset, out)
}

// FileName returns the part's file name as UTF-8, "" when it has none.
func (p *Part) FileName() string {
	for _, list := range [][]Param{p.DispositionParams, p.Params} {
		for _, name := range []string{"filename*", "filename", "name*", "name"} {
			for _, q := range list {
				if strings.EqualFold(q.Name, name) {
					return DecodeParam(q)
				}
			}
		}
	}
	return ""
}
