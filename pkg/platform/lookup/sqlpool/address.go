package sqlpool

import (
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// address is one entry of `hosts`.
type address struct {
	text string // as configured, for people
	host string // name or address; empty for a socket
	port uint16
	sock string // path of a Unix socket
}

// pgSocket begins the name of PostgreSQL's sockets; the port follows.
const pgSocket = ".s.PGSQL."

func defaultPort(driver string) uint16 {
	if driver == MySQL {
		return 3306
	}
	return 5432
}

// parseAddress reads host, host:port, [ipv6]:port, ipv6, or a path.
func parseAddress(driver, text string) (address, error) {
	a := address{text: text, port: defaultPort(driver)}
	if strings.HasPrefix(text, "/") {
		a.sock = path.Clean(text)
		if driver == PgSQL && !strings.HasPrefix(path.Base(a.sock), pgSocket) {
			a.sock = path.Join(a.sock, pgSocket+strconv.Itoa(int(a.port)))
		}
		// sockaddr_un holds 108 bytes with the closing zero, see unix(7).
		if len(a.sock) > 107 {
			return address{}, fail.New(fail.Invalid, "the socket path %q is longer than 107 bytes", a.sock)
		}
		return a, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), ""
		if strings.Contains(host, ":") {
			if _, err := netip.ParseAddr(host); err != nil {
				return address{}, fail.New(fail.Invalid, "%q is not host, host:port, [ipv6]:port or an absolute path", text)
			}
		}
	}
	if host == "" || strings.ContainsAny(host, "/ \t,") {
		return address{}, fail.New(fail.Invalid, "%q is not host, host:port, [ipv6]:port or an absolute path", text)
	}
	a.host = host
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return address{}, fail.New(fail.Invalid, "%q has no port number", text)
		}
		a.port = uint16(n)
	}
	return a, nil
}

// network and target are what net.Dial takes.
func (a address) network() string {
	if a.sock != "" {
		return "unix"
	}
	return "tcp"
}

func (a address) target() string {
	if a.sock != "" {
		return a.sock
	}
	return net.JoinHostPort(a.host, strconv.Itoa(int(a.port)))
}

// here reports whether the way to the host stays on this machine.
func (a address) here() bool {
	ip, err := netip.ParseAddr(a.host)
	return a.sock != "" || a.host == "localhost" || (err == nil && ip.IsLoopback())
}
