package edge

import (
	"github.com/postcote/postcote/pkg/daemon/mtad/mechanisms"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Offers reports whether clients may use a mechanism.
func (c *Config) Offers(m dovecotauth.Mechanism, tls bool) bool {
	return mechanisms.Rules{Filter: c.SASLFilter, Options: c.SASLOptions, TLS: c.SASLTLSOptions}.Allow(m, tls)
}
