package netx

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// WaitReadable returns when a Read on conn would not wait: bytes, end of
// file, or an error are there. It holds no buffer, so that thousands of idle
// sessions cost nothing but their stacks. The read deadline and Close end it
// with the error that Read would give. It looks through wrappers at the
// operating system's connection; do not use it on a tls.Conn, which may have
// decrypted bytes of its own (see Lazy).
func WaitReadable(conn net.Conn) error {
	for c := conn; ; {
		if b, ok := c.(interface{ Buffered() int }); ok && b.Buffered() > 0 {
			return nil
		}
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = w.NetConn()
	}
	raw, err := syscallConn(conn)
	if err != nil {
		return err
	}
	return waitReadable(raw)
}

// waitReadable asks poll(2) with no timeout inside the runtime's own wait:
// the callback is called again whenever the poller sees an edge.
func waitReadable(raw syscall.RawConn) error {
	var perr error
	err := raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(p, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			perr = err
			return err != nil || n > 0
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("poll", perr)
}

// ErrWouldBlock is what a Lazy connection's Read returns instead of waiting.
// It is a temporary net.Error, which crypto/tls passes on without breaking
// the connection.
var ErrWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no bytes are there yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// Lazy is a connection whose Read can be told to return ErrWouldBlock rather
// than wait. Put below a tls.Conn it answers a question that crypto/tls does
// not: whether a Read can be served from what was received already. So a pump
// reads until ErrWouldBlock, gives its buffer back, and calls Wait.
type Lazy struct {
	net.Conn
	raw  syscall.RawConn
	lazy atomic.Bool
}

// NewLazy wraps a connection of the operating system; it waits until SetLazy.
func NewLazy(conn net.Conn) (*Lazy, error) {
	raw, err := syscallConn(conn)
	if err != nil {
		return nil, err
	}
	return &Lazy{Conn: conn, raw: raw}, nil
}

// NetConn returns the connection behind.
func (l *Lazy) NetConn() net.Conn { return l.Conn }

// SetLazy says whether Read returns ErrWouldBlock rather than wait.
func (l *Lazy) SetLazy(on bool) { l.lazy.Store(on) }

// Wait is WaitReadable.
func (l *Lazy) Wait() error { return waitReadable(l.raw) }

// CloseWrite half-closes, where the connection can.
func (l *Lazy) CloseWrite() error { return CloseWrite(l.Conn) }

func (l *Lazy) Read(p []byte) (int, error) {
	if !l.lazy.Load() || len(p) == 0 {
		return l.Conn.Read(p)
	}
	if b, ok := l.Conn.(interface{ Buffered() int }); ok && b.Buffered() > 0 {
		return l.Conn.Read(p)
	}
	ready := false
	var perr error
	err := l.raw.Control(func(fd uintptr) {
		f := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(f, 0)
		ready, perr = n > 0, err
	})
	switch {
	case err != nil:
		return 0, err
	case perr != nil && !errors.Is(perr, unix.EINTR):
		return 0, os.NewSyscallError("poll", perr)
	case !ready:
		return 0, ErrWouldBlock
	}
	return l.Conn.Read(p)
}

// Lot is where connections wait that are silent for long. A goroutine that
// waits holds a stack of 8 KiB once it has done some work, even when nothing
// of that is in use; what is parked holds a few hundred bytes. One goroutine
// waits for all of them.
type Lot struct {
	file *os.File // an epoll instance of its own, which the runtime's poller watches
	raw  syscall.RawConn
	done chan struct{}
	crew Crew // of those that leave

	mu    sync.Mutex
	ep    int // -1 when closed
	last  uint64
	spots map[uint64]*Spot
}

// Spot is the place of one connection in a Lot.
type Spot struct {
	lot   *Lot
	id    uint64
	raw   syscall.RawConn
	timer *time.Timer // nil: it may wait for ever
	leave func()
}

// NewLot starts the goroutine that waits; Close ends it.
func NewLot() (*Lot, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(ep, true); err != nil {
		_ = unix.Close(ep)
		return nil, os.NewSyscallError("fcntl", err)
	}
	l := &Lot{file: os.NewFile(uintptr(ep), "lot"), ep: ep, spots: map[uint64]*Spot{}, done: make(chan struct{}), crew: Crew{Rest: 16}}
	if l.raw, err = l.file.SyscallConn(); err == nil {
		err = l.file.SetReadDeadline(time.Time{}) // fails when the runtime does not watch it
	}
	if err != nil {
		_ = l.file.Close()
		return nil, err
	}
	go l.run()
	return l, nil
}

// errLotClosed is for who comes after Close.
var errLotClosed = fail.New(fail.Unavailable, "nobody waits for connections any more")

// Park has leave called, in a goroutine of its own, when a read on conn would
// not wait, when d has passed (0: never), by Wake, or when the lot closes: once,
// by whichever comes first. Nobody may read from conn or close it before that:
// who must close it calls Wake first. After an error the caller waits himself.
func (l *Lot) Park(conn net.Conn, d time.Duration, leave func()) (*Spot, error) {
	raw, err := syscallConn(conn)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ep < 0 {
		return nil, errLotClosed
	}
	l.last++
	s := &Spot{lot: l, id: l.last, raw: raw, leave: leave}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(uint32(s.id)), Pad: int32(uint32(s.id >> 32))}
	var cerr error
	if err := raw.Control(func(fd uintptr) { cerr = unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, int(fd), &ev) }); err != nil {
		return nil, err
	}
	if cerr != nil {
		return nil, os.NewSyscallError("epoll_ctl", cerr)
	}
	l.spots[s.id] = s
	if d > 0 {
		s.timer = time.AfterFunc(d, s.Wake)
	}
	return s, nil
}

// Wake ends the wait, if it has not ended. It does not block and may be called
// at any time, by anybody.
func (s *Spot) Wake() {
	s.lot.mu.Lock()
	defer s.lot.mu.Unlock()
	s.lot.release(s)
}

// release sends a connection on its way; mu is held.
func (l *Lot) release(s *Spot) {
	if l.spots[s.id] != s {
		return
	}
	delete(l.spots, s.id)
	if s.timer != nil {
		s.timer.Stop()
	}
	_ = s.raw.Control(func(fd uintptr) { _ = unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, int(fd), nil) })
	l.crew.Go(s.leave)
}

// Parked is how many connections wait.
func (l *Lot) Parked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.spots)
}

// run waits, until Close.
func (l *Lot) run() {
	defer close(l.done)
	events := make([]unix.EpollEvent, 128)
	for {
		n := 0
		var werr error
		err := l.raw.Read(func(fd uintptr) bool {
			n, werr = unix.EpollWait(int(fd), events, 0)
			return n > 0 || werr != nil && !errors.Is(werr, unix.EINTR)
		})
		if err != nil || werr != nil {
			return
		}
		l.mu.Lock()
		for _, ev := range events[:n] {
			if s := l.spots[uint64(uint32(ev.Fd))|uint64(uint32(ev.Pad))<<32]; s != nil {
				l.release(s)
			}
		}
		l.mu.Unlock()
	}
}

// Close wakes all that wait, and returns when what they do then is done. Park
// fails from then on.
func (l *Lot) Close() error {
	l.mu.Lock()
	if l.ep < 0 {
		l.mu.Unlock()
		return nil
	}
	for _, s := range l.spots {
		l.release(s)
	}
	l.ep = -1
	l.mu.Unlock()
	err := l.file.Close()
	<-l.done
	l.crew.Wait()
	return err
}
