package authclient

import (
	"encoding/base64"
	"net/netip"
	"strconv"

	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Request is what a peer asked for, and what is known about the peer. Zero
// values are not sent.
type Request struct {
	Mech    string // upper case, as offered
	Service string // "smtp", "imap", "pop3", "sieve"
	// NoLogin says that nobody will redeem this login (SMTP). Without it, a
	// success on a `login` socket waits to be redeemed by the session role.
	NoLogin bool
	// Seal names the key of the session role that will serve the login: the
	// success may come with its record, sealed (Result.Sealed). Only a server
	// that has given the session role this name knows it.
	Seal string

	LocalAddr  netip.AddrPort
	RemoteAddr netip.AddrPort
	// Behind a proxy that told the addresses above: those of the connection.
	RealLocalAddr  netip.AddrPort
	RealRemoteAddr netip.AddrPort
	LocalName      string             // TLS server name the peer asked for
	Session        string             // our session id, for the log
	ClientID       string             // IMAP ID, for the log
	Forward        dovecotauth.Fields // what a proxy in front of us passed on

	Secured       bool   // TLS, or a peer on this host
	TLSProtocol   string // "TLSv1.3"; empty without TLS
	TLSCipher     string
	TLSCipherBits int
	TLSPFS        string // how the key was agreed on
	// ClientCert: the peer showed a certificate that we verified; CertUser is
	// the name it is made out to.
	ClientCert bool
	CertUser   string
	NoPenalty  bool // do not count this peer's failures
	Debug      bool // a Dovecot logs more of this request

	// FinalOK says that the protocol towards the peer has a place for the
	// mechanism's last message in its OK (ManageSieve): it comes as
	// Result.Final, not as a challenge to be acknowledged.
	FinalOK bool
	// Binding returns the channel binding data of the peer's TLS connection
	// for a type such as "tls-exporter". The server asks for it in mechanisms
	// with channel binding. Nil: there is none.
	Binding func(kind string) ([]byte, error)

	// Initial is the SASL initial response. Nil: the peer sent none. Empty
	// but not nil: it sent an empty one.
	Initial []byte
}

// params are all of the AUTH line behind the id, in the order Dovecot's login
// processes use; resp must be last.
func (r Request) params() []byte {
	l := line(dovecotauth.AppendEscaped(make([]byte, 0, 384), r.Mech))
	l = l.text("service", r.Service).flag("nologin", r.NoLogin).flag("final-resp-ok", r.FinalOK).text("seal", r.Seal)
	if r.TLSProtocol != "" {
		l = l.text("secured", "tls")
	} else {
		l = l.flag("secured", r.Secured)
	}
	l = l.flag("no-penalty", r.NoPenalty).flag("valid-client-cert", r.ClientCert).flag("debug", r.Debug).text("session", r.Session)
	if r.ClientCert { // a name that no certificate proves is none
		l = l.text("cert_username", r.CertUser)
	}
	l = l.endpoints("", r.LocalAddr, r.RemoteAddr).endpoints("real_", r.RealLocalAddr, r.RealRemoteAddr)
	l = l.text("local_name", r.LocalName).text("client_id", r.ClientID).text("forward_fields", dovecotauth.PackFields(r.Forward))
	l = l.text("tls_protocol", r.TLSProtocol).text("tls_cipher", r.TLSCipher)
	if r.TLSCipherBits > 0 {
		l = l.text("tls_cipher_bits", strconv.Itoa(r.TLSCipherBits))
	}
	l = l.text("tls_pfs", r.TLSPFS)
	if r.Initial != nil {
		l = base64.StdEncoding.AppendEncode(append(l, "\tresp="...), r.Initial)
	}
	return append(l, '\n')
}

// line is parameters, each after a TAB.
type line []byte

func (l line) flag(key string, on bool) line {
	if !on {
		return l
	}
	return append(append(l, '\t'), key...)
}

func (l line) text(key, value string) line {
	if value == "" {
		return l
	}
	return dovecotauth.AppendField(l, key, value)
}

// endpoints are the addresses, then the ports.
func (l line) endpoints(prefix string, local, remote netip.AddrPort) line {
	l = l.addr(prefix, "lip", local).addr(prefix, "rip", remote)
	return l.port(prefix, "lport", local).port(prefix, "rport", remote)
}

func (l line) addr(prefix, key string, a netip.AddrPort) line {
	if !a.Addr().IsValid() {
		return l
	}
	return a.Addr().Unmap().WithZone("").AppendTo(l.key(prefix, key))
}

func (l line) port(prefix, key string, a netip.AddrPort) line {
	if !a.IsValid() || a.Port() == 0 {
		return l
	}
	return strconv.AppendUint(l.key(prefix, key), uint64(a.Port()), 10)
}

func (l line) key(prefix, key string) line {
	return append(append(append(append(l, '\t'), prefix...), key...), '=')
}

// appendAuth appends the AUTH line of a request.
func appendAuth(dst []byte, id uint32, params []byte) []byte {
	dst = strconv.AppendUint(append(dst, "AUTH\t"...), uint64(id), 10)
	return append(append(dst, '\t'), params...)
}

// maxHead is the length of the longest beginning of an AUTH line.
const maxHead = len("AUTH\t4294967295\t")
