package tlsx

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Only an RSA key is worth a note.
func TestNotes(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := WriteSelfSigned(at("ec.pem"), at("ec.key"), []string{"a.test"}, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "b.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"rsa.pem": {Type: "CERTIFICATE", Bytes: der}, "rsa.key": {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
	} {
		if err := os.WriteFile(at(name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := Config{CertFile: at("ec.pem"), KeyFile: at("ec.key"), SNI: []Pair{{at("rsa.pem"), at("rsa.key")}, {at("none.pem"), at("none.key")}}}
	if notes := c.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "rsa.pem: an RSA key of 2048 bits") {
		t.Errorf("%q", notes)
	}
	if notes := (Config{}).Notes(); notes != nil {
		t.Errorf("%q without TLS", notes)
	}
}
