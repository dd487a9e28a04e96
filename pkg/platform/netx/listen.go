package netx

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Open makes the stream listener that spec names: a TCP address, a Unix
// socket, or one or more inherited descriptors ("systemd:NAME"; several of
// one name act as one listener). in may be nil when nothing was inherited.
// With spec.Allow a Unix peer of another uid is closed at once, with
// spec.AllowNetworks a TCP peer from elsewhere; see Listener.OnDenied.
func Open(spec conf.Listen, in *Inherited) (net.Listener, error) {
	return open(spec, in, "unix")
}

// OpenPacket is Open for Unix sockets of type SOCK_SEQPACKET.
func OpenPacket(spec conf.Listen, in *Inherited) (net.Listener, error) {
	if spec.TCP() != "" {
		return nil, fail.New(fail.Invalid, "listener %q: must be a unix or systemd socket", spec.Address)
	}
	return open(spec, in, "unixpacket")
}

func open(spec conf.Listen, in *Inherited, network string) (net.Listener, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	allow, err := resolveUsers(spec.Allow)
	if err != nil {
		return nil, fail.Wrap(fail.KindOf(err), err, "listener %q", spec.Address)
	}
	var l net.Listener
	switch {
	case spec.Systemd() != "":
		l, err = in.listener(spec.Systemd(), network)
	case spec.Unix() != "":
		l, err = listenUnix(spec, network)
	default:
		var lc net.ListenConfig
		lc.SetMultipathTCP(false) // its listeners hand no options down
		l, err = lc.Listen(context.Background(), "tcp", spec.TCP())
	}
	if err != nil {
		return nil, fail.Wrap(fail.KindOf(err), err, "listener %q", spec.Address)
	}
	l = inheriting(l)
	if len(spec.Allow) == 0 && len(spec.AllowNetworks) == 0 {
		return l, nil
	}
	return &Listener{Listener: l, allow: allow, networks: conf.Prefixes(spec.AllowNetworks)}, nil
}

// Listener admits Unix peers by uid and TCP peers by address. Where it has a
// rule for one kind of peer only, the other kind is denied.
type Listener struct {
	net.Listener
	allow    map[uint32]bool
	networks []netip.Prefix
	onDenied func(conn net.Conn, who Cred)
}

// OnDenied sets what is told of a peer before it is closed; call it before
// the first Accept. Server.Serve sets it.
func (l *Listener) OnDenied(f func(conn net.Conn, who Cred)) { l.onDenied = f }

// Accept waits for a connection from an allowed peer.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who, ok := l.admits(conn)
		if ok {
			return conn, nil
		}
		if l.onDenied != nil {
			l.onDenied(conn, who)
		}
		_ = conn.Close()
	}
}

// admits also says who the peer of a Unix socket is.
func (l *Listener) admits(conn net.Conn) (Cred, bool) {
	if ip := AddrPort(conn.RemoteAddr()).Addr().WithZone(""); ip.IsValid() {
		return Cred{}, slices.ContainsFunc(l.networks, func(p netip.Prefix) bool { return p.Contains(ip) })
	}
	who, err := Peer(conn)
	return who, err == nil && l.allow[who.UID]
}

// many is several listeners as one.
type many struct {
	all    []net.Listener
	start  sync.Once
	stop   sync.Once
	conns  chan accepted
	closed chan struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

func newMany(all []net.Listener) net.Listener {
	if len(all) == 1 {
		return all[0]
	}
	return &many{all: all, conns: make(chan accepted), closed: make(chan struct{})}
}

func (m *many) Accept() (net.Conn, error) {
	m.start.Do(func() {
		for _, l := range m.all {
			go m.run(l)
		}
	})
	select {
	case a := <-m.conns:
		return a.conn, a.err
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// run ends when its listener is closed. An error is handed to the caller of
// Accept before the next try, so the caller's back-off slows it down.
func (m *many) run(l net.Listener) {
	for {
		conn, err := l.Accept()
		select {
		case m.conns <- accepted{conn, err}:
		case <-m.closed:
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
	}
}

func (m *many) Close() error {
	var first error
	m.stop.Do(func() {
		close(m.closed)
		for _, l := range m.all {
			if err := l.Close(); err != nil && first == nil {
				first = err
			}
		}
	})
	return first
}

func (m *many) Addr() net.Addr { return m.all[0].Addr() }
