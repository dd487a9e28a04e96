package edge

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
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
forbid_bare_newline: reject, forbid_bare_newline_exclusions: ["2001:db8::/32"], authorized_xclient_hosts: [192.0.2.7], authorized_xforward_hosts: [127.0.0.0/8]}`), &c); err != nil {
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
			Words: server.Words{Size: k.size, DSN: k.dsn, Chunking: k.chunk},
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

// header sends text through a proxy's connection from 127.0.0.1.
func header(t *testing.T, d *Doorman, text string, hangUp bool) (remote, local net.Addr, err error) {
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
	c.HAProxyTimeout = conf.Duration(50 * time.Millisecond)
	var d Doorman
	d.Use(&c)
	if remote, local, err := header(t, &d, "PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n", false); err != nil || remote.String() != "[2001:db8::1]:4711" || local.String() != "[2001:db8::2]:25" {
		t.Errorf("%v %v %v", remote, local, err)
	}
	if remote, _, err := header(t, &d, "PROXY UNKNOWN\r\n", false); err != nil || !strings.HasPrefix(remote.String(), "127.0.0.1:") {
		t.Errorf("a proxy that speaks for itself: %v %v", remote, err)
	}
	for what, text := range map[string]string{"silence": "", "half": "PROXY TCP4 ", "none": "EHLO client.example\r\n"} {
		for _, hangUp := range []bool{false, true} {
			if _, _, err := header(t, &d, text, hangUp); fail.KindOf(err) != fail.Invalid {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	c.HAProxyNetworks = []conf.Network{conf.MustNetwork("192.0.2.0/24")}
	if _, _, err := header(t, &d, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", false); fail.KindOf(err) != fail.Denied {
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
