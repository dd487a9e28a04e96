package tlspolicy

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Peer is who should be at the other end.
type Peer struct {
	Host    string // the host's name, from an MX record or as configured; "" for an address
	NextHop string // the domain the mail is for, or the relay host, without brackets and port
}

// Judge checks the certificates of a connection against p. roots are the trust
// anchors, nil for the system's, where p names no file. Errors: fail.Denied with
// Postfix's words, fail.Unavailable when the anchors cannot be read.
func (p *Policy) Judge(state tls.ConnectionState, peer Peer, roots *x509.CertPool, now time.Time) error {
	if !p.Level.Authentic() {
		return nil
	}
	certs := state.PeerCertificates
	if len(certs) == 0 {
		return fail.New(fail.Denied, "Server certificate not trusted: there is none")
	}
	if p.Level == Fingerprint {
		if p.printed(certs[0]) {
			return nil
		}
		return fail.New(fail.Denied, "Server certificate not verified: its fingerprint is none of those listed")
	}
	if p.CAFile != "" {
		var err error
		if roots, err = Anchors(p.CAFile); err != nil {
			return err
		}
	}
	if err := chained(certs, roots, now); err != nil {
		return fail.New(fail.Denied, "Server certificate not trusted: %v", err)
	}
	for _, want := range p.names(peer) {
		if named(certs[0], want) {
			return nil
		}
	}
	return fail.New(fail.Denied, "Server certificate not verified: it has no name of %s", strings.Join(p.names(peer), ", "))
}

// Trust is Postfix's word for the certificate of a connection that p has let
// pass: Verified when p demanded a certificate of its own, else Trusted when it
// leads to roots, and Untrusted.
func (p *Policy) Trust(state tls.ConnectionState, roots *x509.CertPool, now time.Time) string {
	if p.Level.Authentic() {
		return "Verified"
	}
	if len(state.PeerCertificates) == 0 || chained(state.PeerCertificates, roots, now) != nil {
		return "Untrusted"
	}
	return "Trusted"
}

// chained checks that certificates lead to roots.
func chained(certs []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := certs[0].Verify(opts)
	return err
}

// names are those of which one will do.
func (p *Policy) names(peer Peer) []string {
	var out []string
	for _, m := range p.Match {
		switch m {
		case "hostname":
			m = peer.Host
		case "nexthop":
			m = peer.NextHop
		case "dot-nexthop":
			m = "." + peer.NextHop
		}
		if m = strings.ToLower(strings.TrimSuffix(m, ".")); m != "" {
			out = append(out, m)
		}
	}
	return out
}

// named reports whether a certificate is made out to a name. A name that
// begins with a dot stands for all below it, and so a wildcard of the
// certificate below it, or right under it, is made out to it.
func named(cert *x509.Certificate, want string) bool {
	if !strings.HasPrefix(want, ".") {
		return cert.VerifyHostname(want) == nil
	}
	for _, name := range cert.DNSNames {
		if name = strings.ToLower(name); strings.HasSuffix(name, want) && len(name) > len(want) {
			return true
		}
	}
	return false
}

// printed reports whether the certificate or its public key is listed.
func (p *Policy) printed(cert *x509.Certificate) bool {
	ok := false
	for _, data := range [][]byte{cert.Raw, cert.RawSubjectPublicKeyInfo} {
		short, long := sha256.Sum256(data), sha512.Sum512(data)
		for _, want := range p.Prints {
			if subtle.ConstantTimeCompare(want, short[:]) == 1 || subtle.ConstantTimeCompare(want, long[:]) == 1 {
				ok = true
			}
		}
	}
	return ok
}

// Limits on trust anchors: octets of a file, files of a folder.
const (
	maxAnchors = 1 << 20
	maxFiles   = 5000
)

// Authorities reads trust anchors from a file, or from all files of a folder,
// such as /etc/ssl/certs. Files of a folder that hold no certificate are passed
// over. Errors: fail.Unavailable.
func Authorities(path string) (*x509.CertPool, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return Anchors(path)
	}
	pool := x509.NewCertPool()
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "trust anchors")
	}
	if len(entries) > maxFiles {
		return nil, fail.New(fail.Unavailable, "trust anchors %s: more than %d files", path, maxFiles)
	}
	found := false
	for _, e := range entries {
		if pem, err := readAnchors(filepath.Join(path, e.Name())); err == nil && pool.AppendCertsFromPEM(pem) {
			found = true
		}
	}
	if !found {
		return nil, fail.New(fail.Unavailable, "trust anchors %s: there is no certificate in it", path)
	}
	return pool, nil
}

func readAnchors(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxAnchors))
}

// Anchors reads a file of trust anchors. Errors: fail.Unavailable.
func Anchors(file string) (*x509.CertPool, error) {
	pem, err := readAnchors(file)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "trust anchors")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fail.New(fail.Unavailable, "trust anchors %s: there is no certificate in it", file)
	}
	return pool, nil
}
