package service

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestCollectorPercent(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live, headroom uint64
		want           int
	}{
		{0, 16 * mib, 400},        // nothing is kept: the runtime takes that for 4 MiB
		{1 * mib, 16 * mib, 400},  // a collection at 16 MiB
		{8 * mib, 16 * mib, 200},  // at 24 MiB
		{16 * mib, 16 * mib, 100}, // from here on as the runtime does by itself
		{900 * mib, 16 * mib, 100},
		{900 * mib, 0, 100},
	} {
		if got := collectorPercent(c.live, c.headroom); got != c.want {
			t.Errorf("%d MiB in use, headroom %d MiB: %d %%, want %d", c.live/mib, c.headroom/mib, got, c.want)
		}
	}
}

// The same garbage makes the collector run less than half as often.
func TestHeadroomSparesCollections(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	before := collections()

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { keepHeadroom(ctx, 64<<20); close(done) }()
	for debug.SetGCPercent(100) == 100 { // until it has begun
		runtime.Gosched()
	}
	debug.SetGCPercent(collectorPercent(0, 64<<20))
	after := collections()
	cancel()
	<-done
	if after*2 > before {
		t.Errorf("%d collections without headroom, %d with it", before, after)
	}
}

// collections counts the collector's runs while 256 MiB of garbage are made.
func collections() uint32 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var kept [16][]byte
	for i := range 256 << 10 {
		kept[i%len(kept)] = make([]byte, 1<<10)
	}
	runtime.KeepAlive(kept)
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}
