package authserver

import (
	"context"
	"encoding/base64"
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Request is what an AUTH line says. Nothing of it is proven; who may connect
// to the socket is trusted to say the truth.
type Request struct {
	ID      uint32
	Mech    string // upper case
	Service string // never empty

	Local, Remote         netip.AddrPort // zero when not said
	RealLocal, RealRemote netip.AddrPort // of the connection itself when a proxy gave the others
	LocalName             string         // TLS server name
	Session               string
	ClientID              string             // IMAP ID
	Forward               dovecotauth.Fields // what a proxy passed on

	Secured   bool   // encrypted, or a peer on this host
	Transport string // "insecure", "trusted", "TLS"; empty when not said
	TLS       TLS    // zero without TLS, or when not said
	// ClientCert: the peer showed a valid certificate, CertUser: made out to
	// this name. The name counts only with the certificate.
	ClientCert bool
	CertUser   string

	NoLogin   bool // nobody will redeem this login
	NoPenalty bool // the peer vouches for Remote (a proxy, webmail)
	Debug     bool // log more of this request
	FinalOK   bool // the OK may carry the mechanism's last challenge

	// Binding gets channel binding data of the peer's connection for a type of
	// RFC 5929 or RFC 9266, such as "tls-exporter", by asking for it. Nil when
	// the peer cannot know any. Errors: fail.Denied when it has none. To be
	// called from within Exchange.Next only.
	Binding func(ctx context.Context, kind string) ([]byte, error)

	Initial    []byte // nil: no initial response
	badInitial bool   // resp= is not base64
}

// TLS is what the line says of the encryption towards the user.
type TLS struct {
	Protocol   string // "TLSv1.3"
	Cipher     string
	CipherBits int
	PFS        string // how the key was agreed on
	JA3        string // fingerprint of the client's hello
}

// parseRequest reads `AUTH <id> <mech> service=… [key[=value]]… [resp=<base64>]`.
// Whatever follows resp= is ignored, as are unknown keys. Dovecot after 2.4
// writes protocol= for service=.
func parseRequest(l dovecotauth.Line) (Request, error) {
	id, ok := dovecotauth.ParseID(l.Param(0))
	if !ok {
		return Request{}, fail.New(fail.Invalid, "AUTH with id %.20q", l.Param(0))
	}
	r := Request{ID: id, Mech: strings.ToUpper(l.Param(1))}
	var at endpoints
	for _, f := range l.Fields(2) {
		if f.Key == "resp" {
			r.setInitial(f)
			break
		}
		if !r.fact(f) && !r.flag(f) && !r.TLS.take(f) {
			at.take(f)
		}
	}
	if r.Service == "" {
		return Request{}, fail.New(fail.Invalid, "AUTH without service=")
	}
	r.Local, r.Remote, r.RealLocal, r.RealRemote = at.local(), at.remote(), at.realLocal(), at.realRemote()
	return r, nil
}

// fact takes a field that has a value.
func (r *Request) fact(f dovecotauth.Field) bool {
	switch f.Key {
	case "service", "protocol":
		r.Service = f.Value
	case "local_name":
		r.LocalName = f.Value
	case "session":
		r.Session = f.Value
	case "client_id":
		r.ClientID = f.Value
	case "cert_username":
		r.CertUser = f.Value
	case "transport":
		r.Transport = f.Value
	case "forward_fields":
		r.Forward = dovecotauth.UnpackFields(f.Value)
	default:
		return false
	}
	return true
}

// flag takes a field that counts by being there.
func (r *Request) flag(f dovecotauth.Field) bool {
	switch f.Key {
	case "secured":
		r.Secured = true
		if f.Value == "tls" && r.Transport == "" {
			r.Transport = "TLS"
		}
	case "nologin":
		r.NoLogin = true
	case "no-penalty":
		r.NoPenalty = true
	case "valid-client-cert":
		r.ClientCert = true
	case "debug":
		r.Debug = true
	case "final-resp-ok":
		r.FinalOK = true
	default:
		return false
	}
	return true
}

func (t *TLS) take(f dovecotauth.Field) bool {
	switch f.Key {
	case "tls_protocol":
		t.Protocol = f.Value
	case "tls_cipher":
		t.Cipher = f.Value
	case "tls_cipher_bits":
		t.CipherBits = int(small(f.Value))
	case "tls_pfs":
		t.PFS = f.Value
	case "ssl_ja3_hash":
		t.JA3 = f.Value
	default:
		return false
	}
	return true
}

func (r *Request) setInitial(f dovecotauth.Field) {
	b, err := base64.StdEncoding.DecodeString(f.Value)
	r.badInitial = err != nil
	r.Initial = append([]byte{}, b...)
}
