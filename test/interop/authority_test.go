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

// certAuthority issues certificates into a folder.
type certAuthority struct {
	t    *testing.T
	dir  string
	file string
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir string) *certAuthority {
	t.Helper()
	a := &certAuthority{t: t, dir: dir, key: newKey(t), root: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}}
	a.file = write(t, filepath.Join(dir, "ca.pem"), pemOf("CERTIFICATE", issue(t, a.root, a.root, a.key, a.key)), 0o644)
	return a
}

// leaf issues NAME.pem and NAME.key; change may be nil.
func (a *certAuthority) leaf(name string, subject pkix.Name, usage x509.ExtKeyUsage, change func(*x509.Certificate)) (cert, key string) {
	a.t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		NotBefore: a.root.NotBefore, NotAfter: a.root.NotAfter,
	}
	if change != nil {
		change(c)
	}
	k := newKey(a.t)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	cert = write(a.t, filepath.Join(a.dir, name+".pem"), pemOf("CERTIFICATE", issue(a.t, c, a.root, k, a.key)), 0o644)
	return cert, write(a.t, filepath.Join(a.dir, name+".key"), pemOf("PRIVATE KEY", der), 0o600)
}

// authority makes a certificate authority, a certificate for 127.0.0.1
// (server.pem and server.key) and one for a client, CN=machine,O=postcote.
func authority(t *testing.T, dir string) (ca, cert, key string) {
	t.Helper()
	a := newAuthority(t, dir)
	a.leaf("server", pkix.Name{CommonName: "slapd"}, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	})
	cert, key = a.leaf("client", pkix.Name{CommonName: "machine", Organization: []string{"postcote"}}, x509.ExtKeyUsageClientAuth, nil)
	return a.file, cert, key
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
