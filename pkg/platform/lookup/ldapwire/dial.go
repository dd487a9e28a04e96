package ldapwire

import (
	"bytes"
	"net"
	"net/url"
	"strings"
	"sync/atomic"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Target is what a URI says.
type Target struct {
	URI           string
	Network, Addr string // for net.Dial
	Host          string // for the certificate
	TLS           bool   // from the first byte
	Local         bool   // a Unix socket or the loopback: nobody can listen in
}

// ParseURI reads ldap://host[:port], ldaps://host[:port] and
// ldapi://%2Fpath%2Fof%2Fsocket.
func ParseURI(uri string) (Target, error) {
	scheme, rest, _ := strings.Cut(uri, "://")
	rest = strings.TrimSuffix(rest, "/")
	t := Target{URI: uri, Network: "tcp"}
	port := "389"
	switch strings.ToLower(scheme) {
	case "ldap":
	case "ldaps":
		t.TLS, port = true, "636"
	case "ldapi":
		path, err := url.PathUnescape(rest)
		if err != nil || (path != "" && path[0] != '/') {
			return Target{}, fail.New(fail.Invalid, "%q names no socket: write ldapi://%%2Frun%%2Fslapd%%2Fldapi", uri)
		}
		if path == "" {
			path = "/run/slapd/ldapi"
		}
		return Target{URI: uri, Network: "unix", Addr: path, Local: true}, nil
	default:
		return Target{}, fail.New(fail.Invalid, "%q is no LDAP URI: write ldaps://host, ldap://host or ldapi://socket", uri)
	}
	u, err := url.Parse("ldap://" + rest)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return Target{}, fail.New(fail.Invalid, "%q is not of the form %s://host:port", uri, scheme)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t.Host = u.Hostname()
	t.Addr = net.JoinHostPort(t.Host, port)
	ip := net.ParseIP(t.Host)
	t.Local = t.Host == "localhost" || (ip != nil && ip.IsLoopback())
	return t, nil
}

// startTLSName is the extended operation of RFC 4511 section 4.14.
const startTLSName = "1.3.6.1.4.1.1466.20037"

// StartTLS asks for TLS. It reads exactly one message, so that nothing that was
// sent in the clear can pass for a part of the encrypted stream.
func StartTLS(conn net.Conn) error {
	request := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, ""))
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationExtendedRequest, nil, "")
	op.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, startTLSName, ""))
	request.AppendChild(op)
	if _, err := conn.Write(request.Bytes()); err != nil {
		return err
	}
	var left atomic.Int64
	left.Store(MaxAnswer)
	m, err := ReadMessage(conn, &left)
	if err != nil {
		return err
	}
	answer, err := ber.ReadPacket(bytes.NewReader(m))
	if err != nil {
		return err
	}
	if len(answer.Children) < 2 || answer.Children[0].Value != int64(1) || answer.Children[1].Tag != ldap.ApplicationExtendedResponse {
		return fail.New(fail.Unavailable, "the server's answer to StartTLS is none")
	}
	if err := ldap.GetLDAPError(answer); err != nil {
		return fail.New(fail.Unavailable, "the server refuses StartTLS: %.200s", err.Error())
	}
	return nil
}
