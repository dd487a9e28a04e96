package service

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The garbage collector runs when the heap has doubled. A daemon that keeps
// little (a few MiB) and works much would have it run every few hundred
// messages or logins, which costs more than the work. So garbage of a fixed
// size, memory.headroom, may always lie around, whatever is in use.

// smallHeap is what the Go runtime takes a smaller heap for.
const smallHeap = 4 << 20

// collectorPercent is GOGC for a daemon with live bytes in use: the next
// collection comes after headroom bytes of garbage, and never before the heap
// has doubled.
func collectorPercent(live, headroom uint64) int {
	return int(max(100, headroom*100/max(live, smallHeap)))
}

// keepHeadroom adjusts the collector after each of its runs until ctx is done,
// and leaves it alone where the operator has set GOGC.
func keepHeadroom(ctx context.Context, headroom uint64) {
	if headroom <= smallHeap || os.Getenv("GOGC") != "" {
		return
	}
	now := collectorPercent(0, headroom)
	debug.SetGCPercent(now)
	ran := make(chan struct{}, 1)
	watchCollector(ctx, ran)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ran:
		}
		next := collectorPercent(bytesInUse(), headroom)
		// Setting it stops the world: small steps are not worth it.
		if next*8 < now*7 || next*7 > now*8 {
			debug.SetGCPercent(next)
			now = next
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

// bytesInUse is what the last collection found alive, with stacks.
func bytesInUse() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() + samples[1].Value.Uint64()
}
