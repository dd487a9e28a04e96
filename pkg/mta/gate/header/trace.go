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
	Hide  bool // nothing is said of the client and its session

	TLS  string // "TLSv1.3 with cipher NAME (256/256 bits)"; empty says nothing
	Kex  string // key exchange, with TLS
	Cert string // what is said of the client's certificate, with TLS
	User string // authenticated; empty says nothing
}

// Append adds the field in the shape Postfix gives it, with CRLF.
func (t Trace) Append(b []byte) []byte {
	switch {
	case t.Local:
		b = join(b, "Received: by ", t.By, " (Postcote, from userid ", strconv.Itoa(t.UID), ")\r\n\tid ", t.QID)
	case t.Hide:
		b = join(b, "Received: by ", t.By, " (Postcote) id ", t.QID)
	default:
		b = join(b, "Received: from ", token(t.Helo), " (", token(t.Name), " [")
		b = appendLiteral(b, t.Peer)
		b = t.session(append(b, "])"...))
		b = join(b, "\r\n\tby ", t.By, " (Postcote) with ", t.With, " id ", t.QID)
	}
	if !t.For.Null() {
		b = join(b, "\r\n\tfor ", t.For.Path())
	}
	b = append(b, "; "...)
	return append(t.Date.AppendFormat(b, dateLayout), "\r\n"...)
}

// session adds the comments about TLS and login.
func (t Trace) session(b []byte) []byte {
	if t.TLS != "" {
		b = join(b, "\r\n\t(using ", t.TLS)
		if t.Kex != "" {
			b = join(b, "\r\n\t key-exchange ", t.Kex)
		}
		b = join(b, ")\r\n\t(", t.Cert, ")")
	}
	if t.User != "" {
		b = join(b, "\r\n\t(Authenticated sender: ", comment(t.User), ")")
	}
	return b
}

// NoCert and AskedCert are said of a client without a certificate: it was not
// asked for one, or had none.
const (
	NoCert    = "No client certificate requested"
	AskedCert = "Client did not present a certificate"
)

// Cert is what is said of a client's certificate.
func Cert(subject, issuer string, verified bool) string {
	how := "not verified"
	if verified {
		how = "verified OK"
	}
	return "Client CN \"" + comment(subject) + "\", Issuer \"" + comment(issuer) + "\" (" + how + ")"
}

func join(b []byte, parts ...string) []byte {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// appendLiteral writes an address as RFC 5321 section 4.1.3 does inside brackets.
func appendLiteral(b []byte, ip netip.Addr) []byte {
	if ip = ip.Unmap(); ip.Is6() {
		return ip.WithZone("").AppendTo(append(b, "IPv6:"...))
	}
	return ip.AppendTo(b)
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

// dateLayout is that of RFC 5322 section 3.3, zone name as a comment.
const dateLayout = "Mon, 2 Jan 2006 15:04:05 -0700 (MST)"

// Date formats t for a header.
func Date(t time.Time) string { return t.Format(dateLayout) }

// maxComment is how much of a peer's text goes into a comment: lines have a
// limit (RFC 5322 section 2.1.1).
const maxComment = 255

// comment makes a peer's text safe inside a comment.
func comment(s string) string {
	if len(s) > maxComment {
		s = s[:maxComment]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r == 0x7f, r == '(', r == ')', r == '\\', r == '"', r == 0xfffd:
			return '?'
		}
		return r
	}, s)
}

// token makes a peer's word safe inside a header line: no white space that
// could fold, nothing that could begin or end a comment or a quotation, which
// would hide the peer's address.
func token(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r <= ' ', r == 0x7f, r == 0xfffd, strings.ContainsRune(`()<>@;\"`, r): // as in Postfix
			return '?'
		}
		return r
	}, s)
}
