package server

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// DefaultUIDL is Dovecot's default of pop3_uidl_format: 16 hexadecimal digits.
const DefaultUIDL = "%08Xu%08Xv"

// MaxUIDL is the longest unique id that RFC 1939 section 7 allows.
const MaxUIDL = 70

// Facts are what the unique id of a message can be made of.
type Facts struct {
	UID, Validity uint32
	File          string // permanent part of the file's name; UIDLFormat.Names asks for it
	GUID          string // File where the message has no other
}

// UIDLFormat is a parsed pop3_uidl_format. Clients download everything again
// when unique ids change, so it yields what Dovecot would, byte by byte, for
// the notation of 2.3 (%08Xu) and of 2.4 (%{uid | hex(8)}).
type UIDLFormat struct {
	parts []uidlPart
	names bool
}

// uidlPart is literal text, or a variable and what is done to it.
type uidlPart struct {
	text   string
	key    byte // 'u', 'v', 'f', 'g'; 0: text
	filter []func(string) string
	plain  bool // a number with nothing but hex digits and zeros done to it
	width  int
}

// ParseUIDL understands a format. Invalid: it cannot be understood, or what it
// yields would be the same for all messages.
func ParseUIDL(format string) (*UIDLFormat, error) {
	f := &UIDLFormat{}
	distinct := false
	for rest := format; rest != ""; {
		part, tail, err := nextPart(rest)
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "UIDL format %q", format)
		}
		rest = tail
		f.parts = append(f.parts, part)
		f.names = f.names || part.key == 'f' || part.key == 'g'
		distinct = distinct || part.key != 0 && part.key != 'v'
	}
	if !distinct {
		return nil, fail.New(fail.Invalid, "UIDL format %q names neither %%u, %%f nor %%g, so all messages would look the same", format)
	}
	const most = 1<<32 - 1
	longest := Facts{UID: most, Validity: most, File: "1.M1P1.h", GUID: "1.M1P1.h"}
	if !validUIDL(f.raw(nil, longest)) {
		return nil, fail.New(fail.Invalid, "UIDL format %q yields what no client may be sent: 1 to %d characters from ! to ~", format, MaxUIDL)
	}
	return f, nil
}

// Names reports whether the format needs Facts.File and Facts.GUID.
func (f *UIDLFormat) Names() bool { return f.names }

// Append appends the id of a message. What a file name makes illegal (RFC 1939
// section 7) is replaced by a digest of it.
func (f *UIDLFormat) Append(dst []byte, x Facts) []byte {
	start := len(dst)
	dst = f.raw(dst, x)
	if f.names && !validUIDL(dst[start:]) {
		sum := md5.Sum(dst[start:])
		dst = hex.AppendEncode(dst[:start], sum[:])
	}
	return dst
}

func (f *UIDLFormat) raw(dst []byte, x Facts) []byte {
	for i := range f.parts {
		dst = f.parts[i].append(dst, x)
	}
	return dst
}

// ValidUIDL reports whether s may be sent as a unique id.
func ValidUIDL(s string) bool { return validUIDL(s) }

func validUIDL[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > MaxUIDL {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7E {
			return false
		}
	}
	return true
}

func (p *uidlPart) append(dst []byte, x Facts) []byte {
	n := x.UID
	switch p.key {
	case 0:
		return append(dst, p.text...)
	case 'v':
		n = x.Validity
	}
	if p.plain {
		return appendHex(dst, n, p.width)
	}
	var s string
	switch p.key {
	case 'f':
		s = x.File
	case 'g':
		s = x.GUID
	default:
		s = strconv.FormatUint(uint64(n), 10)
	}
	for _, change := range p.filter {
		s = change(s)
	}
	return append(dst, s...)
}

func appendHex(dst []byte, n uint32, width int) []byte {
	const digits = "0123456789abcdef"
	size := 1
	for v := n >> 4; v != 0; v >>= 4 {
		size++
	}
	for i := size; i < width; i++ {
		dst = append(dst, '0')
	}
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, digits[n>>(4*i)&15])
	}
	return dst
}

// nextPart reads literal text or one variable.
func nextPart(s string) (part uidlPart, rest string, err error) {
	i := strings.IndexByte(s, '%')
	switch {
	case i < 0:
		return uidlPart{text: s}, "", nil
	case i > 0:
		return uidlPart{text: s[:i]}, s[i:], nil
	case strings.HasPrefix(s, "%%"):
		return uidlPart{text: "%"}, s[2:], nil
	case strings.HasPrefix(s, "%{"):
		inner, rest, ok := strings.Cut(s[2:], "}")
		if !ok {
			return part, "", fmt.Errorf("a %%{ is not closed")
		}
		part, err = pipeline(inner)
		return part, rest, err
	}
	return shortVariable(s[1:])
}

// shortVariable reads what stands behind the % in the notation of 2.3:
// [offset.][0][width][modifiers]key. The modifiers come first in effect.
func shortVariable(s string) (part uidlPart, rest string, err error) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.' || s[i] == '-') {
		i++
	}
	size := s[:i]
	hexed := 0
	for ; i < len(s); i++ {
		change := modifier(s[i])
		if change == nil {
			break
		}
		if s[i] == 'X' {
			hexed++
		}
		part.filter = append(part.filter, change)
	}
	if i == len(s) {
		return part, "", fmt.Errorf("the variable at its end has no name")
	}
	if part.key, err = variable(s[i : i+1]); err != nil {
		return part, "", err
	}
	cut, zeros, err := sizing(size)
	if err != nil {
		return part, "", err
	}
	if cut != nil {
		part.filter = append(part.filter, cut)
	}
	part.plain = isNumber(part.key) && hexed == 1 && len(part.filter) == 1+btoi(cut != nil) && (cut == nil || zeros > 0)
	part.width = zeros
	return part, s[i+1:], nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func isNumber(key byte) bool { return key == 'u' || key == 'v' }

func modifier(c byte) func(string) string {
	switch c {
	case 'X':
		return hexNumber
	case 'M':
		return func(s string) string { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) }
	case 'L':
		return strings.ToLower
	case 'U':
		return strings.ToUpper
	case 'R':
		return reverse
	}
	return nil
}

func hexNumber(s string) string {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return "0" // as Dovecot has it
	}
	return strconv.FormatUint(n, 16)
}

func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// sizing reads "08" (fill with zeros), "5" (cut) or "1.3" (skip and cut).
func sizing(s string) (change func(string) string, zeros int, err error) {
	if s == "" {
		return nil, 0, nil
	}
	offset, width := 0, s
	if skip, rest, ok := strings.Cut(s, "."); ok {
		if offset, err = strconv.Atoi(skip); err != nil {
			return nil, 0, fmt.Errorf("%q is no offset", skip)
		}
		width = rest
	}
	n, err := strconv.Atoi(width)
	if err != nil || n < 0 || n > MaxUIDL || offset < 0 {
		return nil, 0, fmt.Errorf("%q is no width from 0 to %d", s, MaxUIDL)
	}
	if width[0] == '0' && offset == 0 {
		return zeroFill(n), n, nil
	}
	return func(s string) string {
		s = s[min(offset, len(s)):]
		if n == 0 {
			return s
		}
		return s[:min(n, len(s))]
	}, 0, nil
}

func zeroFill(n int) func(string) string {
	return func(s string) string { return strings.Repeat("0", max(0, n-len(s))) + s }
}

// variable checks the name of a variable.
func variable(name string) (byte, error) {
	switch strings.TrimSpace(name) {
	case "u", "uid":
		return 'u', nil
	case "v", "uidvalidity":
		return 'v', nil
	case "f", "filename":
		return 'f', nil
	case "g", "guid":
		return 'g', nil
	case "m", "md5":
		return 0, fmt.Errorf("%%m, the MD5 of the header, is for mbox files; a Maildir has %%Mf")
	}
	return 0, fmt.Errorf("there is no variable %q; known are %%u (uid), %%v (uidvalidity), %%f (filename), %%g (guid)", name)
}

// pipeline reads what stands in %{…} in the notation of 2.4: a variable and
// filters.
func pipeline(s string) (part uidlPart, err error) {
	steps := strings.Split(s, "|")
	if part.key, err = variable(steps[0]); err != nil {
		return part, err
	}
	for _, step := range steps[1:] {
		name, arg, _ := strings.Cut(strings.TrimSpace(step), "(")
		n := 0
		if arg != "" {
			if n, err = strconv.Atoi(strings.TrimSuffix(arg, ")")); err != nil || n < 0 || n > MaxUIDL {
				return part, fmt.Errorf("filter %q: its number must be from 0 to %d", step, MaxUIDL)
			}
		}
		change, err := filter(name, n)
		if err != nil {
			return part, err
		}
		part.filter = append(part.filter, change)
		part.plain = len(part.filter) == 1 && name == "hex" && isNumber(part.key)
		part.width = n
	}
	return part, nil
}

func filter(name string, n int) (func(string) string, error) {
	switch name {
	case "hex":
		return func(s string) string { return zeroFill(n)(hexNumber(s)) }, nil
	case "md5": // yields raw bytes there, which hexlify follows
		return func(s string) string { sum := md5.Sum([]byte(s)); return string(sum[:]) }, nil
	case "hexlify":
		return func(s string) string { return zeroFill(n)(hex.EncodeToString([]byte(s))) }, nil
	case "lower":
		return strings.ToLower, nil
	case "upper":
		return strings.ToUpper, nil
	case "reverse":
		return reverse, nil
	}
	return nil, fmt.Errorf("there is no filter %q; known are hex, md5, hexlify, lower, upper, reverse", name)
}
