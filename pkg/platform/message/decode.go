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
	var run pending // adjacent words of one charset: a character may be split between them
	for len(s) > 0 {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, n, ok := encodedWord(s[i:])
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
		run.bytes = append(run.bytes, w.bytes...)
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
	if p.open {
		out.WriteString(toUTF8(p.charset, p.bytes))
	}
	*p = pending{}
}

type word struct {
	charset string
	bytes   []byte
}

// encodedWord reads "=?charset*lang?enc?text?=" at the start of s and returns
// its length.
func encodedWord(s string) (w word, n int, ok bool) {
	const maxWord = 4096 // RFC 2047 allows 75; long ones are seen
	limit := s[:min(len(s), maxWord)]
	parts := strings.SplitN(limit[2:], "?", 4)
	if len(parts) < 4 || len(parts[1]) != 1 || !strings.HasPrefix(parts[3], "=") {
		return word{}, 0, false
	}
	charset, _, _ := strings.Cut(parts[0], "*")
	if charset == "" {
		return word{}, 0, false
	}
	text := parts[2]
	n = 2 + len(parts[0]) + 1 + 1 + 1 + len(text) + 2
	switch parts[1] {
	case "q", "Q":
		return word{charset, qWord(text)}, n, true
	case "b", "B":
		return word{charset, base64Loose(text)}, n, true
	}
	return word{}, 0, false
}

func qWord(s string) []byte {
	out := make([]byte, 0, len(s))
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

// base64Loose decodes what it can: padding and length errors are common.
func base64Loose(s string) []byte {
	s = strings.TrimRight(s, "=")
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	out, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return out[:min(len(out), len(s)*3/4)]
	}
	return out
}

// charsetOf finds a charset by any of its names (WHATWG's list, which is what
// mail programs mean by them), nil for UTF-8 and unknown ones.
func charsetOf(name string) encoding.Encoding {
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
