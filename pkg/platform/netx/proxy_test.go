package netx

import (
	"encoding/hex"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// sig is the twelve bytes that version 2 begins with.
const sig = "0d0a0d0a000d0a515549540a"

func TestReadProxy(t *testing.T) {
	ap := netip.MustParseAddrPort
	for _, k := range []struct {
		name, in string
		want     ProxyHeader
	}{
		{"v1, IPv4", "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\r\n", ProxyHeader{Source: ap("192.0.2.1:4711"), Dest: ap("198.51.100.7:143")}},
		{"v1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 65535 993\r\n", ProxyHeader{Source: ap("[2001:db8::1]:65535"), Dest: ap("[2001:db8::2]:993")}},
		{"v1, nothing known", "PROXY UNKNOWN\r\n", ProxyHeader{}},
		{"v1, nothing known, addresses all the same", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ProxyHeader{}},
		{"v2, IPv4", unhex(sig + "2111000c c0000201 c6336407 1267 008f"), ProxyHeader{Source: ap("192.0.2.1:4711"), Dest: ap("198.51.100.7:143")}},
		{
			"v2, IPv6", unhex(sig + "21210024 20010db8000000000000000000000001 20010db8000000000000000000000002 1267 03e1"),
			ProxyHeader{Source: ap("[2001:db8::1]:4711"), Dest: ap("[2001:db8::2]:993")},
		},
		{"v2, a check of health", unhex(sig + "20000000"), ProxyHeader{}},
		{"v2, a check of health with addresses", unhex(sig + "2011000c c0000201 c6336407 1267 008f"), ProxyHeader{}},
		{"v2, unknown family", unhex(sig + "21000003 010203"), ProxyHeader{}},
		{
			"v2, TLS at the proxy, name asked for, verified certificate",
			unhex(sig + "21110033 c0000201 c6336407 1267 008f" + // addresses
				"02 0006 612e74657374" + // authority a.test
				"20 0013 03 00000000 22 0005 616c696365 21 0003 312e33" + // SSL: client alice, 1.3
				"99 0005 0000000000"),
			ProxyHeader{Source: ap("192.0.2.1:4711"), Dest: ap("198.51.100.7:143"), TLS: true, ServerName: "a.test", CommonName: "alice"},
		},
		{
			"v2, a certificate that was not verified names nobody",
			unhex(sig + "2111001c c0000201 c6336407 1267 008f 20 000d 03 00000001 22 0005 616c696365"),
			ProxyHeader{Source: ap("192.0.2.1:4711"), Dest: ap("198.51.100.7:143"), TLS: true},
		},
		{"v2, an extension that is cut", unhex(sig + "21110010 c0000201 c6336407 1267 008f 02 0009 61"), ProxyHeader{Source: ap("192.0.2.1:4711"), Dest: ap("198.51.100.7:143")}},
	} {
		t.Run(k.name, func(t *testing.T) {
			r := strings.NewReader(k.in + "a1 NOOP")
			got, err := ReadProxy(r)
			if err != nil || got != k.want {
				t.Fatalf("%+v %v\nwant %+v", got, err, k.want)
			}
			if rest, _ := io.ReadAll(r); string(rest) != "a1 NOOP" {
				t.Errorf("what follows is %q", rest)
			}
		})
	}
}

func TestReadProxyRefuses(t *testing.T) {
	for _, in := range []string{
		"", "PROXY", "a1 LOGIN alice secret\r\n", "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\n",
		"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
		"PROXY UNKNOWN " + strings.Repeat("x", 200) + "\r\n",
		unhex(sig), unhex(sig + "2111000b c0000201 c6336407 1267 00"), unhex(sig + "1111000c c0000201 c6336407 1267 008f"),
		unhex(sig + "2211000c c0000201 c6336407 1267 008f"), unhex(sig + "2111ffff"), unhex(sig + "21210004 00000000"), unhex(sig + "21310004 00000000"),
		unhex(sig + "2111000c c0000201"),
	} {
		if h, err := ReadProxy(strings.NewReader(in)); !fail.Is(err, fail.Invalid) || h != (ProxyHeader{}) {
			t.Errorf("%q: %+v %v", in, h, err)
		}
	}
}

// limits: a PROXY header has an end, whatever comes, and names fit for a log.
func FuzzReadProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\r\nrest"))
	f.Add([]byte(unhex(sig + "2111001c c0000201 c6336407 1267 008f 20 000d 03 00000000 22 0005 616c696365")))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := strings.NewReader(string(in))
		h, err := ReadProxy(r)
		if used := len(in) - r.Len(); used > len(proxyV2)+4+maxProxyV2 {
			t.Fatalf("read %d bytes", used)
		}
		if err != nil && h != (ProxyHeader{}) {
			t.Fatalf("%v, but %+v", err, h)
		}
		if !plainText([]byte(h.ServerName)) || !plainText([]byte(h.CommonName)) || h.Source.IsValid() != h.Dest.IsValid() {
			t.Fatalf("%+v", h)
		}
	})
}
