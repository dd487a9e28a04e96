package tlsx

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config is the `tls` section of a daemon that serves TLS.
type Config struct {
	CertFile   string `yaml:"cert_file" path:"read" example:"/etc/postcote/tls/cert.pem" doc:"PEM file with the certificate and its intermediates; used for clients that name no host or an unknown one. Empty: TLS is not offered."`
	KeyFile    string `yaml:"key_file" path:"read" example:"/etc/postcote/tls/key.pem" doc:"PEM file with the private key, readable through its group (postcote-tls)."`
	MinVersion string `yaml:"min_version" oneof:"1.2|1.3" doc:"Oldest TLS version that is accepted."`
	SNI        []Pair `yaml:"sni" doc:"Further certificates; each is used for the names it holds."`

	ClientCAFile      string `yaml:"client_ca_file" path:"read" example:"/etc/postcote/tls/client-ca.pem" doc:"PEM file with the authorities that a client's certificate must lead to. Where clients can log in, they are then asked for one; who has it may log in with EXTERNAL, the others as before. It may be a folder of such files, which are read again when one comes or goes. Revocation lists are not looked at. Empty: no certificate is asked for."`
	CertUsernameField string `yaml:"cert_username_field" oneof:"commonName|emailAddress" doc:"Where a client's certificate names the user: in its subject's commonName, or in its email address (of the alternative names, or else of the subject). A certificate with none, or with several, names nobody."`

	Poll conf.Duration `yaml:"poll" doc:"How often the files are looked at; changed ones are taken over without a restart."`
}

// Pair is a certificate and its key.
type Pair struct {
	CertFile string `yaml:"cert_file" path:"read" doc:"PEM file with the certificate and its intermediates."`
	KeyFile  string `yaml:"key_file" path:"read" doc:"PEM file with the private key."`
}

// DefaultConfig has no certificate.
func DefaultConfig() Config {
	return Config{MinVersion: "1.2", CertUsernameField: FieldCommonName, Poll: conf.Duration(10 * time.Second)}
}

// Enabled reports whether a certificate is configured.
func (c Config) Enabled() bool { return c.CertFile != "" || c.KeyFile != "" }

func (c Config) pairs() []Pair {
	return append([]Pair{{c.CertFile, c.KeyFile}}, c.SNI...)
}

// Validate reports halves of pairs.
func (c Config) Validate(p *conf.Reporter) {
	if (c.CertFile == "") != (c.KeyFile == "") {
		p.At("cert_file").Errorf("cert_file and key_file belong together, one is missing")
	}
	if len(c.SNI) > 0 && !c.Enabled() {
		p.At("sni").Errorf("sni needs a default pair, cert_file and key_file")
	}
	if c.ClientCAFile != "" && !c.Enabled() {
		p.At("client_ca_file").Errorf("client_ca_file needs a certificate of our own, cert_file and key_file")
	}
}

// Validate reports halves of pairs.
func (c Pair) Validate(p *conf.Reporter) {
	if c.CertFile == "" || c.KeyFile == "" {
		p.At("cert_file").Errorf("cert_file and key_file belong together, one is missing")
	}
}

func minVersion(s string) uint16 {
	if s == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// Examine loads each pair whose files can be read. An error is a pair that no
// connection could be served with; notes are about certificates that clients
// will not accept: those that have expired, will soon or are not valid yet, and
// a default one that is not for host.
func (c Config) Examine(host string, now time.Time) (notes []string, err error) {
	if !c.Enabled() {
		return nil, nil
	}
	var errs []error
	for i, p := range c.pairs() {
		key := "tls"
		if i > 0 {
			key = fmt.Sprintf("tls.sni[%d]", i-1)
		}
		pair, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
			continue // told where paths are tried
		case err != nil:
			errs = append(errs, fail.New(fail.Invalid, "%s: %s and %s: %v", key, p.CertFile, p.KeyFile, err))
			continue
		}
		switch leaf := pair.Leaf; {
		case now.After(leaf.NotAfter):
			notes = append(notes, fmt.Sprintf("%s.cert_file: %s has expired on %s; renew it", key, p.CertFile, leaf.NotAfter.Format(time.DateOnly)))
		case now.Add(soon).After(leaf.NotAfter):
			notes = append(notes, fmt.Sprintf("%s.cert_file: %s expires on %s; see that it is renewed", key, p.CertFile, leaf.NotAfter.Format(time.DateOnly)))
		case now.Before(leaf.NotBefore):
			notes = append(notes, fmt.Sprintf("%s.cert_file: %s is valid from %s on", key, p.CertFile, leaf.NotBefore.Format(time.DateOnly)))
		case i == 0 && leaf.VerifyHostname(host) != nil:
			notes = append(notes, fmt.Sprintf("%s.cert_file: %s is not for %s; clients that check names will refuse it", key, p.CertFile, host))
		}
	}
	return notes, errors.Join(errs...)
}

// soon is when somebody should look after a certificate; those of ninety days
// are renewed thirty days before.
const soon = 14 * 24 * time.Hour
