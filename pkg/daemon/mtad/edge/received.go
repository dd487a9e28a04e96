package edge

import (
	"crypto/tls"
	"fmt"

	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// Tell adds to a Received field what c wants told of a session. asked says
// that the client was asked for a certificate.
func (c *Config) Tell(t *header.Trace, conn *server.Conn, asked bool) {
	if c.SASLHeader {
		t.User = conn.User
	}
	state := conn.TLS
	if !c.TLSHeader || state == nil {
		return
	}
	bits := tlsx.CipherBits(state.CipherSuite)
	t.TLS = fmt.Sprintf("%s with cipher %s (%d/%d bits)", tlsx.Version(state.Version), tlsx.Cipher(state.CipherSuite), bits, bits)
	t.Kex = exchanged(state.CurveID)
	switch {
	case len(state.PeerCertificates) > 0:
		leaf := state.PeerCertificates[0]
		t.Cert = header.Cert(leaf.Subject.CommonName, leaf.Issuer.CommonName, conn.ClientCert)
	case asked:
		t.Cert = header.AskedCert
	default:
		t.Cert = header.NoCert
	}
}

// exchanged is Postfix's name of a key exchange.
func exchanged(id tls.CurveID) string {
	switch id {
	case 0:
		return ""
	case tls.CurveP256:
		return "ECDHE (P-256)"
	case tls.CurveP384:
		return "ECDHE (P-384)"
	case tls.CurveP521:
		return "ECDHE (P-521)"
	}
	return id.String()
}

// Asked is the name by which a client asked for a certificate; empty for none,
// and for what is no name.
func Asked(state *tls.ConnectionState) string {
	name, err := addr.Domain(state.ServerName)
	if err != nil {
		return ""
	}
	return name
}

// Trust is the first word of Postfix's log line about a client's TLS.
func Trust(conn *server.Conn) string {
	switch {
	case conn.TLS == nil || len(conn.TLS.PeerCertificates) == 0:
		return "Anonymous"
	case conn.ClientCert:
		return "Trusted"
	}
	return "Untrusted"
}
