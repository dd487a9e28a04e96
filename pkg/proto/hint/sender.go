package hint

import (
	"context"
	"net"
	"sync"
	"time"
)

// The sender's patience: a delivery does not wait for a reader.
const (
	writeLimit = 20 * time.Millisecond
	dialLimit  = 200 * time.Millisecond
	dialEvery  = time.Second
)

// Sender numbers hints and sends them over one connection, which it makes
// again when it breaks. It is safe for concurrent use. What cannot be sent at
// once is dropped; the gap in the numbers tells the receiver.
type Sender struct {
	dial       func(ctx context.Context) (net.Conn, error)
	now        func() time.Time
	generation uint64

	mu      sync.Mutex
	conn    net.Conn
	dialed  time.Time
	last    uint64
	dropped uint64
	buf     []byte
}

// NewSender returns a sender whose connections dial makes (unixpacket).
// generation differs at each start of the process; the start time in
// nanoseconds will do.
func NewSender(dial func(ctx context.Context) (net.Conn, error), generation uint64, now func() time.Time) *Sender {
	return &Sender{dial: dial, generation: generation, now: now}
}

// Send numbers h and sends it. An error tells why the hint was dropped; a
// delivery goes on regardless.
func (s *Sender) Send(ctx context.Context, h Hint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Generation, h.Sequence = s.generation, s.last+1
	packet, err := h.Append(s.buf[:0])
	if err != nil {
		return err
	}
	s.buf = packet
	s.last++
	if err := s.write(ctx, packet); err != nil {
		s.dropped++
		return err
	}
	return nil
}

// Dropped counts the hints that were not sent.
func (s *Sender) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

func (s *Sender) write(ctx context.Context, packet []byte) error {
	if s.conn != nil {
		err := s.push(packet)
		if err == nil || isTimeout(err) {
			return err
		}
		s.drop() // imapd was restarted: try once more at once
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	err := s.push(packet)
	if err != nil && !isTimeout(err) {
		s.drop()
	}
	return err
}

func (s *Sender) connect(ctx context.Context) error {
	now := s.now()
	if !s.dialed.IsZero() && now.Sub(s.dialed) < dialEvery {
		return net.ErrClosed
	}
	s.dialed = now
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	return nil
}

func (s *Sender) push(packet []byte) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := s.conn.Write(packet)
	return err
}

func (s *Sender) drop() {
	_ = s.conn.Close()
	s.conn, s.dialed = nil, time.Time{}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// Close closes the connection.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
