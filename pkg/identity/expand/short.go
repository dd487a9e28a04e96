package expand

import (
	"crypto/md5" // #nosec G501 -- Dovecot's %N and %M, for spreading users over folders
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	maxModifiers = 10      // Dovecot's
	maxWidth     = 1 << 10 // of a substring or of padding
	maxModulus   = 1 << 31 // the width of %N and %H
)

// short is what stands between a percent sign and its variable.
type short struct {
	offset, width int
	pad           bool // with zeros up to width, instead of cutting
	modifiers     []byte
}

// parseShort reads it; s is what remains.
func parseShort(text string) (m short, s string, err error) {
	s = text
	sign := 1
	if s, sign = cutSign(s); strings.HasPrefix(s, "0") {
		m.pad = true
	}
	n, digits, s := cutNumber(s)
	m.width = n
	if strings.HasPrefix(s, ".") {
		m.offset = sign * n
		s = s[1:]
		// A zero before the offset means nothing, the one before the width does.
		m.pad = strings.HasPrefix(s, "0")
		if m.pad {
			s = s[1:]
		}
		s, sign = cutSign(s)
		n, digits, s = cutNumber(s)
		m.width = sign * n
	}
	for s != "" && strings.IndexByte("LUEXRHNMDT", s[0]) >= 0 {
		m.modifiers = append(m.modifiers, s[0])
		s = s[1:]
	}
	limit := maxWidth
	if slices.ContainsFunc(m.modifiers, hashes) {
		limit = maxModulus
	}
	switch {
	case len(m.modifiers) > maxModifiers:
		return short{}, "", fail.New(fail.Invalid, "%%%.12s has more than %d modifiers", text, maxModifiers)
	case digits > 10 || max(m.width, -m.width) > limit || max(m.offset, -m.offset) > maxWidth:
		return short{}, "", fail.New(fail.Invalid, "width or offset in %%%.16s is above %d", text, limit)
	case m.width < 0 && limit == maxModulus:
		return short{}, "", fail.New(fail.Invalid, "%%%.12s: a hash cannot be negative", text)
	}
	return m, s, nil
}

func hashes(c byte) bool { return c == 'H' || c == 'N' }

func cutSign(s string) (rest string, sign int) {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		return rest, -1
	}
	return s, 1
}

// cutNumber reads digits; none is 0. The number is wrong when there are more
// than ten.
func cutNumber(s string) (n, digits int, rest string) {
	for digits < len(s) && digit(s[digits]) {
		digits++
	}
	n, _ = strconv.Atoi(s[:min(digits, 10)])
	return n, digits, s[digits:]
}

// on is src as m changes it.
func (m short) on(src source) source {
	if m.width == 0 && m.offset == 0 && len(m.modifiers) == 0 {
		return src
	}
	return shortened{src, m}
}

type shortened struct {
	source
	m short
}

func (s shortened) value(v Values) (string, error) {
	value, err := s.source.value(v)
	if err != nil {
		return "", err
	}
	return s.m.apply(value)
}

// apply runs the modifiers from left to right; the substring is taken last.
func (m short) apply(s string) (string, error) {
	for _, c := range m.modifiers {
		switch c {
		case 'H', 'N': // they use the numbers up
			n := oldHash(s)
			if c == 'N' {
				n = newHash(s)
			}
			if m.width > 0 {
				n %= uint64(m.width)
			}
			s = strconv.FormatUint(uint64(uint32(n)), 16)
			s = strings.Repeat("0", max(0, m.offset-len(s))) + s
			m.width, m.offset = 0, 0
		default:
			s = modify(c, s)
		}
		if len(s) > MaxResult {
			return "", errTooLong()
		}
	}
	return m.substring(s), nil
}

func modify(c byte, s string) string {
	switch c {
	case 'L':
		return strings.ToLower(s)
	case 'U':
		return strings.ToUpper(s)
	case 'E':
		return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(s)
	case 'X':
		n, _ := strconv.ParseUint(s, 10, 64) // what is no number counts as 0
		return strconv.FormatUint(n, 16)
	case 'R':
		return reverse(s)
	case 'M':
		sum := md5.Sum([]byte(s))
		return hex.EncodeToString(sum[:])
	case 'D':
		return strings.ReplaceAll(s, ".", ",dc=")
	case 'T':
		return strings.TrimRight(s, " \t\r\n\v\f")
	}
	return s
}

// substring counts in characters where Dovecot counts in bytes, so that no
// character is cut in two.
func (m short) substring(s string) string {
	if m.offset == 0 && m.width == 0 {
		return s
	}
	r := []rune(s)
	if m.offset < 0 {
		r = r[max(0, len(r)+m.offset):]
	} else {
		r = r[min(len(r), m.offset):]
	}
	switch {
	case m.pad && m.width > 0:
		return strings.Repeat("0", max(0, m.width-len(r))) + string(r)
	case m.width < 0:
		r = r[:max(0, len(r)+m.width)]
	case m.width > 0:
		r = r[:min(len(r), m.width)]
	}
	return string(r)
}

func reverse(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

// newHash is the first half of the MD5 sum.
func newHash(s string) uint64 {
	sum := md5.Sum([]byte(s))
	return binary.BigEndian.Uint64(sum[:8])
}

// oldHash is P. J. Weinberger's.
func oldHash(s string) uint64 {
	var h uint32
	for i := 0; i < len(s); i++ {
		h = h<<4 + uint32(s[i])
		if g := h & 0xf0000000; g != 0 {
			h ^= g >> 24
			h ^= g
		}
	}
	return uint64(h)
}
