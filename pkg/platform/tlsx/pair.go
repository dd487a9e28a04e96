package tlsx

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// pair is one certificate with what its files looked like when it was read.
type pair struct {
	Pair
	cert *tls.Certificate // the last usable one

	good [2]stamp // the files behind cert
	bad  [2]stamp // files that were tried in vain
	said bool     // and reported
}

// stamp tells one state of a file from another.
type stamp struct {
	exists bool
	id     os.FileInfo
	mtime  time.Time
	size   int64
}

func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}
	}
	return stamp{exists: true, id: info, mtime: info.ModTime(), size: info.Size()}
}

func (s stamp) same(o stamp) bool {
	if s.exists != o.exists || !s.exists {
		return s.exists == o.exists
	}
	return os.SameFile(s.id, o.id) && s.mtime.Equal(o.mtime) && s.size == o.size
}

func same(a, b [2]stamp) bool { return a[0].same(b[0]) && a[1].same(b[1]) }

// refresh reads the files if they changed. fresh means that cert is a new one.
// An error is returned at the first read, and later once per state of the
// files, when they were found in it twice.
func (p *pair) refresh() (fresh bool, err error) {
	now := [2]stamp{stampOf(p.CertFile), stampOf(p.KeyFile)}
	if p.cert != nil && same(now, p.good) {
		p.said = false
		return false, nil
	}
	again := same(now, p.bad)
	if again && p.said {
		return false, nil
	}
	cert, err := load(p.Pair)
	if err == nil {
		p.cert, p.good, p.said, p.bad = cert, now, false, [2]stamp{}
		return true, nil
	}
	first := p.cert == nil
	p.bad, p.said = now, again
	if first || again {
		return false, err
	}
	return false, nil
}

func load(p Pair) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
	if err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "certificate %s with key %s", p.CertFile, p.KeyFile)
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "certificate %s", p.CertFile)
		}
	}
	return &cert, nil
}

// Notes are what an operator should know of the certificates of c before they
// are used: those that cost much more time than they need. Files that cannot
// be read have none; NewKeeper says what is wrong with them.
func (c Config) Notes() []string {
	var notes []string
	for _, p := range c.pairs() {
		cert, err := load(p)
		if err != nil {
			continue
		}
		key, ok := cert.PrivateKey.(*rsa.PrivateKey)
		if !ok {
			continue
		}
		notes = append(notes, fmt.Sprintf("%s: an RSA key of %d bits; Go signs with it about five times slower than OpenSSL does, and thirty times slower than with "+
			"a key of ECDSA P-256 (each full TLS handshake is one signature): ask your authority for an ECDSA certificate", p.CertFile, key.N.BitLen()))
	}
	return notes
}
