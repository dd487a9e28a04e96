package mtad

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/daemon/mtad/tablecmd"
	"github.com/postcote/postcote/pkg/daemon/mtad/tables"
	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
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
	at := map[string]int{}
	for i, l := range c.Listeners {
		c.validateListener(p.At("listeners[%d]", i), l)
		if strings.HasSuffix(l.Listen.Address, ":0") || l.Listen.Address == "" {
			continue // any port; or an address that is missing, which was told
		}
		if first, again := at[l.Listen.Address]; again {
			p.At("listeners[%d].listen", i).Errorf("%s is listened on by listeners[%d] already", l.Listen.Address, first)
			continue
		}
		at[l.Listen.Address] = i
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
	fine := true
	for i, d := range c.Domains.Mailbox {
		fine = reportRoute(p.At("domains.mailbox[%d]", i), route.Config{Mailboxes: []string{d}}) && fine
	}
	for i, table := range c.Domains.Tables {
		if _, err := lookup.Open(table, c.tables()); err != nil {
			p.At("domains.tables[%d]", i).Errorf("%v", err)
		}
	}
	for i, d := range c.Domains.Relay {
		fine = reportRoute(p.At("domains.relay[%d]", i), route.Config{RelayTo: []string{d}}) && fine
	}
	reportRoute(p.At("relayhost"), route.Config{RelayHost: c.RelayHost})
	reportRoute(p.At("postmaster"), route.Config{Postmaster: c.Postmaster})
	for i, d := range c.Domains.Local {
		fine = reportRoute(p.At("domains.local[%d]", i), route.Config{Locals: []string{d}}) && fine
	}
	for i, d := range c.Domains.Alias {
		fine = reportRoute(p.At("domains.alias[%d]", i), route.Config{Aliases: []string{d}}) && fine
	}
	if fine { // each for itself; now all of them
		reportRoute(p.At("domains"), route.Config{Mailboxes: c.Domains.Mailbox, RelayTo: c.Domains.Relay, Locals: c.Domains.Local, Aliases: c.Domains.Alias})
	}
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

// reportRoute reports whether a part of the table is fine.
func reportRoute(p *conf.Reporter, c route.Config) bool {
	_, err := route.New(c)
	if err != nil {
		p.Errorf("%v", err)
	}
	return err == nil
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

// advise tells of settings that can be meant, but seldom are; an error is what
// the daemon could not start with.
func advise(cfg any) ([]string, error) {
	c, ok := cfg.(*Config)
	if !ok {
		return nil, nil
	}
	notes, err := c.TLS.Examine(c.hostname(), time.Now())
	names, _ := c.tableNames() // what is wrong with names is told elsewhere
	notes = append(notes, tables.Exposed(tablePaths(cfg))...)
	notes = append(notes, tablecmd.Problems(names)...)
	levels := tlspolicy.Defaults{Verify: c.Remote.TLSVerifyMatch, Secure: c.Remote.TLSSecureMatch}
	notes = append(notes, tablecmd.Remarks(c.Remote.TLSPolicies, levels.Remarks)...)
	note := func(wrong bool, format string, args ...any) {
		if wrong {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	for i, l := range c.Listeners {
		c.adviseListener(i, l, note)
	}
	for i, n := range c.Trusted {
		p := n.Prefix()
		note(p.Bits() < 8, "trusted_networks[%d]: %s: all these strangers may send to anywhere through this host, which makes it an open relay; name your own networks", i, p)
	}
	note(len(c.Domains.Relay)+len(c.Domains.RelayTables) > 0 && len(c.RelayRecipientMaps) == 0,
		"domains.relay: mail for every address there is taken, and what the next host refuses goes back to senders who may be forged; list the addresses in relay_recipient_maps")
	note(len(c.PasswordMaps) > 0 && c.Remote.TLS == "none", "password_maps: passwords are never sent without TLS; write may or encrypt for remote.tls")
	q := &c.Queue
	note(q.MinBackoff > q.MaxBackoff, "queue.min_backoff: %s is above max_backoff, %s", q.MinBackoff, q.MaxBackoff)
	note(q.DelayWarning > 0 && q.DelayWarning >= q.Lifetime, "queue.delay_warning: %s is not before the end of the lifetime, %s; nobody will be warned", q.DelayWarning, q.Lifetime)
	note(public(c.Metrics.Listen.TCP()), "metrics.listen: everybody who reaches %s can read it; write an address of this host's own, such as 127.0.0.1:9150", c.Metrics.Listen.TCP())
	for key, hop := range c.nextHops() {
		note(c.leadsHome(hop), "%s: %s is this host itself; mail would go round until it is refused for its many hops", key, hop)
	}
	slices.Sort(notes)
	return notes, err
}

func (c *Config) adviseListener(i int, l Listener, note func(wrong bool, format string, args ...any)) {
	none := len(c.Domains.Mailbox)+len(c.Domains.Tables)+len(c.Domains.Local)+len(c.Domains.LocalTables)+
		len(c.Domains.Alias)+len(c.Domains.AliasTables)+len(c.Domains.Relay)+len(c.Domains.RelayTables) == 0
	note(l.Role == RoleMX && none, "listeners[%d]: strangers can send to nobody here, since domains is empty", i)
	note(l.TLS == TLSStart && !c.TLS.Enabled(), "listeners[%d].tls: TLS is not offered without tls.cert_file", i)
	note(l.Auth == AuthClear && public(l.Listen.TCP()), "listeners[%d].auth: passwords may cross the network in the clear; write tls", i)
	note(l.Owner != "none" && len(c.Rewrite.SenderLoginMaps) == 0, "listeners[%d].sender_login: nobody owns an address without rewrite.sender_login_maps", i)
}

// public reports whether an address to listen on can be reached by others.
func public(address string) bool {
	if address == "" {
		return false
	}
	at, err := netip.ParseAddrPort(address)
	return err != nil || !at.Addr().IsLoopback()
}

// nextHops are the hosts that the configuration names, by key.
func (c *Config) nextHops() map[string]string {
	hops := map[string]string{"relayhost": "smtp:" + c.RelayHost}
	for i, f := range c.FallbackRelay {
		hops[fmt.Sprintf("fallback_relay[%d]", i)] = "smtp:" + f
	}
	for match, hop := range c.Routes {
		hops["routes["+match+"]"] = hop
	}
	return hops
}

// leadsHome reports whether a hop is one of our own listeners for strangers.
func (c *Config) leadsHome(hop string) bool {
	h, err := route.ParseHop(hop)
	if err != nil || h.Transport != route.SMTP || h.Host == "" {
		return false
	}
	port := cmp.Or(h.Port, 25)
	ip, err := netip.ParseAddr(h.Host)
	named := err != nil && strings.EqualFold(h.Host, c.hostname())
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool {
		host, p, err := net.SplitHostPort(l.Listen.TCP())
		if err != nil || p != strconv.Itoa(int(port)) {
			return named && l.Listen.Systemd() != "" && port == 25
		}
		at, _ := netip.ParseAddr(host)
		return named || ip.IsValid() && (ip == at || ip.IsLoopback() && (host == "" || at.IsUnspecified()))
	})
}
