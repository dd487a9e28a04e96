package service

import (
	"context"
	"runtime/debug"
	gauge "runtime/metrics"
	"time"
)

const (
	quietEvery = 5 * time.Second
	// A process that has allocated less than quietBytes since the last look is
	// quiet; worthCollecting is what it must have allocated before.
	quietBytes      = 1 << 20
	worthCollecting = 8 << 20
)

// quiet notices that a process has become quiet. The runtime collects when a
// process allocates: what many handshakes have left would stay in memory for
// minutes when all those clients go idle.
type quiet struct {
	cycles    uint64 // collections so far
	allocated uint64 // bytes so far
	collected uint64 // bytes that the last collection has seen
}

// due reports whether it is worth it to collect now.
func (q *quiet) due(cycles, allocated uint64) bool {
	busy := allocated-q.allocated > quietBytes
	if cycles != q.cycles {
		q.collected = q.allocated
	}
	q.cycles, q.allocated = cycles, allocated
	if busy || allocated-q.collected < worthCollecting {
		return false
	}
	q.collected = allocated
	return true
}

// keepSmall gives memory back to the system whenever the process has become
// quiet, until ctx is done.
func keepSmall(ctx context.Context) {
	t := time.NewTicker(quietEvery)
	defer t.Stop()
	var q quiet
	m := []gauge.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/allocs:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if gauge.Read(m); q.due(m[0].Value.Uint64(), m[1].Value.Uint64()) {
				debug.FreeOSMemory()
			}
		}
	}
}
