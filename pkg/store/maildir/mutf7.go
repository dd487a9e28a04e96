package maildir

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// modified base64 of RFC 3501 section 5.1.3: "," for "/", no padding.
func mbase64() *base64.Encoding {
	return base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)
}

// EncodeMUTF7 turns a UTF-8 name into IMAP's modified UTF-7, in which Maildir++
// names its folders and clients of IMAP4rev1 name mailboxes. s must be valid
// UTF-8.
func EncodeMUTF7(s string) string {
	var out strings.Builder
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
		if n < 0 {
			n = len(s)
		}
		out.WriteString(strings.ReplaceAll(s[:n], "&", "&-"))
		if s = s[n:]; s == "" {
			break
		}
		n = strings.IndexFunc(s, func(r rune) bool { return r >= ' ' && r <= '~' })
		if n < 0 {
			n = len(s)
		}
		var b []byte
		for _, u := range utf16.Encode([]rune(s[:n])) {
			b = append(b, byte(u>>8), byte(u))
		}
		out.WriteByte('&')
		out.WriteString(mbase64().EncodeToString(b))
		out.WriteByte('-')
		s = s[n:]
	}
	return out.String()
}

// DecodeMUTF7 is the inverse of EncodeMUTF7. ok is false for anything that
// EncodeMUTF7 would not have written: such a name cannot be found again.
func DecodeMUTF7(s string) (name string, ok bool) {
	var out strings.Builder
	for rest := s; rest != ""; {
		plain, coded, found := strings.Cut(rest, "&")
		out.WriteString(plain)
		if !found {
			break
		}
		coded, rest, found = strings.Cut(coded, "-")
		if !found {
			return "", false
		}
		if coded == "" {
			out.WriteByte('&')
			continue
		}
		b, err := mbase64().DecodeString(coded)
		if err != nil || len(b)%2 != 0 {
			return "", false
		}
		u := make([]uint16, len(b)/2)
		for i := range u {
			u[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		out.WriteString(string(utf16.Decode(u)))
	}
	name = out.String()
	return name, utf8.ValidString(name) && EncodeMUTF7(name) == s
}
