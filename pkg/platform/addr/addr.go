package addr

import "strings"

// Address is a mailbox. The zero value is the null sender "<>".
type Address struct {
	Local  string // unquoted; any byte but NUL, CR, LF
	Domain string // canonical; "[192.0.2.1]" or "[IPv6:…]" for literals; empty for a bare local part
}

// Null reports whether a is the null reverse-path.
func (a Address) Null() bool { return a.Local == "" && a.Domain == "" }

// String returns the address in RFC 5321 Mailbox form without angle brackets,
// quoting the local part only where it must be.
func (a Address) String() string {
	if a.Null() {
		return ""
	}
	l := a.Local
	if !isDotString(l) {
		l = quote(l)
	}
	if a.Domain == "" {
		return l
	}
	return l + "@" + a.Domain
}

// Path returns "<address>", "<>" for the null sender.
func (a Address) Path() string {
	if a.Domain != "" && isDotString(a.Local) {
		return "<" + a.Local + "@" + a.Domain + ">"
	}
	return "<" + a.String() + ">"
}

// Key returns the case-folded form used as a lookup key.
func (a Address) Key() string { return strings.ToLower(a.String()) }

// Split cuts the local part at the first delimiter (any byte of delims):
// "joe+list" gives "joe", "list". An empty delims, or a local part without a
// delimiter or that begins with one, gives the whole local part and "".
//
// Names that have a meaning as a whole stay whole: postmaster, mailer-daemon
// and double-bounce, and owner-list and list-request if "-" is a delimiter.
func (a Address) Split(delims string) (user, detail string) {
	i := strings.IndexAny(a.Local, delims)
	if i <= 0 || whole(a.Local, delims) {
		return a.Local, ""
	}
	return a.Local[:i], a.Local[i+1:]
}

func whole(local, delims string) bool {
	for _, name := range []string{"postmaster", "mailer-daemon", "double-bounce"} {
		if strings.EqualFold(local, name) {
			return true
		}
	}
	const owner, request = "owner-", "-request"
	n := len(local)
	return strings.Contains(delims, "-") &&
		(n >= len(owner) && strings.EqualFold(local[:len(owner)], owner) || n > len(request) && strings.EqualFold(local[n-len(request):], request))
}

// Base is a without its detail.
func (a Address) Base(delims string) Address {
	u, _ := a.Split(delims)
	return Address{Local: u, Domain: a.Domain}
}

// NeedsUTF8 reports whether the address can only travel with SMTPUTF8.
func (a Address) NeedsUTF8() bool { return !ascii(a.Local) || !ascii(a.Domain) }

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func quote(l string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(l); i++ {
		if l[i] == '"' || l[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(l[i])
	}
	b.WriteByte('"')
	return b.String()
}
