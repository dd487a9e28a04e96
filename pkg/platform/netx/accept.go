package netx

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// maxAcceptFailures in a row mean that the listener is broken for good.
const maxAcceptFailures = 100

// acceptor is the accept loop. It keeps one spare descriptor: when the
// process runs out of them, the spare is given up to accept the waiting
// connection and close it, because a peer that is turned away tries again
// later while one in the backlog just hangs.
type acceptor struct {
	l      net.Listener
	log    *obs.Logger
	reject func(net.Conn, Reason)
	pause  func(context.Context, time.Duration) // nil: wait
	spare  *os.File
}

func (a *acceptor) run(ctx context.Context, serve func(net.Conn)) error {
	a.reserve()
	defer a.giveUp()
	failures, pause := 0, time.Duration(0)
	for {
		conn, err := a.l.Accept()
		if err == nil {
			failures, pause = 0, 0
			serve(conn)
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if errors.Is(err, syscall.ECONNABORTED) { // the peer left before we came
			continue
		}
		failures++
		if failures > maxAcceptFailures {
			return fail.Wrap(fail.Permanent, err, "accepting on %v failed %d times in a row", a.l.Addr(), failures)
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			failures-- // an attacker can cause this one; it must not stop the daemon
			a.shed()
		}
		if pause == 0 {
			a.log.Error("cannot accept connections, will try again", obs.Err(err))
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		a.wait(ctx, pause)
	}
}

func (a *acceptor) wait(ctx context.Context, d time.Duration) {
	if a.pause != nil {
		a.pause(ctx, d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (a *acceptor) reserve() {
	if a.spare == nil {
		a.spare, _ = os.Open(os.DevNull)
	}
}

func (a *acceptor) giveUp() {
	if a.spare != nil {
		_ = a.spare.Close()
		a.spare = nil
	}
}

// shed turns one waiting connection away with the spare descriptor. The
// deadline keeps it from waiting when the connection is gone already.
func (a *acceptor) shed() {
	if a.spare == nil {
		a.reserve()
		return
	}
	a.giveUp()
	defer a.reserve()
	d, ok := a.l.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return
	}
	_ = d.SetDeadline(time.Now().Add(10 * time.Millisecond))
	defer func() { _ = d.SetDeadline(time.Time{}) }()
	if conn, err := a.l.Accept(); err == nil {
		a.reject(conn, NoDescriptors)
		_ = conn.Close()
	}
}
