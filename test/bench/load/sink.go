package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Sink is an LMTP server that takes everything and keeps nothing.
type Sink struct {
	l        net.Listener
	received atomic.Int64
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
}

// NewSink listens on a loopback port. A silent one answers nobody: what is for
// it stays with its sender.
func NewSink(silent bool) (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sink{l: l, conns: map[net.Conn]bool{}}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.hold(nc, true)
			s.wg.Add(1)
			go func() {
				defer s.wg.Done()
				defer s.hold(nc, false)
				if silent {
					_, _ = io.Copy(io.Discard, nc)
					return
				}
				_ = s.serve(nc)
			}()
		}
	}()
	return s, nil
}

func (s *Sink) hold(nc net.Conn, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if yes {
		s.conns[nc] = true
		return
	}
	delete(s.conns, nc)
	_ = nc.Close()
}

// Address is where the sink listens.
func (s *Sink) Address() string { return s.l.Addr().String() }

// Received counts the messages that have come so far, once for each recipient.
func (s *Sink) Received() int { return int(s.received.Load()) }

// Close ends the sink and its connections.
func (s *Sink) Close() {
	_ = s.l.Close()
	s.mu.Lock()
	for nc := range s.conns {
		_ = nc.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// serve speaks with one client until it goes.
func (s *Sink) serve(nc net.Conn) error {
	r, w := bufio.NewReaderSize(nc, 16<<10), bufio.NewWriter(nc)
	fmt.Fprint(w, "220 sink.test LMTP\r\n")
	recipients := 0
	for {
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		l, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		verb := string(bytes.ToUpper(l[:min(len(l), 4)]))
		switch verb {
		case "LHLO":
			fmt.Fprint(w, "250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
		case "RCPT":
			recipients++
			fmt.Fprint(w, "250 2.1.5 OK\r\n")
		case "DATA":
			fmt.Fprint(w, "354 go on\r\n")
			if err := w.Flush(); err != nil {
				return err
			}
			if err := skipMessage(r); err != nil {
				return err
			}
			for range recipients {
				fmt.Fprint(w, "250 2.0.0 taken\r\n")
				s.received.Add(1)
			}
			recipients = 0
		case "QUIT":
			fmt.Fprint(w, "221 2.0.0 bye\r\n")
			return w.Flush()
		default: // MAIL, RSET, NOOP
			fmt.Fprint(w, "250 2.0.0 OK\r\n")
		}
	}
}

// skipMessage reads up to the dot that ends a message.
func skipMessage(r *bufio.Reader) error {
	whole := true // the last line was complete
	for {
		l, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		if whole && bytes.Equal(l, []byte(".\r\n")) {
			return nil
		}
		whole = err == nil
	}
}
