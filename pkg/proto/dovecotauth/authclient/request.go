package authclient

import (
	"encoding/base64"
	"net/netip"
	"strconv"

	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Request is what a peer asked for, and what is known about the peer.
type Request struct {
	Mech    string // upper case, as offered
	Service string // "smtp", "imap", "pop3", "sieve"
	// NoLogin says that nobody will redeem this login (SMTP). Without it, a
	// success on a `login` socket waits to be redeemed by the session role.
	NoLogin bool

	LocalAddr  netip.AddrPort // zero value: not sent
	RemoteAddr netip.AddrPort
	LocalName  string // TLS server name the peer asked for
	Session    string // our session id, for the log
	ClientID   string // IMAP ID, for the log

	Secured     bool   // TLS, or a peer on this host
	TLSProtocol string // "TLSv1.3"; empty without TLS
	TLSCipher   string
	NoPenalty   bool // do not count this peer's failures

	// Initial is the SASL initial response. Nil: the peer sent none. Empty
	// but not nil: it sent an empty one.
	Initial []byte
}

// fields are in the order Dovecot's login processes use; resp must be last.
func (r Request) fields() dovecotauth.Fields {
	fs := dovecotauth.Fields{}.Add("service", r.Service)
	if r.NoLogin {
		fs = fs.AddFlag("nologin")
	}
	switch {
	case r.TLSProtocol != "":
		fs = fs.Add("secured", "tls")
	case r.Secured:
		fs = fs.AddFlag("secured")
	}
	if r.NoPenalty {
		fs = fs.AddFlag("no-penalty")
	}
	if r.Session != "" {
		fs = fs.Add("session", r.Session)
	}
	fs = addAddr(fs, "lip", r.LocalAddr)
	fs = addAddr(fs, "rip", r.RemoteAddr)
	fs = addPort(fs, "lport", r.LocalAddr)
	fs = addPort(fs, "rport", r.RemoteAddr)
	for _, f := range []dovecotauth.Field{
		{Key: "local_name", Value: r.LocalName},
		{Key: "client_id", Value: r.ClientID},
		{Key: "tls_protocol", Value: r.TLSProtocol},
		{Key: "tls_cipher", Value: r.TLSCipher},
	} {
		if f.Value != "" {
			fs = append(fs, f)
		}
	}
	if r.Initial != nil {
		fs = fs.Add("resp", base64.StdEncoding.EncodeToString(r.Initial))
	}
	return fs
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
