package control

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Server answers control connections from a table of verbs.
type Server struct {
	// AdminGroup names the group whose members may use verbs of the class
	// Admin; empty means nobody beyond root and the daemon's own uid.
	AdminGroup string
	// MaxConns caps simultaneous connections; 0 means 32.
	MaxConns int
	// IdleTimeout closes a connection that sends no request; 0 means 5 minutes.
	IdleTimeout time.Duration
	// VerbTimeout is the time one verb may take; 0 means 10 minutes.
	VerbTimeout time.Duration

	mu    sync.Mutex
	verbs map[string]Verb
}

// Add puts a verb into the table. It may be called while the server runs; a
// later verb of the same name replaces the earlier one.
func (s *Server) Add(v Verb) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verbs == nil {
		s.verbs = map[string]Verb{}
	}
	s.verbs[v.Name] = v
}

// Serve answers connections until ctx is done, then closes them and the
// listener and returns nil; any other failure of the listener is returned.
func (s *Server) Serve(_ context.Context, _ net.Listener) error {
	return fail.New(fail.Unavailable, "control server not running")
}
