package authserver

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/sasl"
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
	// this name. There is no name without the certificate.
	ClientCert bool
	CertUser   string

	NoLogin bool // nobody will redeem this login
	// Seal names the key of the session role that will serve this login, if there
	// is one; see package seal.
	Seal      string
	NoPenalty bool // the peer vouches for Remote (a proxy, webmail)
	Debug     bool // log more of this request
	FinalOK   bool // the OK may carry the mechanism's last challenge

	// Binds: mechanisms with channel binding were announced on this
	// connection, and ChannelBinding can ask for data. So a user's program that
	// thinks they were not (SCRAM's "y") has been lied to on its way.
	Binds bool
	CUID  uint32 // number of this connection, as its greeting told

	Initial    []byte // nil: no initial response
	badInitial bool   // resp= is not base64, or too long
}

// TLS is what the line says of the encryption towards the user.
type TLS struct {
	Protocol   string // "TLSv1.3"
	Cipher     string
	CipherBits int
	PFS        string // how the key was agreed on
	JA3        string // fingerprint of the client's hello
}

// parseRequest reads what follows "AUTH": `<id> <mech> service=… [key[=value]]…
// [resp=<base64>]`. Whatever follows resp= is ignored, as are unknown keys.
// Dovecot after 2.4 writes protocol= for service=. raw is used up.
func parseRequest(raw []byte) (Request, error) {
	id, rest, err := cutID("AUTH", raw)
	if err != nil {
		return Request{}, err
	}
	mech, rest, more := dovecotauth.Cut(rest)
	r := Request{ID: id, Mech: mechName(mech)}
	var at endpoints
	for more {
		var param []byte
		param, rest, more = dovecotauth.Cut(rest)
		key, value, _ := dovecotauth.CutField(param)
		if string(key) == "resp" {
			r.setInitial(value)
			break
		}
		if hasNUL(param) {
			continue // ends a string for everybody who might read it
		}
		if !at.take(key, value) && !r.flag(key, value) && !r.fact(key, value) {
			r.TLS.take(key, value)
		}
	}
	if r.Service == "" {
		return Request{}, fail.New(fail.Invalid, "AUTH without service=")
	}
	if !r.ClientCert {
		r.CertUser = "" // a name that no certificate proves
	}
	r.Local, r.Remote, r.RealLocal, r.RealRemote = at.local(), at.remote(), at.realLocal(), at.realRemote()
	return r, nil
}

func hasNUL(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 }

// mechName is the name in upper case; for the usual ones without a new string.
func mechName(raw []byte) string {
	switch string(raw) {
	case "PLAIN":
		return "PLAIN"
	case "LOGIN":
		return "LOGIN"
	}
	return strings.ToUpper(string(raw))
}

// serviceName is the same for services.
func serviceName(raw []byte) string {
	switch string(raw) {
	case "smtp":
		return "smtp"
	case "imap":
		return "imap"
	case "pop3":
		return "pop3"
	}
	return string(raw)
}

// fact takes a field that has a value.
func (r *Request) fact(key, value []byte) bool {
	switch string(key) {
	case "service", "protocol":
		r.Service = serviceName(value)
	case "local_name":
		r.LocalName = string(value)
	case "seal":
		r.Seal = string(value)
	case "session":
		r.Session = string(value)
	case "client_id":
		r.ClientID = string(value)
	case "cert_username":
		r.CertUser = string(value)
	case "transport":
		r.Transport = string(value)
	case "forward_fields":
		r.Forward = dovecotauth.UnpackFields(string(value))
	default:
		return false
	}
	return true
}

// flag takes a field that counts by being there.
func (r *Request) flag(key, value []byte) bool {
	switch string(key) {
	case "secured":
		r.Secured = true
		if string(value) == "tls" && r.Transport == "" {
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

func (t *TLS) take(key, value []byte) {
	switch string(key) {
	case "tls_protocol":
		t.Protocol = string(value)
	case "tls_cipher":
		t.Cipher = string(value)
	case "tls_cipher_bits":
		t.CipherBits = int(small(value))
	case "tls_pfs":
		t.PFS = string(value)
	case "ssl_ja3_hash":
		t.JA3 = string(value)
	}
}

// setInitial decodes resp=. Protocols write "=" for an empty initial response
// (RFC 4954 section 4), and some clients pass that on.
func (r *Request) setInitial(value []byte) {
	r.Initial = []byte{}
	if string(value) == "=" {
		return
	}
	b, err := base64.StdEncoding.AppendDecode(r.Initial, value)
	if err != nil || len(b) > sasl.MaxResponse {
		r.badInitial = true
		return
	}
	r.Initial = b
}
