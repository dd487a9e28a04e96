package service

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The garbage collector runs when the heap has doubled. A daemon that keeps
// little (a few MiB) and works much would have it run every few hundred
// messages or logins, which costs more than the work. So as much garbage as the
// daemon makes in a second may lie around, whatever is in use, up to
// memory.headroom: one that works little needs no more than the runtime gives.

const (
	// smallHeap is what the Go runtime takes a smaller heap for.
	smallHeap = 4 << 20
	// collectEvery is how long garbage may gather.
	collectEvery = time.Second
)

// collectorPercent is GOGC for a daemon with live bytes in use: the next
// collection comes after headroom bytes of garbage, and never before the heap
// has doubled.
func collectorPercent(live, headroom uint64) int {
	return int(max(100, headroom*100/max(live, smallHeap)))
}

// pace is what is remembered between two collections.
type pace struct {
	percent   int
	allocated uint64 // bytes so far, as of the last one
	at        time.Time
}

// ran is told of a collection and returns the percentage from now on; same
// says that it is not worth a change, which stops the world.
func (p *pace) ran(live, allocated, headroom uint64, now time.Time) (percent int, same bool) {
	made, took := allocated-p.allocated, max(now.Sub(p.at), time.Microsecond)
	p.allocated, p.at = allocated, now
	room := min(float64(made)*float64(collectEvery)/float64(took), float64(headroom))
	next := collectorPercent(live, uint64(room))
	if next*8 >= p.percent*7 && next*7 <= p.percent*8 {
		return p.percent, true
	}
	p.percent = next
	return next, false
}

// keepHeadroom adjusts the collector after each of its runs until ctx is done,
// and leaves it alone where the operator has set GOGC.
func keepHeadroom(ctx context.Context, headroom uint64) {
	if headroom <= smallHeap || os.Getenv("GOGC") != "" {
		return
	}
	_, allocated := memoryUse()
	p := pace{percent: 100, allocated: allocated, at: time.Now()}
	ran := make(chan struct{}, 1)
	watchCollector(ctx, ran)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ran:
		}
		live, allocated := memoryUse()
		if next, same := p.ran(live, allocated, headroom, time.Now()); !same {
			debug.SetGCPercent(next)
		}
	}
}

// watchCollector sends to ran after each collection.
func watchCollector(ctx context.Context, ran chan<- struct{}) {
	sentinel := new([16]byte)
	runtime.AddCleanup(sentinel, func(ran chan<- struct{}) {
		select {
		case ran <- struct{}{}:
		default:
		}
		if ctx.Err() == nil {
			watchCollector(ctx, ran)
		}
	}, ran)
}

// memoryUse is what the last collection found alive, with stacks, and all that
// was ever allocated.
func memoryUse() (live, allocated uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() + samples[1].Value.Uint64(), samples[2].Value.Uint64()
}
