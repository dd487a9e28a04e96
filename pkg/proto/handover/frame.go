package handover

import (
	"net/netip"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Version is the first byte of each packet. A session role of another version
// refuses, and clients are told to try later: both roles are one binary, so
// this lasts as long as an upgrade.
const Version = 2

// Protocol is what the client speaks.
type Protocol uint8

// The protocols.
const (
	IMAP Protocol = 1
	POP3 Protocol = 2
)

// String is the lower-case name, as in Dovecot's service field.
func (p Protocol) String() string {
	switch p {
	case IMAP:
		return "imap"
	case POP3:
		return "pop3"
	}
	return "unknown"
}

// Caps of the fields, in bytes.
const (
	MaxTag       = 256   // the login engine's cap is below it
	MaxSession   = 64    //
	MaxMechanism = 32    // RFC 4422 says 20
	MaxCookie    = 128   // Dovecot's is 32
	MaxSealed    = 4096  // a record and what proves it
	MaxSeal      = 64    // a key's name
	MaxTLS       = 64    // version and cipher each
	MaxBuffered  = 32768 // a pre-login line, or what a POP3 client pipelines
	MaxWhy       = 256   // of an Answer

	// MaxFrame bounds the whole packet.
	MaxFrame = MaxBuffered + MaxSealed + 1024
)

// Frame is a connection on its way to the session role.
type Frame struct {
	Protocol Protocol
	Tag      string // IMAP: of the command that logged in and is to be answered
	Session  string // session id, the same in the logs of both roles

	// The login at authd: redeemable once. Where Sealed is not empty it holds the
	// answer, as authd has sealed it, and opens once.
	ClientPID uint32
	RequestID uint32
	Cookie    string
	Sealed    string

	Mechanism  string // of the login, "PLAIN"
	Secured    bool   // TLS, or a peer on the same host
	Returnable bool   // IMAP: the stream is one of chunks, and may be given back; see Returnable
	TLSVersion string // "TLSv1.3"; empty without TLS
	TLSCipher  string
	Peer       netip.AddrPort // zero value: unknown
	Local      netip.AddrPort

	Buffered []byte // what the client sent behind the login, unread
}

// Answer is what the session role says to a frame. A refusal is temporary:
// the client is told to try later.
type Answer struct {
	Taken bool
	PID   uint32 // of the process that serves the session now
	Seal  string // authd may seal logins for the session role by the key of this name; empty: it has none
	Why   string // of a refusal, for the log
}

// check returns what is wrong with the values, of kind Invalid.
func (f *Frame) check() error {
	if f.Protocol != IMAP && f.Protocol != POP3 {
		return fail.New(fail.Invalid, "handover: unknown protocol %d", f.Protocol)
	}
	for _, s := range []struct {
		what string
		v    string
		cap  int
	}{
		{"tag", f.Tag, MaxTag},
		{"session", f.Session, MaxSession},
		{"cookie", f.Cookie, MaxCookie},
		{"sealed login", f.Sealed, MaxSealed},
		{"mechanism", f.Mechanism, MaxMechanism},
		{"tls version", f.TLSVersion, MaxTLS},
		{"tls cipher", f.TLSCipher, MaxTLS},
	} {
		if err := checkText(s.what, s.v, s.cap); err != nil {
			return err
		}
	}
	if len(f.Buffered) > MaxBuffered {
		return fail.New(fail.Invalid, "handover: %d buffered bytes, the limit is %d", len(f.Buffered), MaxBuffered)
	}
	for _, a := range []netip.AddrPort{f.Peer, f.Local} {
		if !a.Addr().IsValid() && a.Port() != 0 || a.Addr().Is4In6() || a.Addr().Zone() != "" {
			return fail.New(fail.Invalid, "handover: address %v is not in its plain form", a)
		}
	}
	return nil
}

// checkText admits printable ASCII: the values end up in logs and replies.
func checkText(what, v string, limit int) error {
	if len(v) > limit {
		return fail.New(fail.Invalid, "handover: %s of %d bytes, the limit is %d", what, len(v), limit)
	}
	for _, c := range []byte(v) {
		if c < 0x20 || c > 0x7E {
			return fail.New(fail.Invalid, "handover: byte 0x%02x in the %s", c, what)
		}
	}
	return nil
}
