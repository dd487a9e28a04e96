package edge

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Gate adds to a gate's configuration who is refused for not existing, and
// which certificates are known.
func (c *Config) Gate(g *gate.Config, kinds lookup.Options) (err error) {
	g.Codes = map[route.Class]int{
		route.Local: c.UnknownLocal, route.Relay: c.UnknownRelay, route.Alias: c.UnknownAlias, route.Mailbox: c.UnknownMailbox,
	}
	g.AcceptUnlisted, g.RejectUnlistedSender, g.AllowRouting = !c.UnlistedRcpts, c.UnlistedSenders, c.Routing
	g.Certs, err = maps.Open("smtpd.relay_clientcerts", c.ClientCerts, kinds)
	return err
}

// Prints are the fingerprints by which a client's certificate may be listed:
// its own, and its public key's. Without a list there are none.
func (c *Config) Prints(state *tls.ConnectionState) []string {
	if len(c.ClientCerts) == 0 || state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	return []string{c.fingerprint(leaf.Raw), c.fingerprint(leaf.RawSubjectPublicKeyInfo)}
}

// fingerprint is written as Postfix logs it.
func (c *Config) fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	print := sum[:]
	if c.Digest == "sha512" {
		long := sha512.Sum512(b)
		print = long[:]
	}
	return strings.ReplaceAll(fmt.Sprintf("% X", print), " ", ":")
}
