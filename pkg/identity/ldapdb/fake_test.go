package ldapdb

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/netx/netxtest"
)

// fake is an LDAP server that does as it is told. Searches are answered by
// their filter's text, binds by their DN.
type fake struct {
	t    *testing.T
	l    net.Listener
	addr string
	tls  *tls.Config // for StartTLS; nil: refused

	mu        sync.Mutex
	entries   map[string][]*ldap.Entry // by filter
	passwords map[string]string        // by DN
	results   map[string]uint16        // by filter or DN: this code instead
	texts     map[string]string        // and this text
	controls  map[string]*ber.Packet   // and this response control
	refer     map[string]string        // by filter: a reference beside the entries
	misbehave func(c net.Conn, id int64, op ldapOp) bool
	conns     map[net.Conn]bool
	binds     []string // DNs, in order
	searches  []string // filters, in order
	bases     []string // of the searches
	hanging   chan struct{}

	accepted atomic.Int64
	done     sync.WaitGroup
}

// ldapOp is what the client wants.
type ldapOp struct {
	tag    ber.Tag
	filter string
	dn     string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		t: t, entries: map[string][]*ldap.Entry{}, passwords: map[string]string{}, results: map[string]uint16{},
		texts: map[string]string{}, controls: map[string]*ber.Packet{}, refer: map[string]string{}, conns: map[net.Conn]bool{},
		hanging: make(chan struct{}, 100),
	}
	f.start(netxtest.Port(t))
	t.Cleanup(f.stop)
	return f
}

func (f *fake) start(addr string) {
	f.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.l, f.addr = l, l.Addr().String()
	f.done.Add(1)
	go func() {
		defer f.done.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.accepted.Add(1)
			f.mu.Lock()
			f.conns[c] = true
			f.mu.Unlock()
			f.done.Add(1)
			go func() {
				defer f.done.Done()
				f.serve(c)
				_ = c.Close()
			}()
		}
	}()
}

func (f *fake) uri() string { return "ldap://" + f.addr }

// stop closes the listener and all connections.
func (f *fake) stop() {
	_ = f.l.Close()
	f.drop()
	f.done.Wait()
}

// drop closes all connections.
func (f *fake) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
	clear(f.conns)
}

// set changes what the server does.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) serve(c net.Conn) {
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, _ := p.Children[0].Value.(int64)
		op := readOp(p.Children[1])
		f.mu.Lock()
		misbehave := f.misbehave
		f.mu.Unlock()
		if misbehave != nil && misbehave(c, id, op) {
			return
		}
		switch op.tag {
		case ldap.ApplicationBindRequest:
			f.bind(c, id, p.Children[1], op.dn)
		case ldap.ApplicationSearchRequest:
			f.search(c, id, p, op)
		case ldap.ApplicationExtendedRequest:
			if f.tls == nil {
				reply(c, id, result(ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError, "no TLS here"))
				continue
			}
			reply(c, id, result(ldap.ApplicationExtendedResponse, 0, ""))
			c = tls.Server(c, f.tls)
		default: // unbind
			return
		}
	}
}

func readOp(p *ber.Packet) ldapOp {
	op := ldapOp{tag: p.Tag}
	switch p.Tag {
	case ldap.ApplicationBindRequest:
		op.dn, _ = p.Children[1].Value.(string)
	case ldap.ApplicationSearchRequest:
		op.dn, _ = p.Children[0].Value.(string)
		op.filter, _ = ldap.DecompileFilter(p.Children[6])
	}
	return op
}

func (f *fake) bind(c net.Conn, id int64, op *ber.Packet, dn string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.binds = append(f.binds, dn)
	password := op.Children[2].Data.String()
	code := f.results[dn]
	if right, ok := f.passwords[dn]; code == 0 && (!ok || right != password) {
		code = ldap.LDAPResultInvalidCredentials
	}
	if password == "" {
		code = 0 // an unauthenticated bind, as careless servers take it
	}
	reply(c, id, result(ldap.ApplicationBindResponse, code, f.texts[dn]), f.controls[dn])
}

func (f *fake) search(c net.Conn, id int64, p *ber.Packet, op ldapOp) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.searches = append(f.searches, op.filter)
	f.bases = append(f.bases, op.dn)
	all := f.entries[op.filter]
	from, to, more := cut(p, len(all))
	for _, e := range all[from:to] {
		reply(c, id, entryPacket(e))
	}
	if ref := f.refer[op.filter]; ref != "" {
		r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
		r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, ref, ""))
		reply(c, id, r)
	}
	reply(c, id, result(ldap.ApplicationSearchResultDone, f.results[op.filter], f.texts[op.filter]), more)
}

// cut divides n entries into pages if the client asks for that.
func cut(p *ber.Packet, n int) (from, to int, more *ber.Packet) {
	if len(p.Children) < 3 {
		return 0, n, nil
	}
	c, err := ldap.DecodeControl(p.Children[2].Children[0])
	paging, ok := c.(*ldap.ControlPaging)
	if err != nil || !ok {
		return 0, n, nil
	}
	if len(paging.Cookie) == 8 {
		for _, b := range paging.Cookie {
			from = from<<8 | int(b)
		}
	}
	to = min(n, from+int(paging.PagingSize))
	answer := ldap.NewControlPaging(0)
	if to < n {
		for shift := 56; shift >= 0; shift -= 8 {
			answer.Cookie = append(answer.Cookie, byte(to>>shift))
		}
	}
	return from, to, answer.Encode()
}

func result(op ber.Tag, code uint16, text string) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, op, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, ""))
	return p
}

func entryPacket(e *ldap.Entry) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, e.DN, ""))
	attrs := ber.NewSequence("")
	for _, a := range e.Attributes {
		one := ber.NewSequence("")
		one.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, a.Name, ""))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range a.Values {
			values.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
		}
		one.AppendChild(values)
		attrs.AppendChild(one)
	}
	p.AppendChild(attrs)
	return p
}

// envelope is a message, with response controls that are not nil.
func envelope(id int64, op *ber.Packet, controls ...*ber.Packet) []byte {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	controls = slices.DeleteFunc(controls, func(c *ber.Packet) bool { return c == nil })
	if len(controls) > 0 {
		all := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range controls {
			all.AppendChild(c)
		}
		p.AppendChild(all)
	}
	return p.Bytes()
}

func reply(c net.Conn, id int64, op *ber.Packet, controls ...*ber.Packet) {
	_, _ = c.Write(envelope(id, op, controls...))
}

// hang leaves a request without an answer until the client gives up.
func (f *fake) hang(c net.Conn) bool {
	f.hanging <- struct{}{}
	_, _ = c.Read(make([]byte, 1))
	return true
}

// config has no TLS and much patience.
func (f *fake) config(more ...*fake) ServerConfig {
	c := DefaultServerConfig()
	c.URIs = []string{f.uri()}
	for _, m := range more {
		c.URIs = append(c.URIs, m.uri())
	}
	return c.within(time.Minute)
}

// within sets all time limits.
func (c ServerConfig) within(d time.Duration) ServerConfig {
	c.ConnectTimeout, c.BindTimeout, c.SearchTimeout = conf.Duration(d), conf.Duration(d), conf.Duration(d)
	return c
}

// server connects to the fakes.
func connect(t *testing.T, c ServerConfig) *server {
	t.Helper()
	s, _ := clocked(t, c)
	return s
}

// clock is moved by hand.
type clock struct {
	start  time.Time
	offset atomic.Int64
}

func (c *clock) now() time.Time          { return c.start.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func clocked(t *testing.T, c ServerConfig) (*server, *clock) {
	t.Helper()
	k := &clock{start: time.Now()}
	s, err := newServer("test", c, Options{Now: k.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s, k
}
