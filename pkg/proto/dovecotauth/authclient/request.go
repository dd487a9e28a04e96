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

// fields are in the order Dovecot's login processes use; resp must be last.
func (r Request) fields() dovecotauth.Fields {
	fs := dovecotauth.Fields{}.Add("service", r.Service)
	fs = addFlag(fs, "nologin", r.NoLogin)
	fs = addFlag(fs, "final-resp-ok", r.FinalOK)
	if r.TLSProtocol != "" {
		fs = fs.Add("secured", "tls")
	} else {
		fs = addFlag(fs, "secured", r.Secured)
	}
	fs = addFlag(fs, "no-penalty", r.NoPenalty)
	fs = addFlag(fs, "valid-client-cert", r.ClientCert)
	fs = addFlag(fs, "debug", r.Debug)
	fs = addText(fs, "session", r.Session)
	if r.ClientCert { // a name that no certificate proves is none
		fs = addText(fs, "cert_username", r.CertUser)
	}
	fs = addEndpoints(fs, "", r.LocalAddr, r.RemoteAddr)
	fs = addEndpoints(fs, "real_", r.RealLocalAddr, r.RealRemoteAddr)
	fs = addText(fs, "local_name", r.LocalName)
	fs = addText(fs, "client_id", r.ClientID)
	fs = addText(fs, "forward_fields", dovecotauth.PackFields(r.Forward))
	fs = r.addTLS(fs)
	if r.Initial != nil {
		fs = fs.Add("resp", base64.StdEncoding.EncodeToString(r.Initial))
	}
	return fs
}

func (r Request) addTLS(fs dovecotauth.Fields) dovecotauth.Fields {
	fs = addText(fs, "tls_protocol", r.TLSProtocol)
	fs = addText(fs, "tls_cipher", r.TLSCipher)
	if r.TLSCipherBits > 0 {
		fs = fs.Add("tls_cipher_bits", strconv.Itoa(r.TLSCipherBits))
	}
	return addText(fs, "tls_pfs", r.TLSPFS)
}

func addFlag(fs dovecotauth.Fields, key string, on bool) dovecotauth.Fields {
	if !on {
		return fs
	}
	return fs.AddFlag(key)
}

func addText(fs dovecotauth.Fields, key, value string) dovecotauth.Fields {
	if value == "" {
		return fs
	}
	return fs.Add(key, value)
}

func addEndpoints(fs dovecotauth.Fields, prefix string, local, remote netip.AddrPort) dovecotauth.Fields {
	fs = addAddr(fs, prefix+"lip", local)
	fs = addAddr(fs, prefix+"rip", remote)
	fs = addPort(fs, prefix+"lport", local)
	return addPort(fs, prefix+"rport", remote)
}

func addAddr(fs dovecotauth.Fields, key string, a netip.AddrPort) dovecotauth.Fields {
	if !a.Addr().IsValid() {
		return fs
	}
	return fs.Add(key, a.Addr().Unmap().WithZone("").String())
}

func addPort(fs dovecotauth.Fields, key string, a netip.AddrPort) dovecotauth.Fields {
	if !a.IsValid() || a.Port() == 0 {
		return fs
	}
	return fs.Add(key, strconv.Itoa(int(a.Port())))
}

func (r Request) appendTo(dst []byte, id uint32) []byte {
	params := append([]string{dovecotauth.FormatID(id), r.Mech}, r.fields().Params()...)
	return dovecotauth.AppendLine(dst, "AUTH", params...)
}

// encodedSize is the length of the longest line this request can make.
func (r Request) encodedSize() int { return len(r.appendTo(nil, 1<<32-1)) }
