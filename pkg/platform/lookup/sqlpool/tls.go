package sqlpool

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// encryption is how to talk to one host.
type encryption struct {
	config    *tls.Config // nil: in the clear
	plainToo  bool        // in the clear if the server cannot do better
	mustCheck bool        // config proves who the server is
}

// encrypt works out t for a host. The files are read each time, so that new
// ones count for new connections.
func (t TLS) encrypt(a address) (encryption, error) {
	mode := t.Mode
	if mode == tlsAuto || mode == "" {
		mode = tlsVerifyFull
		if a.here() {
			mode = tlsDisable
		}
	}
	if mode == tlsDisable || a.sock != "" {
		return encryption{}, nil
	}
	roots, err := t.roots()
	if err != nil {
		return encryption{}, err
	}
	e := encryption{config: tlsx.Opportunistic(a.host), plainToo: mode == tlsPrefer}
	switch mode {
	case tlsVerifyFull:
		e.config, e.mustCheck = tlsx.Strict(a.host, roots), true
	case tlsVerifyCA:
		e.config.VerifyConnection, e.mustCheck = verifyChain(roots), true
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return encryption{}, fail.Wrap(fail.Unavailable, err, "tls.cert_file")
		}
		e.config.Certificates = []tls.Certificate{pair}
	}
	return e, nil
}

// verifyChain checks who signed the certificate, not whom it names.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if seen := tlsx.Look(s, "", roots); !seen.Verified {
			return fail.Wrap(fail.Unavailable, seen.Why, "certificate of the database server")
		}
		return nil
	}
}

// roots is nil for the system's.
func (t TLS) roots() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "tls.ca_file")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fail.New(fail.Unavailable, "tls.ca_file %s holds no certificate", t.CAFile)
	}
	return roots, nil
}
