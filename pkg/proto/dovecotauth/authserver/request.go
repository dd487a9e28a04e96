package authserver

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Request is what an AUTH line says.
type Request struct {
	ID         uint32
	Mech       string
	Service    string
	Local      netip.AddrPort // zero when not said
	Remote     netip.AddrPort
	LocalName  string
	Session    string
	ClientID   string
	Secured    bool
	NoLogin    bool
	NoPenalty  bool
	ClientCert bool   // the peer showed a valid certificate …
	CertUser   string // … made out to this name
	Initial    []byte // nil: no initial response
	badInitial bool   // resp= is not base64
}

// parseRequest reads `AUTH <id> <mech> service=… [key[=value]]… [resp=<base64>]`.
// Whatever follows resp= is ignored, as are unknown keys.
func parseRequest(l dovecotauth.Line) (Request, error) {
	id, ok := dovecotauth.ParseID(l.Param(0))
	if !ok {
		return Request{}, fail.New(fail.Invalid, "AUTH with id %.20q", l.Param(0))
	}
	r := Request{ID: id, Mech: strings.ToUpper(l.Param(1))}
	var lport, rport string
	for _, f := range l.Fields(2) {
		switch f.Key {
		case "service":
			r.Service = f.Value
		case "nologin":
			r.NoLogin = true
		case "lip":
			r.Local = withAddr(f.Value)
		case "rip":
			r.Remote = withAddr(f.Value)
		case "lport":
			lport = f.Value
		case "rport":
			rport = f.Value
		case "local_name":
			r.LocalName = f.Value
		case "session":
			r.Session = f.Value
		case "client_id":
			r.ClientID = f.Value
		case "secured":
			r.Secured = true
		case "no-penalty":
			r.NoPenalty = true
		case "valid-client-cert":
			r.ClientCert = true
		case "cert_username":
			r.CertUser = f.Value
		case "resp":
			r.setInitial(f)
		}
		if f.Key == "resp" {
			break
		}
	}
	if r.Service == "" {
		return Request{}, fail.New(fail.Invalid, "AUTH without service=")
	}
	r.Local, r.Remote = withPort(r.Local, lport), withPort(r.Remote, rport)
	return r, nil
}

func (r *Request) setInitial(f dovecotauth.Field) {
	b, err := base64.StdEncoding.DecodeString(f.Value)
	r.badInitial = err != nil
	r.Initial = append([]byte{}, b...)
}

func withAddr(s string) netip.AddrPort {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Unmap().WithZone(""), 0)
}

func withPort(a netip.AddrPort, port string) netip.AddrPort {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return a
	}
	return netip.AddrPortFrom(a.Addr(), uint16(n))
}
