//go:build interop

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// authority makes a certificate authority, a certificate for 127.0.0.1
// (server.pem and server.key) and one for a client, CN=machine,O=postcote.
func authority(t *testing.T, dir string) (ca, cert, key string) {
	t.Helper()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	rootKey := newKey(t)
	ca = write(t, filepath.Join(dir, "ca.pem"), pemOf("CERTIFICATE", issue(t, root, root, rootKey, rootKey)), 0o644)
	leaf := func(name string, serial int64, subject pkix.Name, usage x509.ExtKeyUsage) (cert, key string) {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		}
		k := newKey(t)
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		cert = write(t, filepath.Join(dir, name+".pem"), pemOf("CERTIFICATE", issue(t, c, root, k, rootKey)), 0o644)
		return cert, write(t, filepath.Join(dir, name+".key"), pemOf("PRIVATE KEY", der), 0o600)
	}
	leaf("server", 2, pkix.Name{CommonName: "slapd"}, x509.ExtKeyUsageServerAuth)
	cert, key = leaf("client", 3, pkix.Name{CommonName: "machine", Organization: []string{"postcote"}}, x509.ExtKeyUsageClientAuth)
	return ca, cert, key
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t *testing.T, c, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// ssha is {SSHA} with a fixed salt.
func ssha(password string) string {
	sum := sha1.Sum([]byte(password + "salt"))
	return base64.StdEncoding.EncodeToString(append(sum[:], "salt"...))
}
