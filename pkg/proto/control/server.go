package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// Server answers control connections from a table of verbs. Its exported
// fields are set before the first Serve.
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
	// Log gets panics of handlers; nil drops them.
	Log *obs.Logger

	mu    sync.Mutex
	verbs map[string]Verb
	// identify replaces peerOf in tests.
	identify func(net.Conn) (Peer, error)
}

// sendTimeout is how long a client may take to read one value.
const sendTimeout = 30 * time.Second

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
// The verb HELP is always there. Several calls, each with its listener, may run
// at a time.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := netx.Server{
		Handler:    s.connection,
		Limits:     netx.Limits{MaxConns: or(s.MaxConns, 32)},
		DrainLimit: time.Second,
		Log:        s.Log,
	}
	return server.Serve(ctx, l)
}

func or[T comparable](value, preset T) T {
	var zero T
	if value == zero {
		return preset
	}
	return value
}

// connection answers one client, one request after the other.
func (s *Server) connection(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now()) })
	defer stop()
	identify := s.peerOf
	if s.identify != nil {
		identify = s.identify
	}
	peer, err := identify(conn)
	if err != nil {
		return
	}
	ctx = WithPeer(ctx, peer)
	in := bufio.NewReaderSize(conn, maxRequest+2)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(or(s.IdleTimeout, 5*time.Minute))); err != nil || ctx.Err() != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		out := &answer{conn: conn}
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				out.finish(fail.New(fail.Invalid, "the request is longer than %d bytes", maxRequest))
			}
			return
		}
		err = s.request(ctx, peer, bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), out)
		if out.finish(err) != nil {
			return
		}
	}
}

// request carries out one request line.
func (s *Server) request(ctx context.Context, peer Peer, line []byte, out *answer) error {
	name, args, err := parseRequest(line)
	if err != nil {
		return err
	}
	if name == "HELP" {
		return out.emit(map[string][]string{"verbs": s.known(peer)})
	}
	s.mu.Lock()
	verb, ok := s.verbs[name]
	s.mu.Unlock()
	switch {
	case !ok:
		return fail.New(fail.Invalid, "unknown verb %s, known are %s", name, strings.Join(s.known(peer), " "))
	case verb.Who != Status && !peer.Admin:
		return fail.New(fail.Denied, "%s is for root and members of the admin group", name)
	}
	ctx, cancel := context.WithTimeout(ctx, or(s.VerbTimeout, 10*time.Minute))
	defer cancel()
	out.gone = cancel
	err = verb.Handler(ctx, args, out.emit)
	if err != nil && ctx.Err() == context.DeadlineExceeded && fail.KindOf(err) == fail.Temporary {
		return fail.Wrap(fail.Temporary, err, "%s took too long", name)
	}
	return err
}

// known lists the verbs that a peer may use.
func (s *Server) known(peer Peer) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := []string{"HELP"}
	for _, v := range s.verbs {
		if v.Who == Status || peer.Admin {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	return names
}

// answer writes the values of one answer. A handler may emit from several
// goroutines, but not after it returned.
type answer struct {
	mu    sync.Mutex
	conn  net.Conn
	gone  func()
	err   error // of the connection
	done  bool
	buf   []byte      // values that leave together
	timer *time.Timer // sends buf soon; nil before the first value
}

// A long answer is sent in pieces of pieceSize; no value waits longer than
// pieceDelay for others.
const (
	pieceSize  = 32 << 10
	pieceDelay = 5 * time.Millisecond
)

func (a *answer) emit(v any) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fail.Wrap(fail.Permanent, err, "answer of type %T", v)
	}
	if parseFailure(line.Bytes()) != nil {
		return fail.New(fail.Permanent, "answer of type %T looks like a failure", v)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done {
		return fail.New(fail.Permanent, "the answer is complete")
	}
	return a.add(line.Bytes())
}

// add puts a line behind those that wait. a.mu is held.
func (a *answer) add(line []byte) error {
	first := len(a.buf) == 0
	a.buf = append(a.buf, line...)
	switch {
	case len(a.buf) >= pieceSize || a.err != nil:
		return a.flush()
	case a.timer == nil:
		a.timer = time.AfterFunc(pieceDelay, a.late)
	case first:
		a.timer.Reset(pieceDelay)
	}
	return nil
}

// late sends what has waited long enough.
func (a *answer) late() {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.flush() // the error stays for the next value
}

// flush sends what waits. a.mu is held.
func (a *answer) flush() error {
	if a.err != nil || len(a.buf) == 0 {
		return a.err
	}
	if a.err = a.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); a.err == nil {
		_, a.err = a.conn.Write(a.buf)
	}
	a.buf = a.buf[:0]
	if a.err != nil {
		a.err = fail.Wrap(fail.Unavailable, a.err, "the client is gone")
		if a.gone != nil {
			a.gone()
		}
	}
	return a.err
}

// finish ends the answer; its error is the connection's.
func (a *answer) finish(failed error) error {
	end := []byte("\n")
	if failed != nil {
		line, err := json.Marshal(failure{failed.Error(), fail.KindOf(failed).String()})
		if err != nil {
			return err
		}
		end = append(line, "\n\n"...)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = true
	if a.timer != nil {
		a.timer.Stop()
	}
	a.buf = append(a.buf, end...)
	return a.flush()
}
