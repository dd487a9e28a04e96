package mtad

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	if c.Hostname != "" {
		if _, err := addr.Domain(c.Hostname); err != nil || !strings.Contains(c.Hostname, ".") {
			p.At("hostname").Hint("write a name such as mail.example.org").Errorf("%q is not a full host name", c.Hostname)
		}
	}
	for i, l := range c.Listeners {
		c.validateListener(p.At("listeners[%d]", i), l)
	}
	c.validateRouting(p)
	c.Verify.Check(p.At("address_verify"))
	if c.Verify.Overrides.Any() {
		if _, err := c.Verify.Apply(c.Config).Table(c.Domains, c.routingHost(nil)); err != nil {
			p.At("address_verify").Errorf("%v", err)
		}
	}
	for _, s := range []struct{ key, path string }{{"auth_socket", c.AuthSocket}, {"exists_socket", c.ExistsSocket}} {
		if path := strings.TrimPrefix(s.path, "unix:"); path != "" && !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "inet:") {
			p.At(s.key).Hint("write the absolute path of a socket, or inet:host:port").Errorf("%q is not a socket", s.path)
		}
	}
	c.Remote.Check(p.At("remote"))
	routing.CheckFlags(p.At("deliver.flags"), c.Deliver.Flags)
	if (c.Remote.TLSCertFile == "") != (c.Remote.TLSKeyFile == "") {
		p.At("remote.tls_cert_file").Errorf("tls_cert_file and tls_key_file belong together, one is missing")
	}
	routing.CheckSource(p.At("remote.source"), c.Remote.Source)
	routing.CheckWords(p.At("remote.discard_ehlo_keywords"), c.Remote.DiscardWords)
	if _, err := c.Remote.services(); err != nil {
		p.Errorf("%v", err)
	}
	if _, _, err := c.Remote.versions(); err != nil {
		p.At("remote").Errorf("%v", err)
	}
	if _, err := c.Bounce.templates(c); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		p.At("bounce.template_file").Errorf("%v", err)
	}
	if c.Queue.Dir == "" {
		p.At("queue.dir").Errorf("mtad cannot run without a queue directory")
	}
	if c.Limits.SoftErrors > c.Limits.HardErrors {
		p.At("limits.soft_errors").Errorf("%d is above hard_errors, %d", c.Limits.SoftErrors, c.Limits.HardErrors)
	}
	if c.Remote.RelayCredentials != "" && c.RelayHost == "" {
		p.At("remote.relayhost_credentials_file").Errorf("there is no relayhost to log in at")
	}
	if c.Remote.RelayCredentials != "" && c.Remote.TLS == "none" {
		p.At("remote.tls").Hint("write may or encrypt").Errorf("credentials are never sent in the clear")
	}
}

func (c Config) validateListener(p *conf.Reporter, l Listener) {
	switch {
	case l.Listen.Address == "":
		p.At("listen").Errorf("the address is missing")
	case l.Listen.Unix() != "":
		p.At("listen").Hint("use submit.listen").Errorf("a listener needs a network address")
	}
	if (l.TLS == TLSImplicit || l.TLS == TLSRequired) && !c.TLS.Enabled() {
		p.At("tls").Errorf("%s needs a certificate, see tls.cert_file", l.TLS)
	}
	switch {
	case l.ClientCert == "":
	case l.TLS == TLSNone || !c.TLS.Enabled():
		p.At("client_cert").Errorf("there are no certificates without TLS")
	case l.ClientCert == CertRequired && l.TLS == TLSStart:
		p.At("client_cert").Hint("write tls: required or implicit").Errorf("clients without TLS would get in without a certificate")
	case l.ClientCert == CertRequired && c.TLS.ClientCAFile == "":
		p.At("client_cert").Hint("set tls.client_ca_file").Errorf("no certificate would do without an authority")
	}
	if l.HAProxy && len(c.Smtpd.HAProxyNetworks) == 0 {
		p.At("haproxy").Hint("write the addresses of the proxies into smtpd.haproxy_trusted_networks").Errorf("everybody is turned away while no network is trusted")
	}
	if l.Role == RoleSubmission && l.Auth == AuthNone {
		p.At("auth").Hint("write tls").Errorf("nobody could submit anything here")
	}
	if l.Auth == AuthTLS && l.TLS == TLSNone {
		p.At("auth").Hint("write none or clear").Errorf("logins need TLS, which is off here")
	}
	if l.Auth != AuthNone && c.AuthSocket == "" {
		p.At("auth").Errorf("there is no auth_socket to check logins")
	}
}

// validateRouting builds the table, which finds every mistake in it, key by
// key so that each is reported at its place.
func (c Config) validateRouting(p *conf.Reporter) {
	for i, d := range c.Domains.Mailbox {
		reportRoute(p.At("domains.mailbox[%d]", i), route.Config{Mailboxes: []string{d}})
	}
	for i, table := range c.Domains.Tables {
		if _, err := lookup.Open(table, c.tables()); err != nil {
			p.At("domains.tables[%d]", i).Errorf("%v", err)
		}
	}
	for i, d := range c.Domains.Relay {
		reportRoute(p.At("domains.relay[%d]", i), route.Config{RelayTo: []string{d}})
	}
	reportRoute(p.At("relayhost"), route.Config{RelayHost: c.RelayHost})
	reportRoute(p.At("postmaster"), route.Config{Postmaster: c.Postmaster})
	for i, d := range c.Domains.Local {
		reportRoute(p.At("domains.local[%d]", i), route.Config{Locals: []string{d}})
	}
	for i, d := range c.Domains.Alias {
		reportRoute(p.At("domains.alias[%d]", i), route.Config{Aliases: []string{d}})
	}
	reportRoute(p.At("domains"), route.Config{Mailboxes: c.Domains.Mailbox, RelayTo: c.Domains.Relay, Locals: c.Domains.Local, Aliases: c.Domains.Alias})
	c.Config.Check(p, c.Domains, c.routingHost(nil))
	if name := c.Rewrite.AliasTransport; name != "" && c.Transports[name].Type != routing.KindPipe {
		p.At("rewrite.alias_transport").Errorf("%q is no transport of type pipe", name)
	}
	if routes, err := route.New(route.Config{}); err == nil {
		c.Rewrite.Check(p.At("rewrite"), c.rewritingHost(routes, time.Now))
	}
	if _, err := route.ParseHop("lmtp:" + c.Deliver.LMTP); err != nil {
		p.At("deliver.lmtp").Hint("write unix:/path or host:port").Errorf("%q is not a delivery agent", c.Deliver.LMTP)
	}
}

func reportRoute(p *conf.Reporter, c route.Config) {
	if _, err := route.New(c); err != nil {
		p.Errorf("%v", err)
	}
}

// hostname is the configured name, or the system's; a system name without a
// domain gets one that can be told from a real one, as Postfix does.
func (c Config) hostname() string {
	if c.Hostname != "" {
		return strings.ToLower(c.Hostname)
	}
	system, _ := os.Hostname()
	name, err := addr.Domain(system)
	if err != nil {
		name = "localhost"
	}
	if !strings.Contains(name, ".") {
		name += ".localdomain"
	}
	return name
}
