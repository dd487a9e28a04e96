package authserver

import (
	"net"
	"sync"
	"time"
)

// Sizes of what waits to be written: from flushAt on it is not collected
// further, at fullAt whoever has more to say waits.
const (
	flushAt = 8 << 10
	fullAt  = 64 << 10
)

// output collects replies and writes those that are ready together in one go.
// Whoever finds nobody writing writes for all. While the reader of the
// connection has further lines at hand, it holds the cork: replies wait for it,
// and it never waits itself. A peer that does not read loses its connection, it
// does not hold up requests. Nothing waiting, no memory held.
type output struct {
	nc      net.Conn
	timeout time.Duration
	spare   *sync.Pool // of *[]byte

	mu      sync.Mutex
	written sync.Cond // on mu: a write has ended
	buf     *[]byte   // nil: nothing waits
	corked  bool
	writing bool
	err     error     // of the first write that failed
	armed   time.Time // when the write deadline was set last
}

func newOutput(nc net.Conn, timeout time.Duration, spare *sync.Pool) *output {
	o := &output{nc: nc, timeout: timeout, spare: spare}
	o.written.L = &o.mu
	return o
}

// open returns the memory to append whole lines to; close takes it back. In
// between nobody else gets it.
func (o *output) open() []byte {
	o.mu.Lock()
	for o.buf != nil && len(*o.buf) > fullAt && o.writing && o.err == nil {
		o.written.Wait()
	}
	if o.buf == nil {
		o.buf, _ = o.spare.Get().(*[]byte)
		if o.buf == nil {
			o.buf = new([]byte)
		}
	}
	return *o.buf
}

func (o *output) close(b []byte) error {
	*o.buf = b
	if o.corked && len(b) < flushAt {
		err := o.err
		o.mu.Unlock()
		return err
	}
	return o.flush()
}

// send is open and close for lines that exist already.
func (o *output) send(lines []byte) error { return o.close(append(o.open(), lines...)) }

func (o *output) cork() {
	o.mu.Lock()
	o.corked = true
	o.mu.Unlock()
}

func (o *output) uncork() error {
	o.mu.Lock()
	o.corked = false
	return o.flush()
}

// flush writes until nothing waits, unless somebody else does. It gives up mu.
func (o *output) flush() error {
	defer o.mu.Unlock()
	if o.writing {
		return o.err
	}
	for o.buf != nil && o.err == nil {
		b := o.buf
		o.buf, o.writing = nil, true
		o.mu.Unlock()
		err := o.write(*b)
		if cap(*b) <= fullAt {
			*b = (*b)[:0]
			o.spare.Put(b)
		}
		o.mu.Lock()
		o.writing = false
		if err != nil {
			o.err = err
			_ = o.nc.Close()
		}
		o.written.Broadcast()
	}
	return o.err
}

// write is done by one at a time. The deadline is moved only when a good part
// of it has passed.
func (o *output) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if now := time.Now(); now.Sub(o.armed) > o.timeout/8 {
		o.armed = now
		_ = o.nc.SetWriteDeadline(now.Add(o.timeout))
	}
	_, err := o.nc.Write(b)
	return err
}
