package addr

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Limits of RFC 5321 section 4.5.3.1. The local part limit is lenient
// because VERP and SRS senders in the wild exceed 64.
const (
	MaxLocal  = 256
	MaxDomain = 255
)

// Parse reads a mailbox without angle brackets: local@domain, or a bare local
// part. A source route ("@a,@b:c@d") is stripped (RFC 5321 appendix C). The
// empty string is the null sender. Errors are of kind fail.Invalid.
func Parse(s string) (Address, error) {
	if s == "" {
		return Address{}, nil
	}
	if s[0] == '@' {
		i := strings.IndexByte(s, ':')
		if i < 0 {
			return Address{}, bad(s, "source route without address")
		}
		if s = s[i+1:]; s == "" {
			return Address{}, bad(s, "source route without address")
		}
	}
	if !utf8.ValidString(s) {
		return Address{}, bad(s, "not UTF-8")
	}
	local, rest, err := parseLocal(s)
	if err != nil {
		return Address{}, err
	}
	if rest == "" {
		return Address{Local: local}, nil
	}
	domain, err := Domain(rest[1:])
	if err != nil {
		return Address{}, err
	}
	return Address{Local: local, Domain: domain}, nil
}

// ParsePath reads "<mailbox>" and nothing else; "<>" is the null sender.
func ParsePath(s string) (Address, error) {
	if len(s) < 2 || s[0] != '<' || s[len(s)-1] != '>' {
		return Address{}, bad(s, "missing angle brackets")
	}
	return Parse(s[1 : len(s)-1])
}

// parseLocal: Local-part = Dot-string / Quoted-string. Dots at the ends or in
// a row are accepted, as Postfix does (docomo.ne.jp has such users).
func parseLocal(s string) (local, rest string, err error) {
	if s[0] == '"' {
		return parseQuoted(s)
	}
	i := 0
	for i < len(s) && s[i] != '@' {
		if !atext(s[i]) && s[i] != '.' {
			return "", "", bad(s, "forbidden character in local part")
		}
		i++
	}
	if i == 0 || i > MaxLocal {
		return "", "", bad(s, "local part empty or too long")
	}
	return s[:i], s[i:], nil
}

func parseQuoted(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			rest = s[i+1:]
			if b.Len() == 0 || b.Len() > MaxLocal || rest != "" && rest[0] != '@' {
				return "", "", bad(s, "malformed quoted local part")
			}
			return b.String(), rest, nil
		case c == '\\':
			i++
			if i == len(s) {
				return "", "", bad(s, "unfinished quoted local part")
			}
			c = s[i]
		}
		if c < 0x20 || c == 0x7f {
			return "", "", bad(s, "control character")
		}
		b.WriteByte(c)
	}
	return "", "", bad(s, "unfinished quoted local part")
}

// Domain canonicalises a domain name or an address literal. A-labels become
// U-labels, so that the two spellings of one domain compare equal.
func Domain(s string) (string, error) {
	if strings.HasPrefix(s, "[") {
		return literal(s)
	}
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if s == "" || len(s) > MaxDomain {
		return "", bad(s, "domain empty or too long")
	}
	if strings.Trim(s, "0123456789.") == "" {
		return "", bad(s, "a domain of digits alone; an address literal has brackets")
	}
	u := s
	if !ascii(s) || strings.Contains(s, "xn--") {
		var err error
		if u, err = idna.Lookup.ToUnicode(s); err != nil {
			return "", bad(s, "not a valid internationalised domain")
		}
	}
	for label := range strings.SplitSeq(u, ".") {
		if !labelOK(label) {
			return "", bad(s, "malformed domain")
		}
	}
	return u, nil
}

// ASCIIDomain returns the A-label form of a canonical domain, for DNS and for
// peers without SMTPUTF8.
func ASCIIDomain(d string) (string, error) {
	if ascii(d) {
		return d, nil
	}
	a, err := idna.Lookup.ToASCII(d)
	if err != nil {
		return "", bad(d, "no ASCII form")
	}
	return a, nil
}

func labelOK(l string) bool {
	if l == "" || len(l) > 63*4 || len(l) > 63 && ascii(l) || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := 0; i < len(l); i++ {
		c := l[i]
		ok := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= 0x80
		if !ok {
			return false
		}
	}
	return true
}

func literal(s string) (string, error) {
	if s[len(s)-1] != ']' {
		return "", bad(s, "unfinished address literal")
	}
	in := s[1 : len(s)-1]
	v6 := len(in) > 5 && strings.EqualFold(in[:5], "ipv6:")
	if v6 {
		in = in[5:]
	}
	ip, err := netip.ParseAddr(in)
	if err != nil || ip.Is6() != v6 || ip.Zone() != "" {
		return "", bad(s, "malformed address literal")
	}
	if v6 {
		return "[IPv6:" + ip.String() + "]", nil
	}
	return "[" + ip.String() + "]", nil
}

func isDotString(s string) bool {
	for i := 0; i < len(s); i++ {
		if !atext(s[i]) && s[i] != '.' {
			return false
		}
	}
	return s != ""
}

// atext of RFC 5322 section 3.2.3, with UTF-8 (RFC 6531).
func atext(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func bad(s, why string) error {
	if len(s) > 80 {
		s = s[:80]
	}
	return fail.New(fail.Invalid, "address %q: %s", s, why)
}
