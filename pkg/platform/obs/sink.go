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

// sink is a place where lines go. write blocks for at most patience and
// returns how many lines were lost. Only a stream or a file takes several, and
// none has the end of the last one.
type sink interface {
	write(lines []byte, now time.Time) (lost int)
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

func (s *socketSink) write(line []byte, now time.Time) (lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest.resting(now) {
		return 1
	}
	deadline := time.Now().Add(patience)
	fresh := s.conn == nil
	err := s.try(line, deadline)
	if err != nil && !fresh && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = s.try(line, deadline) // the old connection may just be stale
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, syscall.EMSGSIZE) {
		s.rest.failed(now)
	}
	return 1
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

func (s *streamSink) write(lines []byte, now time.Time) (lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest.resting(now) {
		return unwritten(lines)
	}
	deadline := time.Now().Add(patience)
	lines = append(lines, '\n')
	if s.part {
		if _, err := s.chunk([]byte("\n"), deadline, now); err != nil {
			return unwritten(lines)
		}
	}
	for len(lines) > 0 {
		n, err := s.chunk(lines, deadline, now)
		if n > 0 {
			s.part = lines[n-1] != '\n'
		}
		if lines = lines[n:]; err != nil {
			return unwritten(lines)
		}
	}
	return 0
}

// chunk writes as much as the stream takes for sure.
func (s *streamSink) chunk(p []byte, deadline, now time.Time) (int, error) {
	if s.ask {
		p = p[:min(len(p), sureBytes)]
		if !s.writable(time.Until(deadline)) {
			s.rest.failed(now)
			return 0, os.ErrDeadlineExceeded
		}
	}
	return s.f.Write(p)
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

func (s *fileSink) write(lines []byte, _ time.Time) (lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines = append(lines, '\n')
	n, err := s.f.Write(lines)
	if err == nil {
		return 0
	}
	return unwritten(lines[n:])
}

func (s *fileSink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.f.Close()
}
