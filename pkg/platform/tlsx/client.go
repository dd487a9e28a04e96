package tlsx

import (
	"crypto/tls"
	"crypto/x509"
)

// Opportunistic is for mail between servers that have agreed on nothing:
// encryption without proof of identity beats none, and refusing a bad
// certificate would only mean sending in the clear (RFC 7435). What was seen
// is told by Look. host is sent as SNI when it is a name.
func Opportunistic(host string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		InsecureSkipVerify: true,
	}
}

// Strict verifies the chain and the name. roots nil means the system's.
func Strict(host string, roots *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: roots}
}

// Seen is what a handshake showed of the peer.
type Seen struct {
	Verified bool  // the chain ends in roots and the certificate names the host
	Why      error // why not
	Cert     *x509.Certificate
}

// Look verifies after the fact what an opportunistic handshake accepted.
func Look(state tls.ConnectionState, host string, roots *x509.CertPool) Seen {
	if len(state.PeerCertificates) == 0 {
		return Seen{}
	}
	leaf := state.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between})
	return Seen{Verified: err == nil, Why: err, Cert: leaf}
}
