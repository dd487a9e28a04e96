package server

import (
	"crypto/tls"
	"net"
	"time"
)

// Conn is what hooks may know about a connection. Fields are written by the
// engine between hook calls and must only be read; Policy alone may be
// changed, in Accept.
type Conn struct {
	ID       string // session identifier
	Listener string
	Mode     Mode
	Remote   net.Addr
	Net      net.Conn // as handed to Serve, for its peer credentials
	Start    time.Time

	TLS *tls.ConnectionState // nil in the clear
	// ClientCert: the peer showed a certificate that Config.Client found valid,
	// CertUser: made out to this name; empty when it names nobody.
	ClientCert bool
	CertUser   string

	// Name and Reverse are what XCLIENT gave as the client's confirmed name and
	// as that of its address alone: "" when it did not, "unknown" when it said so.
	Name    string
	Reverse string
	// Forward is what XFORWARD said of the client of a message that a filter
	// brings back; nil when it said nothing since the last transaction.
	Forward *Forward

	Verb  string // HELO, EHLO or LHLO; "" before
	Helo  string // the client's name for itself
	Mech  string // SASL mechanism; "" when not authenticated
	User  string // authenticated identity
	Early bool   // the client talked before the banner

	Policy Policy

	local net.Addr // as a proxy has named it
	talk  func(wait time.Duration) bool
}

// Local is our end of the connection. Few ask, and it takes a system call.
func (c *Conn) Local() net.Addr {
	if c.local != nil {
		return c.local
	}
	return c.Net.LocalAddr()
}

// Forward is a client elsewhere; empty means nothing was said or known.
type Forward struct {
	Name  string
	Addr  string // an IP address, without IPv6:
	Port  string
	Proto string
	Helo  string
	Ident string // the message's queue id there
	Local bool   // SOURCE=LOCAL: it did not come from the network
	// Remote is SOURCE=REMOTE. Neither of the two: nothing was said.
	Remote bool
}

// ESMTP reports whether the client said EHLO or LHLO.
func (c *Conn) ESMTP() bool { return c.Verb == "EHLO" || c.Verb == "LHLO" }

// Protocol returns the keyword of RFC 3848 for a Received field: SMTP, ESMTP,
// ESMTPS, ESMTPA, ESMTPSA, LMTP, ... (UTF8 forms of RFC 6531 when utf8).
func (c *Conn) Protocol(utf8 bool) string {
	p := "SMTP"
	switch {
	case c.Mode == LMTP && utf8:
		p = "UTF8LMTP"
	case c.Mode == LMTP:
		p = "LMTP"
	case utf8:
		p = "UTF8SMTP"
	case c.ESMTP():
		p = "ESMTP"
	default:
		return p
	}
	if c.TLS != nil {
		p += "S"
	}
	if c.User != "" {
		p += "A"
	}
	return p
}

// EarlyTalker waits up to wait for the client to break the rule that the
// server speaks first, and reports (and keeps in c.Early) whether it did. For
// use in Accept.
func (c *Conn) EarlyTalker(wait time.Duration) bool {
	if c.talk != nil && !c.Early {
		c.Early = c.talk(wait)
	}
	return c.Early
}
