package dnsx

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// resolvConf is where servers come from when none are configured.
const resolvConf = "/etc/resolv.conf"

// lookAgain is how often the file is looked at: DHCP and VPNs change it while
// a daemon runs.
const lookAgain = 5 * time.Second

// maxServers of a configuration are asked; libc stops at three as well.
const maxServers = 3

// sources yields the servers to ask.
type sources struct {
	fixed []string
	file  string
	now   func() time.Time

	mu     sync.Mutex
	looked time.Time
	mtime  time.Time
	found  []string
}

// serverAddr accepts "ip", "ip:port", "[ip6]:port" and "ip6".
func serverAddr(s string) (string, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(ip, 53).String(), nil
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap.String(), nil
	}
	return "", fail.New(fail.Invalid, "name server %q is not an IP address, with or without a port", s)
}

func (s *sources) list() []string {
	if len(s.fixed) > 0 {
		return s.fixed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.found != nil && now.Sub(s.looked) < lookAgain {
		return s.found
	}
	s.looked = now
	info, err := os.Stat(s.file)
	if err == nil && s.found != nil && info.ModTime().Equal(s.mtime) {
		return s.found
	}
	var text []byte
	if err == nil {
		s.mtime = info.ModTime()
		text, _ = os.ReadFile(s.file)
	}
	s.found = parseResolvConf(string(text))
	return s.found
}

// parseResolvConf reads the nameserver lines. Without any, resolv.conf(5)
// says to ask the own machine.
func parseResolvConf(text string) []string {
	var servers []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		if ip, err := netip.ParseAddr(f[1]); err == nil {
			servers = append(servers, net.JoinHostPort(ip.String(), "53"))
		}
	}
	if len(servers) == 0 {
		return []string{"127.0.0.1:53"}
	}
	return servers
}
