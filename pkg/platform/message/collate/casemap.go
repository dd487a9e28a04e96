package collate

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Append appends the mapped form of src to dst: each character in title case,
// and decomposed. Bytes that are no UTF-8 become U+FFFD.
func Append[T string | []byte](dst []byte, src T) []byte {
	for i := 0; i < len(src); {
		if n := asciiRun(src[i:]); n > 0 {
			at := len(dst)
			dst = append(dst, src[i:i+n]...)
			upper(dst[at:])
			i += n
			continue
		}
		var r rune
		var n int
		switch s := any(src).(type) {
		case string:
			r, n = utf8.DecodeRuneInString(s[i:])
		case []byte:
			r, n = utf8.DecodeRune(s[i:])
		}
		dst = appendRune(dst, r)
		i += n
	}
	return dst
}

// asciiRun is how many bytes at the start of s are ASCII.
func asciiRun[T string | []byte](s T) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if (s[i]|s[i+1]|s[i+2]|s[i+3]|s[i+4]|s[i+5]|s[i+6]|s[i+7])&0x80 != 0 {
			break
		}
	}
	for i < len(s) && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// upper makes letters in ASCII upper case, eight at a time: most of what is
// searched is ASCII.
func upper(b []byte) {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		// The high bit of each byte that is a letter: no sum reaches the next
		// byte, as all of them are below 0x80.
		letter := (w + (0x80-'a')*ones) &^ (w + (0x80-'z'-1)*ones) & high
		binary.LittleEndian.PutUint64(b, w-letter>>2)
		b = b[8:]
	}
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
}

// String is the mapped form of s.
func String(s string) string {
	if isMapped(s) {
		return s
	}
	return string(Append(make([]byte, 0, len(s)+len(s)/4), s))
}

// isMapped is true for ASCII without lower case, which needs no copy.
func isMapped(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c >= 'a' && c <= 'z' {
			return false
		}
	}
	return true
}

// Key is what s is sorted by. Texts that could not be converted to UTF-8,
// which a U+FFFD in them shows, come behind all others and in the order of
// their octets (RFC 5255 section 4.6): 0xFF is in no UTF-8.
func Key(s string) string {
	if strings.ContainsRune(s, utf8.RuneError) || !utf8.ValidString(s) {
		return "\xff" + s
	}
	return String(s)
}

// Blocks of Unicode whose characters map to themselves, or by a rule.
const (
	hanFirst, hanLast       = 0x4e00, 0x9fff
	hangulFirst, hangulLast = 0xac00, 0xd7a3

	// Capital and small letters. In each half one has a breve and decomposes.
	cyrillicUpper, cyrillicLower, cyrillicEnd = 0x0410, 0x0430, 0x0450
	upperShortI, lowerShortI                  = 0x0419, 0x0439
)

func appendRune(dst []byte, r rune) []byte {
	switch {
	case r >= hanFirst && r <= hanLast:
		return utf8.AppendRune(dst, r)
	case r >= hangulFirst && r <= hangulLast:
		return appendHangul(dst, r)
	case r >= cyrillicUpper && r < cyrillicEnd && r != upperShortI && r != lowerShortI:
		if r >= cyrillicLower {
			r -= cyrillicLower - cyrillicUpper
		}
		return utf8.AppendRune(dst, r)
	}
	r = unicode.ToTitle(r)
	at := len(dst)
	dst = utf8.AppendRune(dst, r)
	// The table of package norm has full compatibility decompositions.
	if d := norm.NFKD.Properties(dst[at:]).Decomposition(); d != nil {
		dst = append(dst[:at], d...)
	}
	return dst
}

// appendHangul decomposes a syllable into its letters (Unicode section 3.12).
// UnicodeData.txt, which RFC 5051 points to, leaves this rule out; but the
// result is to be "effectively Normalization Form KD", and Korean file names
// come in both forms.
func appendHangul(dst []byte, r rune) []byte {
	const leads, vowels, tails = 0x1100, 0x1161, 0x11a7
	const numVowels, numTails = 21, 28
	s := r - hangulFirst
	dst = utf8.AppendRune(dst, leads+s/(numVowels*numTails))
	dst = utf8.AppendRune(dst, vowels+s%(numVowels*numTails)/numTails)
	if t := s % numTails; t > 0 {
		dst = utf8.AppendRune(dst, tails+t)
	}
	return dst
}
