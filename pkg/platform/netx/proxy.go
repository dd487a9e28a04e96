package netx

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ProxyHeader is what a proxy says of a connection that it passes on (the
// PROXY protocol of haproxy, versions 1 and 2). It is worth as much as the
// proxy: whoever calls ReadProxy has made sure that the peer is one.
type ProxyHeader struct {
	// Source is the client, Dest what it connected to; the zero values when
	// the proxy speaks for itself, as for a check of health, or does not know.
	Source, Dest netip.AddrPort
	// TLS: the client came with TLS, which the proxy ended; ServerName is the
	// name that it asked for, CommonName of a client certificate that the
	// proxy has verified.
	TLS        bool
	ServerName string
	CommonName string
}

// Bounds of the headers: version 1 says 107, version 2 leaves 65535, of which
// nobody uses more than a few hundred.
const (
	maxProxyV1 = 107
	maxProxyV2 = 4096
)

const proxyV2 = "\r\n\r\n\x00\r\nQUIT\n"

// ReadProxy reads a header from r and not one byte more. The caller sets a
// deadline. Invalid: it is no header.
func ReadProxy(r io.Reader) (ProxyHeader, error) {
	start := make([]byte, len(proxyV2), maxProxyV1)
	if _, err := io.ReadFull(r, start); err != nil {
		return ProxyHeader{}, fail.Wrap(fail.Invalid, err, "PROXY header")
	}
	if string(start) == proxyV2 {
		return readProxyV2(r)
	}
	if !bytes.HasPrefix(start, []byte("PROXY ")) {
		return ProxyHeader{}, fail.New(fail.Invalid, "PROXY header: %q is none", start)
	}
	// Byte by byte, because what follows belongs to somebody else.
	for b := make([]byte, 1); !bytes.HasSuffix(start, []byte("\n")); start = append(start, b[0]) {
		if len(start) == maxProxyV1 {
			return ProxyHeader{}, fail.New(fail.Invalid, "PROXY header: no end of line within %d bytes", maxProxyV1)
		}
		if _, err := io.ReadFull(r, b); err != nil {
			return ProxyHeader{}, fail.Wrap(fail.Invalid, err, "PROXY header")
		}
	}
	line, ok := bytes.CutSuffix(start, []byte("\r\n"))
	if !ok {
		return ProxyHeader{}, fail.New(fail.Invalid, "PROXY header: its line does not end in CRLF")
	}
	return parseProxyV1(string(line))
}

// parseProxyV1 reads "PROXY TCP4 192.0.2.1 192.0.2.2 4711 143".
func parseProxyV1(line string) (h ProxyHeader, err error) {
	f := strings.Split(line, " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return h, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return h, fail.New(fail.Invalid, "PROXY header: %q is not understood", line)
	}
	for i, into := range []*netip.AddrPort{&h.Source, &h.Dest} {
		a, err := netip.ParseAddr(f[2+i])
		port, perr := strconv.ParseUint(f[4+i], 10, 16)
		if err != nil || perr != nil || a.Zone() != "" || a.Is4() != (f[1] == "TCP4") {
			return ProxyHeader{}, fail.New(fail.Invalid, "PROXY header: bad address in %q", line)
		}
		*into = netip.AddrPortFrom(a.Unmap(), uint16(port))
	}
	return h, nil
}

// readProxyV2 reads what follows the signature.
func readProxyV2(r io.Reader) (h ProxyHeader, err error) {
	var fixed [4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return h, fail.Wrap(fail.Invalid, err, "PROXY header")
	}
	size := int(binary.BigEndian.Uint16(fixed[2:]))
	command, family := fixed[0], fixed[1]
	if command>>4 != 2 || command&15 > 1 || size > maxProxyV2 {
		return h, fail.New(fail.Invalid, "PROXY header: version and command 0x%02x with %d bytes", command, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return h, fail.Wrap(fail.Invalid, err, "PROXY header")
	}
	if command&15 == 0 { // LOCAL: the addresses mean nothing
		return h, nil
	}
	skip := 0
	switch family {
	case 0x11, 0x21: // TCP over IPv4, IPv6
		width := 4
		if family == 0x21 {
			width = 16
		}
		if skip = 2*width + 4; len(body) < skip {
			return h, fail.New(fail.Invalid, "PROXY header: %d bytes are too few for its addresses", len(body))
		}
		h.Source, h.Dest = addressAt(body, 0, width, 2*width), addressAt(body, width, width, 2*width+2)
	case 0x31: // a Unix socket
		skip = 2 * 108
	}
	if len(body) < skip {
		return h, fail.New(fail.Invalid, "PROXY header: %d bytes are too few for its addresses", len(body))
	}
	h.extensions(body[skip:])
	return h, nil
}

func addressAt(b []byte, at, width, port int) netip.AddrPort {
	a, _ := netip.AddrFromSlice(b[at : at+width])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[port:]))
}

// The extensions that say something to us (PP2_TYPE_…).
const (
	proxyAuthority = 0x02
	proxySSL       = 0x20
	proxySSLName   = 0x22
)

// extensions reads type, length and value triples. What is cut or unknown is
// left out: the addresses are worth having without it.
func (h *ProxyHeader) extensions(b []byte) {
	each(b, func(kind byte, v []byte) {
		switch {
		case kind == proxyAuthority && plainText(v):
			h.ServerName = string(v)
		case kind == proxySSL && len(v) >= 5:
			const withTLS, withCert = 1, 2
			h.TLS = v[0]&withTLS != 0
			verified := v[0]&withCert != 0 && binary.BigEndian.Uint32(v[1:]) == 0
			each(v[5:], func(kind byte, v []byte) {
				if kind == proxySSLName && verified && plainText(v) {
					h.CommonName = string(v)
				}
			})
		}
	})
}

func each(b []byte, use func(kind byte, value []byte)) {
	for len(b) >= 3 {
		n := 3 + int(binary.BigEndian.Uint16(b[1:]))
		if n > len(b) {
			return
		}
		use(b[0], b[3:n])
		b = b[n:]
	}
}

// plainText: the value may go into logs.
func plainText(v []byte) bool {
	return len(v) <= 255 && bytes.IndexFunc(v, func(r rune) bool { return r <= 0x20 || r > 0x7E }) < 0
}
