package server

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

const xclientWords = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"

// unknownName stands for a name or an address that a proxy does not know.
const unknownName = "unknown"

// mechXclient is the mechanism of a login that a proxy vouches for.
const mechXclient = "XCLIENT"

func (e *engine) mayXclient() bool {
	return e.pub.Policy.XClient && !e.pub.Policy.Words.HideXClient && e.cfg.Overridden != nil
}

// overrides is what one XCLIENT command says.
type overrides struct {
	client, server half
	name, reverse  string
	proto, helo    string
	login          string
}

// half is one end of a connection, as far as it was said.
type half struct {
	addr    netip.Addr
	unknown bool
	port    string
}

// cmdXclient is XCLIENT (Postfix's XCLIENT_README): a proxy says who its
// client is. Then everything begins anew, with the banner. Whether a further
// XCLIENT is allowed is a matter of the new client.
func (e *engine) cmdXclient(args []byte) Reply {
	if !e.mayXclient() {
		return e.refused("XCLIENT", MakeReply(550, 5, 7, 0, "Error: insufficient authorization"), args)
	}
	var o overrides
	if r := attributes("XCLIENT", args, o.set); !r.IsZero() {
		return e.refused("XCLIENT", r, args)
	}
	e.forget()
	o.apply(&e.pub)
	if o.helo != "" {
		e.state = stateReady
	}
	if refusal := e.cfg.Overridden(e.ctx, &e.pub); !refusal.IsZero() {
		e.state = stateRefused
		return refusal
	}
	return e.banner()
}

// set takes one attribute.
func (o *overrides) set(name, value string) fault {
	known := value != "[UNAVAILABLE]" && value != "[TEMPUNAVAIL]"
	switch name {
	case "NAME":
		return setName(&o.name, value, known)
	case "REVERSE_NAME":
		return setName(&o.reverse, value, known)
	case "ADDR":
		return o.client.setAddr(value, known)
	case "PORT":
		return o.client.setPort(value, known)
	case "DESTADDR":
		return o.server.setAddr(value, known)
	case "DESTPORT":
		return o.server.setPort(value, known)
	case "PROTO":
		if o.proto = strings.ToUpper(value); o.proto != "SMTP" && o.proto != "ESMTP" {
			return badSyntax
		}
	case "HELO":
		if known {
			o.helo = value
		}
	case "LOGIN":
		if known {
			o.login = value
		}
	default:
		return badName
	}
	return good
}

func setName(into *string, value string, known bool) fault {
	*into = unknownName
	if !known {
		return good
	}
	d, err := addr.Domain(value)
	if err != nil || strings.HasPrefix(d, "[") {
		return badSyntax
	}
	*into = d
	return good
}

func (h *half) setAddr(value string, known bool) fault {
	if h.unknown = !known; h.unknown {
		return good
	}
	a, ok := proxyAddr(value)
	if h.addr = a; !ok {
		return badSyntax
	}
	return good
}

func (h *half) setPort(value string, known bool) fault {
	if !known {
		return good
	}
	if _, err := strconv.ParseUint(value, 10, 16); err != nil {
		return badSyntax
	}
	h.port = value
	return good
}

// proxyAddr reads an address, which for IPv6 has a prefix.
func proxyAddr(value string) (netip.Addr, bool) {
	const v6 = "IPV6:"
	if len(value) > len(v6) && strings.EqualFold(value[:len(v6)], v6) {
		value = value[len(v6):]
	}
	a, err := netip.ParseAddr(value)
	return a.Unmap(), err == nil && a.Zone() == ""
}

// apply changes what hooks see. What was not said stays, but HELO, LOGIN and
// PROTO, which belong to the session that ended.
func (o *overrides) apply(c *Conn) {
	c.Remote, c.local = o.client.over(c.Remote), o.server.over(c.Local())
	if o.name != "" {
		c.Name = o.name
	}
	if o.reverse != "" {
		c.Reverse = o.reverse
	}
	if c.Helo = heloName(o.helo); o.helo != "" {
		if c.Verb = "HELO"; o.proto == "ESMTP" {
			c.Verb = "EHLO"
		}
	}
	if c.User = o.login; o.login != "" {
		c.Mech = mechXclient
	}
}

// over lays what was said over an address.
func (h *half) over(was net.Addr) net.Addr {
	if h.addr == (netip.Addr{}) && h.port == "" && !h.unknown {
		return was
	}
	now := net.TCPAddr{}
	if t, ok := was.(*net.TCPAddr); ok {
		now = *t
	}
	switch {
	case h.unknown:
		now = net.TCPAddr{}
	case h.addr.IsValid():
		now = *net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.addr, 0))
	}
	if h.port != "" {
		now.Port, _ = strconv.Atoi(h.port)
	}
	return &now
}

// fault is what is wrong with an attribute.
type fault uint8

const (
	good fault = iota
	badName
	badSyntax
)

// attributes reads the name=value words of XCLIENT and XFORWARD. set says
// what is wrong with one.
func attributes(verb string, args []byte, set func(name, value string) fault) Reply {
	words := strings.Fields(string(args))
	if len(words) == 0 {
		return syntax("Syntax: " + verb + " attribute=value...")
	}
	for _, w := range words {
		name, coded, _ := strings.Cut(w, "=")
		if coded == "" {
			return syntax("Error: attribute=value expected")
		}
		name = strings.ToUpper(name)
		value, err := wire.ParseXtext(coded)
		what := badSyntax
		if err == nil {
			what = set(name, value)
		}
		switch what {
		case badName:
			return syntax("Bad " + verb + " attribute name: " + printable([]byte(name)))
		case badSyntax:
			return syntax("Bad " + printable([]byte(name)) + " syntax: " + printable([]byte(coded)))
		}
	}
	return Reply{}
}
