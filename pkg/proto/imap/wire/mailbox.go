package wire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	imap "github.com/emersion/go-imap/v2"
)

// maxName bounds a mailbox name, in bytes of UTF-8 (PATH_MAX less a file
// name; the store knows the limit of one level).
const maxName = 3840

// Mailbox reads a mailbox name and returns it in UTF-8, INBOX in upper case.
// utf8Names says that the client has enabled UTF-8 (RFC 9051, RFC 6855);
// otherwise the name is in modified UTF-7 (RFC 3501 section 5.1.3).
func (r *Reader) Mailbox(utf8Names bool) string {
	return r.name(r.AString(), utf8Names)
}

func (r *Reader) name(s string, utf8Names bool) string {
	if !r.Ok() {
		return ""
	}
	name, ok, form := s, utf8.ValidString(s), "UTF-8"
	if !utf8Names {
		name, ok = DecodeUTF7(s)
		form = "mUTF-7"
	}
	if !ok || len(name) > maxName {
		r.Refuse(&SyntaxError{No: true, Code: imap.ResponseCodeCannot, Text: "Mailbox name is not valid " + form})
		return ""
	}
	return canonical(name)
}

// Pattern reads the pattern of LIST in the encoding of Mailbox.
func (r *Reader) Pattern(utf8Names bool) string {
	return r.name(r.ListMailbox(), utf8Names)
}

// canonical writes INBOX in upper case (RFC 3501 section 5.1).
func canonical(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	return name
}

// utf7 is the base64 of modified UTF-7: "," in place of "/", no padding.
func utf7() *base64.Encoding {
	return base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
		WithPadding(base64.NoPadding).Strict()
}

// DecodeUTF7 turns modified UTF-7 into UTF-8. Only the canonical form is
// accepted, so that no two spellings name one mailbox.
func DecodeUTF7(s string) (string, bool) {
	if isPlain(s) {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		if c < ' ' || c >= 0x7f {
			return "", false
		}
		i++
		if c != '&' {
			b.WriteByte(c)
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", false
		}
		if end == 0 {
			b.WriteByte('&')
		} else if !decodeRun(&b, s[i:i+end]) {
			return "", false
		}
		i += end + 1
	}
	name := b.String()
	return name, EncodeUTF7(name) == s
}

func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '&' {
			return false
		}
	}
	return true
}

func decodeRun(b *strings.Builder, s string) bool {
	raw, err := utf7().DecodeString(s)
	if err != nil || len(raw)%2 != 0 {
		return false
	}
	for i := 0; i < len(raw); i += 2 {
		c := rune(raw[i])<<8 | rune(raw[i+1])
		if utf16.IsSurrogate(c) {
			if i+3 >= len(raw) {
				return false
			}
			c = utf16.DecodeRune(c, rune(raw[i+2])<<8|rune(raw[i+3]))
			if i += 2; c == utf8.RuneError {
				return false
			}
		}
		b.WriteRune(c)
	}
	return true
}

// EncodeUTF7 turns UTF-8 into modified UTF-7. Bytes that are no UTF-8 become
// U+FFFD.
func EncodeUTF7(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	var wide []byte
	flush := func() {
		if len(wide) > 0 {
			b.WriteByte('&')
			b.WriteString(utf7().EncodeToString(wide))
			b.WriteByte('-')
			wide = wide[:0]
		}
	}
	for _, c := range s {
		switch {
		case c == '&':
			flush()
			b.WriteString("&-")
		case c >= ' ' && c < 0x7f:
			flush()
			b.WriteRune(c)
		default:
			for _, u := range utf16.AppendRune(nil, c) {
				wide = append(wide, byte(u>>8), byte(u))
			}
		}
	}
	flush()
	return b.String()
}
