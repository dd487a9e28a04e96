package authserver

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Lookup is what a USER or PASS line asks, with what it says of the connection
// on whose behalf it asks. Nothing of it is proven.
type Lookup struct {
	User                  string         // as the peer wrote it; never empty
	Service               string         // never empty
	Local, Remote         netip.AddrPort // zero when not said
	RealLocal, RealRemote netip.AddrPort // of the connection itself when a proxy gave the others
	LocalName             string
	Session               string
	ClientID              string
	Forward               dovecotauth.Fields // what a proxy passed on
}

// parseLookup reads `USER <id> <name> service=… [key[=value]]…`.
func parseLookup(l dovecotauth.Line) (Lookup, error) {
	q := Lookup{User: l.Param(1)}
	var at endpoints
	for _, f := range l.Fields(2) {
		if strings.IndexByte(f.Value, 0) >= 0 {
			continue
		}
		switch f.Key {
		case "service", "protocol":
			q.Service = f.Value
		case "local_name":
			q.LocalName = f.Value
		case "session":
			q.Session = f.Value
		case "client_id":
			q.ClientID = f.Value
		case "forward_fields":
			q.Forward = dovecotauth.UnpackFields(f.Value)
		default:
			at.take([]byte(f.Key), []byte(f.Value))
		}
	}
	if q.User == "" || q.Service == "" {
		return Lookup{}, fail.New(fail.Invalid, "%s without user or service=", l.Verb)
	}
	q.Local, q.Remote, q.RealLocal, q.RealRemote = at.local(), at.remote(), at.realLocal(), at.realRemote()
	return q, nil
}

// endpoints collects the addresses and ports of a line, which come in any
// order.
type endpoints struct {
	ip   [4]netip.Addr
	port [4]uint16
}

// take keeps a field if it is one of them. What is no address or port counts as
// not said.
func (e *endpoints) take(key, value []byte) bool {
	i := 0
	if rest, ok := bytes.CutPrefix(key, []byte("real_")); ok {
		key, i = rest, 2
	}
	switch string(key) {
	case "lip":
		e.ip[i] = address(value)
	case "rip":
		e.ip[i+1] = address(value)
	case "lport":
		e.port[i] = small(value)
	case "rport":
		e.port[i+1] = small(value)
	default:
		return false
	}
	return true
}

func address(value []byte) netip.Addr {
	a, _ := netip.ParseAddr(string(value))
	return a.Unmap().WithZone("")
}

func (e *endpoints) at(i int) netip.AddrPort {
	if !e.ip[i].IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(e.ip[i], e.port[i])
}

func (e *endpoints) local() netip.AddrPort      { return e.at(0) }
func (e *endpoints) remote() netip.AddrPort     { return e.at(1) }
func (e *endpoints) realLocal() netip.AddrPort  { return e.at(2) }
func (e *endpoints) realRemote() netip.AddrPort { return e.at(3) }

// small reads a number of 16 bits; 0 for what is none.
func small(value []byte) uint16 {
	n, err := strconv.ParseUint(string(value), 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
