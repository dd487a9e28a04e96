package header

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Trace is the content of our Received field (RFC 5321 section 4.4).
type Trace struct {
	Helo  string     // as the peer gave it
	Name  string     // forward-confirmed name of the peer, or "unknown"
	Peer  netip.Addr // invalid for the submit socket
	UID   int        // of the submit socket's peer
	By    string     // our host name
	With  string     // a value of With
	QID   string
	For   addr.Address // the recipient when there is exactly one; otherwise null
	Date  time.Time
	Local bool // came by the submit socket
}

// String returns the field in the shape Postfix gives it, with CRLF.
func (t Trace) String() string {
	var b strings.Builder
	if t.Local {
		b.WriteString("Received: by " + t.By + " (Postcote, from userid " + strconv.Itoa(t.UID) + ")\r\n\tid " + t.QID)
	} else {
		b.WriteString("Received: from " + token(t.Helo) + " (" + token(t.Name) + " [" + Literal(t.Peer) + "])\r\n" +
			"\tby " + t.By + " (Postcote) with " + t.With + " id " + t.QID)
	}
	if !t.For.Null() {
		b.WriteString("\r\n\tfor " + t.For.Path())
	}
	b.WriteString("; " + Date(t.Date) + "\r\n")
	return b.String()
}

// Literal is an address as RFC 5321 section 4.1.3 writes it inside brackets.
func Literal(ip netip.Addr) string {
	if ip = ip.Unmap(); ip.Is6() {
		return "IPv6:" + ip.WithZone("").String()
	}
	return ip.String()
}

// With returns the protocol keyword of RFC 3848 and RFC 6531 section 4.3.
func With(extended, tls, auth, utf8 bool) string {
	if !extended {
		return "SMTP"
	}
	w := "ESMTP"
	if utf8 {
		w = "UTF8SMTP"
	}
	if tls {
		w += "S"
	}
	if auth {
		w += "A"
	}
	return w
}

// Date formats t for a header (RFC 5322 section 3.3), zone name as a comment.
func Date(t time.Time) string {
	s := t.Format("Mon, _2 Jan 2006 15:04:05 -0700 (MST)")
	return strings.Replace(s, ",  ", ", ", 1)
}

// token makes a peer's word safe inside a header line: no white space that
// could fold, no parentheses that could end a comment.
func token(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r <= ' ', r == 0x7f, r == '(', r == ')', r == '\\', r == ';', r == 0xfffd:
			return '?'
		}
		return r
	}, s)
}
