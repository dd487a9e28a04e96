package session

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// register knows the sessions that are open.
type register struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*session
	idle chan struct{} // closed when the last session has gone, while somebody waits
}

func (g *register) add(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = map[uint64]*session{}
	}
	g.last++
	s.id = g.last
	g.open[s.id] = s
}

func (g *register) remove(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, s.id)
	if len(g.open) == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

func (g *register) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// list is the sessions in the order they began.
func (g *register) list() []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*session, 0, len(g.open))
	for _, s := range g.open {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	return all
}

// wait returns when no session is left; after limit it closes the connections
// of those that are.
func (g *register) wait(limit time.Duration) {
	g.mu.Lock()
	if len(g.open) == 0 {
		g.mu.Unlock()
		return
	}
	done := make(chan struct{})
	g.idle = done
	g.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-timer.C:
	}
	for _, s := range g.list() {
		s.stream.Close()
	}
	<-done
}
