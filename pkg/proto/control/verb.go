package control

import "context"

// Who may use a verb.
type Who uint8

// The classes of verbs.
const (
	Admin  Who = iota // uid 0, the daemon's own uid, members of the admin group
	Status            // everyone who can connect to the socket
)

// Emit sends one value of an answer; the client gets it at once. The value
// must be one that encoding/json can render. An error means that the client
// is gone and that the handler should stop.
type Emit func(v any) error

// Handler carries out a verb. The error, if any, ends the answer and reaches
// the client as text and kind. ctx ends when a value could not be sent, the
// time for the verb is over or the daemon stops.
type Handler func(ctx context.Context, args []string, emit Emit) error

// Verb is one row of a daemon's table.
type Verb struct {
	Name    string // upper-case letters, digits, "-" and "_", such as "QUEUE-HOLD"
	Who     Who
	Handler Handler
}

// Peer is the process on the other end.
type Peer struct {
	UID, GID uint32
	PID      int32
	Admin    bool // may use verbs of the class Admin
}

type peerKey struct{}

// PeerOf returns the peer of the request a handler's ctx belongs to.
func PeerOf(ctx context.Context) Peer {
	p, _ := ctx.Value(peerKey{}).(Peer)
	return p
}

// WithPeer returns a ctx of requests of p, as handlers get it.
func WithPeer(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}
