package tlsx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// SelfSigned makes a P-256 certificate for hosts (names and IP addresses)
// that is its own root, valid from an hour before now. Both results are PEM.
func SelfSigned(hosts []string, now time.Time, valid time.Duration) (cert, key []byte, err error) {
	if len(hosts) == 0 {
		return nil, nil, fail.New(fail.Invalid, "self-signed certificate: no host named")
	}
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: hosts[0]},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(valid),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, priv.Public(), priv)
	if err != nil {
		return nil, nil, err
	}
	pk, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk})
	return cert, key, nil
}

// WriteSelfSigned writes a SelfSigned pair, the key with mode 0640 so that its
// group may read it.
func WriteSelfSigned(certFile, keyFile string, hosts []string, now time.Time, valid time.Duration) error {
	cert, key, err := SelfSigned(hosts, now, valid)
	if err != nil {
		return err
	}
	if err := os.WriteFile(keyFile, key, 0o640); err != nil {
		return err
	}
	return os.WriteFile(certFile, cert, 0o644)
}
