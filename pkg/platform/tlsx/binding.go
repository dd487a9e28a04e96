package tlsx

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Binding gives the channel binding data of a connection (RFC 5056): what both
// ends of it know, and nobody between them.
type Binding struct {
	State  tls.ConnectionState
	Server *x509.Certificate // the server's; nil: not known
}

// ClientBinding is the binding of a connection seen from its client.
func ClientBinding(state tls.ConnectionState) Binding {
	b := Binding{State: state}
	if len(state.PeerCertificates) > 0 {
		b.Server = state.PeerCertificates[0]
	}
	return b
}

// ChannelBinding returns the data for "tls-exporter" (RFC 9266) or
// "tls-server-end-point" (RFC 5929 section 4). fail.NotFound: this connection
// has none of this type.
func (b Binding) ChannelBinding(kind string) ([]byte, error) {
	switch kind {
	case "tls-exporter":
		if !b.State.HandshakeComplete {
			return nil, fail.New(fail.NotFound, "channel binding: there is no connection")
		}
		// The context is there but empty, which before TLS 1.3 is not the same
		// as none. Without Extended Master Secret Go refuses, as RFC 9266
		// section 4.2 wants.
		data, err := b.State.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
		return data, fail.Wrap(fail.NotFound, err, "channel binding")
	case "tls-server-end-point":
		return endPoint(b.Server)
	}
	return nil, fail.New(fail.NotFound, "no channel binding of type %.40q", kind)
}

// endPoint hashes a certificate with the hash of its signature, or SHA-256
// where that is MD5 or SHA-1.
func endPoint(cert *x509.Certificate) ([]byte, error) {
	if cert == nil {
		return nil, fail.New(fail.NotFound, "channel binding: the server's certificate is not known")
	}
	switch cert.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		sum := sha256.Sum256(cert.Raw)
		return sum[:], nil
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		sum := sha512.Sum384(cert.Raw)
		return sum[:], nil
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		sum := sha512.Sum512(cert.Raw)
		return sum[:], nil
	}
	// Ed25519 has no hash, and the RFC no rule for it.
	return nil, fail.New(fail.NotFound, "channel binding: none is defined for certificates signed with %s", cert.SignatureAlgorithm)
}
