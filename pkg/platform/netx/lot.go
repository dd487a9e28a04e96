package netx

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

// Lot is where connections wait that are silent for long. A goroutine that
// waits holds a stack of 8 KiB once it has done some work, even when nothing
// of that is in use; what is parked holds a few hundred bytes. One goroutine
// waits for all of them.
type Lot struct {
	file *os.File // an epoll instance of its own, which the runtime's poller watches
	raw  syscall.RawConn
	done chan struct{}

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
	l := &Lot{file: os.NewFile(uintptr(ep), "lot"), ep: ep, spots: map[uint64]*Spot{}, done: make(chan struct{})}
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
	go s.leave()
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

// Close wakes all that wait. Park fails from then on.
func (l *Lot) Close() error {
	l.mu.Lock()
	for _, s := range l.spots {
		l.release(s)
	}
	l.ep = -1
	l.mu.Unlock()
	err := l.file.Close()
	<-l.done
	return err
}
