package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

func TestValidate(t *testing.T) {
	for _, k := range []struct{ yaml, want string }{
		{"{discard_ehlo_keywords: [Chunking, silent-discard]}", ""},
		{"{discard_ehlo_keywords: [size, helo]}", `"helo" is not an EHLO keyword`},
		{"{discard_ehlo_keywords_for: [{networks: [192.0.2.0/24], keywords: []}]}", ""},
		{"{discard_ehlo_keywords_for: [{keywords: [size]}]}", "about nobody"},
		{"{discard_ehlo_keywords_for: [{networks: [192.0.2.0/24], keywords: [sise]}]}", `"sise" is not an EHLO keyword`},
		{"{sasl_security_options: [noanonymous, noplaintex]}", `"noplaintex" is not a security option`},
		{"{sasl_service: 'a b'}", "is not one word"},
		{"{forbidden_commands: [rcpt]}", "no mail could be sent without RCPT"},
		{"{forbidden_commands: ['GET /']}", "not one word"},
		{"{authorized_xclient_hosts: [localhost]}", "localhost"},
	} {
		c := DefaultConfig()
		err := conf.Parse("t", []byte(k.yaml), &c)
		if err != nil && k.want == "" || k.want != "" && (err == nil || !strings.Contains(err.Error(), k.want)) {
			t.Errorf("%s: %v, want %q", k.yaml, err, k.want)
		}
	}
}

func TestApply(t *testing.T) {
	c := DefaultConfig()
	if err := conf.Parse("t", []byte(`{discard_ehlo_keywords: [chunking], discard_ehlo_keywords_for: [{networks: [192.0.2.0/24], keywords: [dsn]}, {networks: [192.0.2.7], keywords: [size]}],
forbid_bare_newline: reject, forbid_bare_newline_exclusions: ["2001:db8::/32"], authorized_xclient_hosts: [192.0.2.7], authorized_xforward_hosts: [127.0.0.0/8],
sasl_exceptions_networks: [198.51.100.0/24], broken_sasl_auth_clients: true}`), &c); err != nil {
		t.Fatal(err)
	}
	base := server.Words{Size: true, DSN: true, Chunking: true, VRFY: true}
	for _, k := range []struct {
		ip                string
		xclient, xforward bool
		lf                wire.BareLF
		size, dsn, chunk  bool
	}{
		{ip: "198.51.100.1", lf: wire.RejectBareLF, size: true, dsn: true},
		{ip: "192.0.2.7", xclient: true, lf: wire.RejectBareLF, size: true, chunk: true},
		{ip: "::ffff:192.0.2.7", xclient: true, lf: wire.RejectBareLF, size: true, chunk: true},
		{ip: "127.8.8.8", xforward: true, lf: wire.RejectBareLF, size: true, dsn: true},
		{ip: "2001:db8::1%eth0", lf: wire.NormalizeBareLF, size: true, dsn: true},
	} {
		var p server.Policy
		c.Apply(&p, base, netip.MustParseAddr(k.ip))
		want := server.Policy{
			XClient: k.xclient, XForward: k.xforward, BareLF: k.lf, StrictSync: true,
			Words: server.Words{Size: k.size, DSN: k.dsn, Chunking: k.chunk, OldAuth: true, HideAuth: k.ip == "198.51.100.1"},
		}
		if p != want {
			t.Errorf("%s:\n%+v\nwant\n%+v", k.ip, p, want)
		}
	}
	var p server.Policy
	if c.Apply(&p, base, netip.Addr{}); p.XClient || p.XForward || p.BareLF != wire.RejectBareLF {
		t.Errorf("a client whose address nobody knows: %+v", p)
	}
}

func TestFlushes(t *testing.T) {
	relay := []string{"relay.example", ".below.example"}
	for _, k := range []struct {
		own    []string
		domain string
		want   bool
	}{
		{nil, "relay.example", true},
		{nil, "x.relay.example", false},
		{nil, "x.below.example", true},
		{nil, "below.example", false},
		{[]string{"Own.example"}, "own.example", true},
		{[]string{"own.example"}, "relay.example", false},
	} {
		c := Config{FastFlush: k.own}
		if got := c.Flushes(k.domain, relay); got != k.want {
			t.Errorf("%v %s: %v", k.own, k.domain, got)
		}
	}
}

// knock sends text through a proxy's connection from 127.0.0.1.
func knock(t *testing.T, d *Doorman, text string, hangUp bool) (remote, local net.Addr, err error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(peer, text); err != nil {
		t.Fatal(err)
	}
	if hangUp {
		_ = peer.Close()
	}
	return d.Addresses(context.Background(), conn)
}

func TestDoorman(t *testing.T) {
	c := DefaultConfig()
	c.HAProxyNetworks = []conf.Network{conf.MustNetwork("127.0.0.0/8")}
	var d Doorman
	d.Use(&c)
	if remote, local, err := knock(t, &d, "PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n", false); err != nil || remote.String() != "[2001:db8::1]:4711" || local.String() != "[2001:db8::2]:25" {
		t.Errorf("%v %v %v", remote, local, err)
	}
	if remote, _, err := knock(t, &d, "PROXY UNKNOWN\r\n", false); err != nil || !strings.HasPrefix(remote.String(), "127.0.0.1:") {
		t.Errorf("a proxy that speaks for itself: %v %v", remote, err)
	}
	c.HAProxyTimeout = conf.Duration(50 * time.Millisecond)
	for what, text := range map[string]string{"silence": "", "half": "PROXY TCP4 ", "none": "EHLO client.example\r\n"} {
		for _, hangUp := range []bool{false, true} {
			if _, _, err := knock(t, &d, text, hangUp); fail.KindOf(err) != fail.Invalid {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	c.HAProxyNetworks = []conf.Network{conf.MustNetwork("192.0.2.0/24")}
	if _, _, err := knock(t, &d, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", false); fail.KindOf(err) != fail.Denied {
		t.Errorf("a stranger: %v", err)
	}
}

func TestDoormanCounts(t *testing.T) {
	var d Doorman
	at := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	exempt := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	first := d.Admit(at("[2001:db8::1]:1"), 1, exempt)
	if first == nil || d.Admit(at("[2001:db8::2]:1"), 1, exempt) != nil {
		t.Error("two clients of one network where one is allowed")
	}
	first()
	if d.Admit(at("[2001:db8::2]:1"), 1, exempt) == nil {
		t.Error("who has left is counted")
	}
	for range 3 {
		if d.Admit(at("192.0.2.1:1"), 1, exempt) == nil || d.Admit(at("198.51.100.1:1"), 0, exempt) == nil {
			t.Error("limits that are none")
		}
	}
}

func TestOffers(t *testing.T) {
	plain := dovecotauth.Mechanism{Name: "PLAIN", Plaintext: true}
	scram := dovecotauth.Mechanism{Name: "SCRAM-SHA-256", Active: true, MutualAuth: true}
	anonymous := dovecotauth.Mechanism{Name: "ANONYMOUS", Anonymous: true}
	for _, k := range []struct {
		yaml string
		mech dovecotauth.Mechanism
		want string // without and with TLS
	}{
		{"{}", plain, "yes yes"},
		{"{}", anonymous, "no no"},
		{"{sasl_security_options: [], sasl_tls_security_options: []}", anonymous, "no no"},
		{"{sasl_security_options: [noplaintext, noanonymous]}", plain, "no yes"},
		{"{sasl_security_options: [noplaintext, noanonymous]}", scram, "yes yes"},
		{"{sasl_security_options: [noactive]}", scram, "no yes"},
		{"{sasl_tls_security_options: [mutual_auth]}", plain, "yes no"},
		{"{sasl_tls_security_options: [mutual_auth]}", scram, "yes yes"},
		{"{sasl_tls_security_options: [forward_secrecy]}", scram, "yes no"},
		{"{sasl_mechanism_filter: [plain]}", plain, "yes yes"},
		{"{sasl_mechanism_filter: [plain]}", scram, "no no"},
		{"{sasl_mechanism_filter: ['!PLAIN', 'static:rest']}", plain, "no no"},
		{"{sasl_mechanism_filter: ['!PLAIN', 'static:rest']}", scram, "yes yes"},
		{"{sasl_mechanism_filter: ['!login']}", plain, "no no"},
	} {
		c := DefaultConfig()
		if err := conf.Parse("t", []byte(k.yaml), &c); err != nil {
			t.Fatal(err)
		}
		word := map[bool]string{true: "yes", false: "no"}
		if got := word[c.Offers(k.mech, false)] + " " + word[c.Offers(k.mech, true)]; got != k.want {
			t.Errorf("%s %s: %s, want %s", k.yaml, k.mech.Name, got, k.want)
		}
	}
}

func TestFooter(t *testing.T) {
	at := time.Date(2026, 3, 5, 7, 8, 9, 0, time.UTC)
	refusal := server.MakeReply(550, 5, 1, 1, "<x@y>: unknown")
	for _, k := range []struct {
		yaml, client, want string
	}{
		{"{}", "192.0.2.1:99", "<x@y>: unknown"},
		{"{reject_footer: 'Call 1.'}", "192.0.2.1:99", "<x@y>: unknown\nCall 1."},
		{`{reject_footer: '\c. Call 1.\nOr 2.'}`, "192.0.2.1:99", "<x@y>: unknown. Call 1.\nOr 2."},
		{"{reject_footer: '$localtime ${client_address} $client_port $server_name $sender'}", "[::ffff:192.0.2.1]:99", "<x@y>: unknown\nMar  5 07:08:09 192.0.2.1 99 mx.example $sender"},
		{"{reject_footer: '$client_address'}", "", "<x@y>: unknown\nunknown"},
		{"{reject_footer: usual, reject_footer_maps: ['pcre:{ {/^550 5.1.1 <x@y>: unknown$/ own} }']}", "192.0.2.1:99", "<x@y>: unknown\nown"},
		{"{reject_footer: usual, reject_footer_maps: ['pcre:{ {/^x/ own} }']}", "192.0.2.1:99", "<x@y>: unknown\nusual"},
		{"{reject_footer_maps: ['pcre:{ {/^x/ own} }']}", "192.0.2.1:99", "<x@y>: unknown"},
		{"{reject_footer: usual, reject_footer_maps: ['fail:x']}", "192.0.2.1:99", "<x@y>: unknown\nusual"},
	} {
		c := DefaultConfig()
		if err := conf.Parse("t", []byte(k.yaml), &c); err != nil {
			t.Fatal(err)
		}
		f, err := c.NewFooter("mx.example", lookup.Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := refusal
		if f != nil {
			client, _ := netip.ParseAddrPort(k.client)
			got = f.Add(refusal, client, at)
		}
		if got.Text != k.want || got.Code != 550 || got.Enhanced != refusal.Enhanced {
			t.Errorf("%s: %q, want %q", k.yaml, got.Text, k.want)
		}
	}
}

func TestTell(t *testing.T) {
	named := func(subject, issuer string) []*x509.Certificate {
		return []*x509.Certificate{{Subject: pkix.Name{CommonName: subject}, Issuer: pkix.Name{CommonName: issuer}}}
	}
	state := tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, CurveID: tls.X25519}
	const using = "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)"
	for _, k := range []struct {
		what   string
		certs  []*x509.Certificate
		valid  bool
		asked  bool
		config Config
		want   header.Trace
		trust  string
	}{
		{"nothing", nil, false, false, Config{}, header.Trace{}, "Anonymous"},
		{"login", nil, false, false, Config{SASLHeader: true}, header.Trace{User: "joe"}, "Anonymous"},
		{"not asked", nil, false, false, Config{TLSHeader: true}, header.Trace{TLS: using, Kex: "X25519", Cert: "No client certificate requested"}, "Anonymous"},
		{"asked", nil, false, true, Config{TLSHeader: true}, header.Trace{TLS: using, Kex: "X25519", Cert: "Client did not present a certificate"}, "Anonymous"},
		{"ours", named("joe", "our CA"), true, true, Config{TLSHeader: true}, header.Trace{TLS: using, Kex: "X25519", Cert: `Client CN "joe", Issuer "our CA" (verified OK)`}, "Trusted"},
		{"foreign", named("jo)e\r\n\"", "C A"), false, true, Config{TLSHeader: true}, header.Trace{TLS: using, Kex: "X25519", Cert: `Client CN "jo?e???", Issuer "C A" (not verified)`}, "Untrusted"},
	} {
		own := state
		own.PeerCertificates = k.certs
		conn := &server.Conn{TLS: &own, ClientCert: k.valid, User: "joe"}
		var got header.Trace
		if k.config.Tell(&got, conn, k.asked); got != k.want || Trust(conn) != k.trust {
			t.Errorf("%s: %+v, %s", k.what, got, Trust(conn))
		}
	}
}

func TestFingerprints(t *testing.T) {
	c := DefaultConfig()
	short := c.fingerprint([]byte("certificate"))
	c.Digest = "sha512"
	if long := c.fingerprint([]byte("certificate")); len(short) != 32*3-1 || len(long) != 64*3-1 {
		t.Errorf("%s and %s", short, long)
	}
}
