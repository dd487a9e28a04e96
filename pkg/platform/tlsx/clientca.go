package tlsx

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Values of Config.CertUsernameField.
const (
	FieldCommonName = "commonName"
	FieldEmail      = "emailAddress"
)

// Limits on what a client shows.
const (
	maxClientChain = 10  // certificates, its own included
	maxClientName  = 255 // bytes
)

// clientCA is the file with the authorities of client certificates.
type clientCA struct {
	file string
	pool atomic.Pointer[x509.CertPool] // the last usable ones

	good stamp  // the file behind pool
	bad  *stamp // a file that was tried in vain
	said bool   // and reported
}

// refresh is pair.refresh for one file: an error is returned at the first
// read, and later once per state of the file, when it was found in it twice.
func (c *clientCA) refresh() (fresh bool, err error) {
	now, first := stampOf(c.file), c.pool.Load() == nil
	if !first && now.same(c.good) {
		c.bad, c.said = nil, false
		return false, nil
	}
	again := c.bad != nil && now.same(*c.bad)
	if again && c.said {
		return false, nil
	}
	pool, err := loadAuthorities(c.file)
	if err == nil {
		c.pool.Store(pool)
		c.good, c.bad, c.said = now, nil, false
		return true, nil
	}
	c.bad, c.said = &now, again
	if first || again {
		return false, err
	}
	return false, nil
}

// loadAuthorities takes a file whole or not at all. A revocation list in it,
// as Dovecot's ssl_ca may hold, is an error: it would not be obeyed.
// Of a folder it takes the files that hold certificates.
func loadAuthorities(file string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	info, err := os.Stat(file)
	if err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "client authorities")
	}
	if !info.IsDir() {
		return pool, addAuthorities(pool, file)
	}
	entries, err := os.ReadDir(file)
	if err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "client authorities")
	}
	found := false
	for _, e := range entries {
		found = addAuthorities(pool, filepath.Join(file, e.Name())) == nil || found
	}
	if !found {
		return nil, fail.New(fail.Invalid, "client authorities %s: there is no file of certificates in it", file)
	}
	return pool, nil
}

func addAuthorities(pool *x509.CertPool, file string) error {
	rest, err := os.ReadFile(file)
	if err != nil {
		return fail.Wrap(fail.Invalid, err, "client authorities")
	}
	n, begun := 0, bytes.Count(rest, []byte("-----BEGIN "))
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fail.New(fail.Invalid, "client authorities %s: a block %.40q, only certificates can stand here", file, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fail.Wrap(fail.Invalid, err, "client authorities %s", file)
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 || n != begun { // the decoder skips what it cannot read
		return fail.New(fail.Invalid, "client authorities %s: no certificate, or not a whole one", file)
	}
	return nil
}

// Login is Server for a listener where clients may log in: when there is a
// client_ca_file, they are asked for a certificate. One that shows none, or one
// of a stranger, gets its connection all the same; see Client.
func (k *Keeper) Login() *tls.Config {
	if k.clients == nil {
		return k.Server()
	}
	return k.Asking(false)
}

// Asking is Server for a listener that asks its clients for a certificate. With
// need, one that leads to a client authority must be shown in the handshake;
// while there is no authority, none does.
func (k *Keeper) Asking(need bool) *tls.Config {
	c := k.Server()
	c.ClientAuth = tls.RequestClientCert
	if need {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	}
	if k.clients == nil {
		return c
	}
	// The authorities' names help a program that has several certificates.
	// They may be others by now; the ticket keys stay those of c.
	plain := c.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := plain.Clone()
		now.ClientCAs = k.clients.pool.Load()
		return now, nil
	}
	return c
}

// Client reports whether the peer of a connection that was accepted with Login
// showed a certificate that leads to one of the client authorities, and to whom
// it is made out: empty when the certificate does not say so clearly. A resumed
// session has the certificate of its first handshake, which is judged anew.
func (k *Keeper) Client(state tls.ConnectionState) (valid bool, user string) {
	certs := state.PeerCertificates
	if k.clients == nil || !state.HandshakeComplete || len(certs) == 0 || len(certs) > maxClientChain {
		return false, ""
	}
	opts := x509.VerifyOptions{
		Roots: k.clients.pool.Load(), Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, c := range certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := certs[0].Verify(opts); err != nil {
		return false, ""
	}
	return true, nameIn(certs[0], k.cfg.CertUsernameField)
}

// nameIn returns the one name that a certificate has in a field. Two are
// none, and so is one that no user can have.
func nameIn(cert *x509.Certificate, field string) string {
	var names []string
	if field == FieldEmail {
		names = cert.EmailAddresses
		if len(names) == 0 {
			names = subject(cert, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1})
		}
	} else {
		names = subject(cert, asn1.ObjectIdentifier{2, 5, 4, 3})
	}
	if len(names) != 1 {
		return ""
	}
	name := names[0]
	if len(name) > maxClientName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return name
}

// subject returns the values that a certificate's subject has for a type.
func subject(cert *x509.Certificate, kind asn1.ObjectIdentifier) (values []string) {
	for _, a := range cert.Subject.Names {
		if a.Type.Equal(kind) {
			s, _ := a.Value.(string)
			values = append(values, s)
		}
	}
	return values
}
