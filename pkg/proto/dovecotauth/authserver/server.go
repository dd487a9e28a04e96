package authserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Kind is the type of a listener: what a peer that got through its access
// rules may ask.
type Kind uint8

// The listener types.
const (
	Client   Kind = iota // AUTH; a success is an answer and nothing more
	Client24             // the same in the manner of Dovecot 2.4, with channel bindings
	Login                // as Client24; a success can be redeemed at a Master listener
	Userdb               // USER, PASS, LIST
	Master               // Userdb's, REQUEST and CACHE-FLUSH
	Exists               // USER, answered with class and quota state only
)

// waits reports whether the greeting waits for the client's VERSION.
func (k Kind) waits() bool { return k == Client24 || k == Login }

// KindNamed returns the type called name.
func KindNamed(name string) (Kind, bool) {
	for k := Client; k <= Exists; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

func (k Kind) String() string {
	switch k {
	case Client:
		return "client"
	case Client24:
		return "client-2.4"
	case Login:
		return "login"
	case Userdb:
		return "userdb"
	case Master:
		return "master"
	case Exists:
		return "exists"
	}
	return "unknown"
}

// OpenMode is the mode of a Unix socket that by Dovecot's rule is open to
// everybody and tells those about themselves only who are not its owner; see
// Peer. Any other mode says by itself who may ask.
const OpenMode = 0o666

// Peer is who connected, from SO_PEERCRED. The zero PID means unknown (TCP).
type Peer struct {
	UID, GID, PID int
	// Restricted: the socket is open to everybody, and this peer is neither its
	// owner nor of its group. It may look up the user of its own uid only.
	Restricted bool
}

// Config is fixed for a server's life. Zero durations take the defaults.
type Config struct {
	Auth             Authenticator
	Directory        Directory
	PID              int           // our own, for SPID
	RequestTimeout   time.Duration // of one step of an exchange, and of the wait for the next; default 150 s
	RedeemWithin     time.Duration // life of a granted login; default 30 s
	HandshakeTimeout time.Duration // default 60 s
	WriteTimeout     time.Duration // default 10 s
	DrainTimeout     time.Duration // how long requests may run on when the server stops; default 5 s
	MaxRequests      int           // per connection; default 4096
	MaxLogins        int           // waiting to be redeemed, per connection; default 4096
	Now              func() time.Time
	Report           func(error) // faults that cost one request only, for the log; may be nil
}

// Server serves connections of all listener types; they share granted logins.
type Server struct {
	cfg     Config
	logins  *logins
	tokens  tokens
	seals   seals
	cuid    atomic.Uint32
	buffers dovecotauth.Buffers
	outputs sync.Pool // of *[]byte

	silenceAfter time.Duration
}

// New makes a server.
func New(cfg Config) *Server {
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{
		{&cfg.RequestTimeout, 150 * time.Second},
		{&cfg.RedeemWithin, 30 * time.Second},
		{&cfg.HandshakeTimeout, 60 * time.Second},
		{&cfg.WriteTimeout, 10 * time.Second},
		{&cfg.DrainTimeout, 5 * time.Second},
	} {
		if *d.p <= 0 {
			*d.p = d.v
		}
	}
	if cfg.MaxRequests <= 0 {
		cfg.MaxRequests = 4096
	}
	if cfg.MaxLogins <= 0 {
		cfg.MaxLogins = 4096
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	return &Server{cfg: cfg, logins: newLogins(cfg.RedeemWithin, cfg.MaxLogins, cfg.Now), tokens: newTokens(), silenceAfter: silenceAfter}
}

// ErrOutage is the end of a connection whose peer cannot be told of an outage
// in any other way.
var ErrOutage = fail.New(fail.Unavailable, "connection closed: backend is down and the peer knows no temp_fail")

// Serve answers nc until it ends or ctx does, and closes it. When ctx ends, no
// further request is read, and those that run may finish within the drain
// time. Nil means that the peer left in order, or the server stopped.
func (s *Server) Serve(ctx context.Context, nc net.Conn, kind Kind, peer Peer) error {
	c := s.newConn(ctx, nc, kind)
	defer c.release()
	if kind <= Login {
		return s.serveClient(c)
	}
	return s.serveMaster(c, peer)
}

// newCookie is 128 random bits in hexadecimal, as long as Dovecot's.
func newCookie() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}
