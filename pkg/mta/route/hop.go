package route

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Transport is the way a message leaves the queue.
type Transport uint8

// The transports.
const (
	SMTP       Transport = iota // to a mail exchanger or a named host
	LMTP                        // to a local delivery agent, one reply per recipient
	Error                       // fails at once with Text
	Discard                     // succeeds without doing anything
	Retry                       // is put off with Text
	Pipe                        // to a program behind a helper's socket; Text is handed on
	LocalAgent                  // to what aliases say, or else to the mailbox
)

var transportNames = [...]string{"smtp", "lmtp", "error", "discard", "retry", "pipe", "local"}

// ParseTransport reads a name that String gives.
func ParseTransport(s string) (Transport, bool) {
	for i, n := range transportNames {
		if n == s {
			return Transport(i), true
		}
	}
	return 0, false
}

// String returns the name used in configuration, logs and metrics.
func (t Transport) String() string {
	if int(t) < len(transportNames) {
		return transportNames[t]
	}
	return "unknown"
}

// Hop is a transport with its next hop. The zero value is "smtp:" without a
// host, which Table.Route fills with the recipient's domain.
type Hop struct {
	Transport Transport
	Name      string // of a transport of the operator's own; empty: the kind's
	Socket    string // Unix socket path; empty for a network hop
	Host      string // domain name, or address without brackets
	Port      uint16 // 0 means the transport's default: 25, or 24 for LMTP
	MX        bool   // resolve Host through its MX records (RFC 5321 section 5.1)
	More      string // further next hops, for when the first cannot be reached; see Each
	Text      string // Error, Retry and Discard: "X.Y.Z text"; Pipe: the next hop, for the program
}

// String returns the one spelling that ParseHop reads back.
func (h Hop) String() string { return h.Via() + ":" + h.Next() }

// Via is the transport's name.
func (h Hop) Via() string {
	if h.Name != "" {
		return h.Name
	}
	return h.Transport.String()
}

// Next is String without the transport.
func (h Hop) Next() string {
	if h.More != "" {
		return h.first() + ", " + h.More
	}
	return h.first()
}

// first is the first next hop.
func (h Hop) first() string {
	open, end, port := "[", "]", ""
	switch {
	case h.Transport == Error || h.Transport == Retry || h.Transport == Discard || h.Transport == Pipe:
		return h.Text
	case h.Socket != "":
		return "unix:" + h.Socket
	case h.Host == "":
		return ""
	case h.MX:
		open, end = "", ""
	}
	if h.Port != 0 {
		port = ":" + strconv.Itoa(int(h.Port))
	}
	return open + h.Host + end + port
}

// maxNext is how many next hops one transport can have.
const maxNext = 20

// Each returns the next hops one by one, in the order in which they are tried.
func (h Hop) Each() []Hop {
	if h.More == "" {
		return []Hop{h}
	}
	rest := h.More
	h.More = ""
	all := []Hop{h}
	for s := range strings.SplitSeq(rest, ", ") {
		next, err := parseNext(h.Transport, s, s)
		if err == nil { // they were written by parseList
			next.Name = h.Name
			all = append(all, next)
		}
	}
	return all
}

// Address returns "host:port" for dialling a hop without MX lookup.
func (h Hop) Address() string {
	return net.JoinHostPort(h.Host, strconv.Itoa(int(h.PortOrDefault())))
}

// PortOrDefault is the port to connect to.
func (h Hop) PortOrDefault() uint16 {
	switch {
	case h.Port != 0:
		return h.Port
	case h.Transport == LMTP:
		return 24 // RFC 2033 section 5 forbids 25; 24 is what Postfix assumes
	}
	return 25
}

// Named is a transport of the operator's own.
type Named struct {
	Kind Transport
	Next string // next hop where a route has none
}

// Names are the operator's own transports, by name.
type Names map[string]Named

// ParseHop is Names.ParseHop for the transports that are always there.
func ParseHop(s string) (Hop, error) { return Names(nil).ParseHop(s) }

// ParseHop reads one of
//
//	smtp:                      the recipient domain's mail exchangers
//	smtp:host[:port]           the mail exchangers of host
//	smtp:[host-or-ip][:port]   that host, no MX lookup
//	smtp:HOST, HOST...         the next when one cannot be reached; so for lmtp:inet:
//	lmtp:unix:/path
//	lmtp:inet:host[:port]      (also lmtp:[host]:port and lmtp:host:port)
//	error:[X.Y.Z ]text
//	retry:[X.Y.Z ]text
//	discard:[X.Y.Z ]text
//	local:
//
// or the same with the name of one of names in place of the kind. Without a
// next hop the colon may be missing. Errors are
// of kind fail.Invalid.
func (names Names) ParseHop(s string) (Hop, error) {
	name, rest, _ := strings.Cut(s, ":")
	named, own := names[name]
	kind := named.Kind
	if !own {
		var ok bool
		if kind, ok = ParseTransport(name); !ok || kind == Pipe {
			return Hop{}, fail.New(fail.Invalid, "transport %q: there is no transport %q (smtp, lmtp, error, retry, discard, local, or a name of transports); want NAME:NEXTHOP, such as smtp:[mail.example.com]:587", s, name)
		}
	}
	if rest == "" {
		rest = named.Next
	}
	hop, err := parseNext(kind, s, rest)
	if own {
		hop.Name = name
	}
	return hop, err
}

// parseNext reads the next hop of a transport.
func parseNext(kind Transport, s, rest string) (Hop, error) {
	switch kind {
	case SMTP:
		return parseSMTP(s, rest)
	case LMTP:
		return parseLMTP(s, rest)
	case Error, Retry:
		if rest == "" {
			rest = "Address is undeliverable"
		}
	case Discard, Pipe:
	default:
		return Hop{Transport: kind}, nil
	}
	if strings.ContainsAny(rest, "\r\n\x00") {
		return Hop{}, fail.New(fail.Invalid, "transport %q: the text is more than one line", s)
	}
	return Hop{Transport: kind, Text: rest}, nil
}

// ParseRelayHost reads the value of the relayhost key: "[host]:port" or
// "host:port", the port being optional, brackets meaning "no MX lookup", or a
// list of such.
// The empty string means none and gives the zero Hop.
func ParseRelayHost(s string) (Hop, error) {
	if s == "" {
		return Hop{}, nil
	}
	return parseSMTP(s, s)
}

func parseSMTP(whole, rest string) (Hop, error) {
	if rest == "" {
		return Hop{Transport: SMTP}, nil
	}
	return parseList(whole, rest, func(s string) (Hop, error) {
		host, port, bracketed, err := hostPort(whole, s)
		_, perr := netip.ParseAddr(host)
		return Hop{Transport: SMTP, Host: host, Port: port, MX: !bracketed && perr != nil}, err
	})
}

// parseList reads next hops that are separated by commas or white space.
func parseList(whole, list string, parse func(string) (Hop, error)) (Hop, error) {
	items := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if len(items) == 0 || len(items) > maxNext {
		return Hop{}, fail.New(fail.Invalid, "next hop %q: want 1 to %d hosts", whole, maxNext)
	}
	var first Hop
	var more []string
	for i, item := range items {
		hop, err := parse(item)
		switch {
		case err != nil:
			return Hop{}, err
		case i == 0:
			first = hop
		default:
			more = append(more, hop.first())
		}
	}
	first.More = strings.Join(more, ", ")
	return first, nil
}

func parseLMTP(whole, rest string) (Hop, error) {
	if path, ok := strings.CutPrefix(rest, "unix:"); ok {
		if path == "" || strings.ContainsAny(path, "\r\n\x00") {
			return Hop{}, fail.New(fail.Invalid, "transport %q: empty or malformed socket path", whole)
		}
		return Hop{Transport: LMTP, Socket: path}, nil
	}
	rest = strings.TrimPrefix(rest, "inet:")
	if rest == "" {
		return Hop{}, fail.New(fail.Invalid, "transport %q: lmtp needs unix:PATH or inet:HOST:PORT", whole)
	}
	return parseList(whole, rest, func(s string) (Hop, error) {
		host, port, _, err := hostPort(whole, strings.TrimPrefix(s, "inet:"))
		return Hop{Transport: LMTP, Host: host, Port: port}, err
	})
}

// Port reads the number of a port, or the name of a service of mail.
func Port(s string) (uint16, bool) {
	switch s {
	case "smtp":
		return 25, true
	case "lmtp":
		return 24, true
	case "submission":
		return 587, true
	case "submissions", "smtps":
		return 465, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0
}

// hostPort reads host[:port], [host][:port]; an IPv6 address needs brackets
// when a port follows.
func hostPort(whole, s string) (host string, port uint16, bracketed bool, err error) {
	host, tail := s, ""
	switch i := strings.IndexByte(s, ']'); {
	case s[0] == '[' && i > 0:
		host, tail, bracketed = s[1:i], s[i+1:], true
		host = strings.TrimPrefix(host, "IPv6:")
	case strings.Count(s, ":") == 1:
		i := strings.IndexByte(s, ':')
		host, tail = s[:i], s[i:]
	}
	if tail != "" {
		var ok bool
		if port, ok = Port(strings.TrimPrefix(tail, ":")); tail[0] != ':' || !ok {
			return "", 0, false, fail.New(fail.Invalid, "next hop %q: %q is neither a port number nor a service of mail", whole, tail)
		}
	}
	if ip, perr := netip.ParseAddr(host); perr == nil {
		return ip.String(), port, bracketed, nil
	}
	if host, err = addr.Domain(host); err != nil || host[0] == '[' {
		return "", 0, false, fail.New(fail.Invalid, "next hop %q: not a host name or address", whole)
	}
	return host, port, bracketed, nil
}
