package obs

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// sink is a place where lines go. write blocks for at most patience.
type sink interface {
	write(line []byte, now time.Time) error
	close() error
}

// patience is how long one line may hold up the daemon, and how long a place
// that did not take a line is left alone after that.
const patience = time.Second

// places are where the system keeps its logs; tests have their own.
type places struct {
	stderr  *os.File
	syslog  string
	journal string
	host    string
}

func systemPlaces() places {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	return places{stderr: os.Stderr, syslog: "/dev/log", journal: "/run/systemd/journal/socket", host: host}
}

// rest is a circuit breaker: after a failure the place is not tried again
// for a while, so that a dead one costs patience once and not per line.
type rest struct{ until time.Time }

func (r *rest) resting(now time.Time) bool { return now.Before(r.until) }

func (r *rest) failed(now time.Time) { r.until = now.Add(patience) }

func errResting() error { return fail.New(fail.Unavailable, "the log does not take lines") }

// socketSink is a datagram socket: /dev/log or the journal's. It connects
// when needed and again when the other side was restarted.
type socketSink struct {
	mu   sync.Mutex
	path string
	conn net.Conn
	rest rest
	// ends lines of a stream socket, which some syslog daemons offer.
	stream bool
}

func newSocketSink(path string) *socketSink { return &socketSink{path: path} }

func (s *socketSink) write(line []byte, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest.resting(now) {
		return errResting()
	}
	deadline := time.Now().Add(patience)
	fresh := s.conn == nil
	err := s.try(line, deadline)
	if err != nil && !fresh && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = s.try(line, deadline) // the old connection may just be stale
	}
	if err != nil && !errors.Is(err, syscall.EMSGSIZE) {
		s.rest.failed(now)
	}
	return err
}

func (s *socketSink) try(line []byte, deadline time.Time) error {
	if s.conn == nil {
		if err := s.connect(deadline); err != nil {
			return err
		}
	}
	if s.stream {
		line = append(line, '\n')
	}
	err := s.conn.SetWriteDeadline(deadline)
	if err == nil {
		_, err = s.conn.Write(line)
	}
	if err != nil && !errors.Is(err, syscall.EMSGSIZE) {
		s.conn.Close()
		s.conn = nil
	}
	return err
}

func (s *socketSink) connect(deadline time.Time) (err error) {
	d := net.Dialer{Deadline: deadline}
	s.stream = false
	s.conn, err = d.Dial("unixgram", s.path)
	if errors.Is(err, syscall.EPROTOTYPE) {
		s.stream = true
		s.conn, err = d.Dial("unix", s.path)
	}
	if err != nil {
		s.conn = nil // never an interface around a nil pointer
	}
	return err
}

func (s *socketSink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// streamSink is standard error: a terminal, a file, a pipe or the journal's
// stream socket. Other processes may share it, so it is not switched to
// non-blocking mode but asked before each write.
type streamSink struct {
	mu   sync.Mutex
	f    *os.File
	ask  bool // it can fill up
	part bool // the end of a line is missing
	rest rest
}

func newStreamSink(f *os.File) *streamSink {
	s := &streamSink{f: f}
	if info, err := f.Stat(); err == nil {
		s.ask = info.Mode()&(os.ModeNamedPipe|os.ModeSocket|os.ModeCharDevice) != 0
	}
	return s
}

// sureBytes fit into a pipe or socket that poll calls writable (PIPE_BUF).
const sureBytes = 4096

func (s *streamSink) write(line []byte, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest.resting(now) {
		return errResting()
	}
	deadline := time.Now().Add(patience)
	line = append(line, '\n')
	if s.part {
		line = append([]byte("\n"), line...)
	}
	for len(line) > 0 {
		chunk := line
		if s.ask {
			chunk = line[:min(len(line), sureBytes)]
			if !s.writable(time.Until(deadline)) {
				s.rest.failed(now)
				return errResting()
			}
		}
		if _, err := s.f.Write(chunk); err != nil {
			return err
		}
		line = line[len(chunk):]
		s.part = len(line) > 0
	}
	return nil
}

func (s *streamSink) writable(wait time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(s.f.Fd()), Events: unix.POLLOUT}}
	for {
		n, err := unix.Poll(fds, max(0, int(wait.Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err != nil || n > 0 // a write tells what is wrong
	}
}

func (s *streamSink) close() error { return nil }

// fileSink appends to a file.
type fileSink struct {
	mu   sync.Mutex
	path string
	f    *os.File
}

func openFileSink(path string) (*fileSink, error) {
	s := &fileSink{path: path}
	return s, s.reopen()
}

func (s *fileSink) reopen() error {
	f, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fail.Wrap(fail.Unavailable, err, "open log file")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.f
	s.f = f
	if old != nil {
		return old.Close()
	}
	return nil
}

func (s *fileSink) write(line []byte, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.f.Write(append(line, '\n'))
	return err
}

func (s *fileSink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.f.Close()
}
