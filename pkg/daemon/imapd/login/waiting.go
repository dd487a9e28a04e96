package login

import (
	"container/list"
	"context"
	"errors"
	"net/netip"
	"sync"

	"github.com/postcote/postcote/pkg/platform/netx"
)

// errPushedOut ends a connection that waited longest for a login while all
// places were taken.
var errPushedOut = errors.New("pushed out by a newer connection")

// waiting is the connections on which nobody has logged in yet. Their number
// is bounded; a new one pushes the oldest out rather than being turned away,
// because a flood of idle strangers must not keep users from logging in.
type waiting struct {
	limit   int
	perSite int
	exempt  []netip.Prefix

	mu    sync.Mutex
	queue list.List // of context.CancelCauseFunc, oldest first
	sites netx.Tally[netip.Prefix]
}

// enter takes a place. The returned context ends with cause errPushedOut when
// the place is needed; leave gives it back and may be called twice. ok is
// false when the peer's address has too many places already, which does not
// bind a trusted one.
func (w *waiting) enter(ctx context.Context, peer netip.Addr, trusted bool) (_ context.Context, leave func(), ok bool) {
	site, counted := w.site(peer)
	counted = counted && !trusted
	if counted && !w.sites.Take(site, w.perSite) {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue.Len() >= w.limit {
		oldest := w.queue.Front()
		w.queue.Remove(oldest)
		oldest.Value.(context.CancelCauseFunc)(errPushedOut)
	}
	place := w.queue.PushBack(cancel)
	leave = sync.OnceFunc(func() {
		if counted {
			w.sites.Give(site) // first, so that whoever is not seen any more holds nothing
		}
		w.mu.Lock()
		w.queue.Remove(place) // nothing happens if it was pushed out
		w.mu.Unlock()
		cancel(nil)
	})
	return ctx, leave, true
}

func (w *waiting) site(peer netip.Addr) (netip.Prefix, bool) {
	peer = peer.Unmap().WithZone("")
	if w.perSite <= 0 || !peer.IsValid() || netx.Among(w.exempt, peer) {
		return netip.Prefix{}, false
	}
	return netx.Site(peer), true
}

func (w *waiting) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.queue.Len()
}
