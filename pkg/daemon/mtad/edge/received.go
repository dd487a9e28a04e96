package edge

import (
	"crypto/tls"

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
	t.TLS = tlsx.Describe(*state)
	if state.Version >= tls.VersionTLS13 {
		t.Kex = tlsx.KeyExchange(state.CurveID)
	}
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
