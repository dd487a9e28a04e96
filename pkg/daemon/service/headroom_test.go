package service

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
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

func TestPaceFollowsTheWork(t *testing.T) {
	const mib = 1 << 20
	p := pace{percent: 100}
	at := time.Time{}
	p.at = at
	for i, c := range []struct {
		made  uint64
		after time.Duration
		want  int
		same  bool
	}{
		{4 * mib, 100 * time.Millisecond, 400, false}, // 40 MiB a second: all that may be
		{16 * mib, 400 * time.Millisecond, 400, true},
		{16 * mib, 2 * time.Second, 200, false}, // 8 MiB a second
		{8 * mib, time.Second, 200, true},
		{8 * mib, 1100 * time.Millisecond, 200, true}, // too little to be worth it
		{8 * mib, time.Minute, 100, false},            // nearly idle: as the runtime does by itself
		{4 * mib, time.Minute, 100, true},
		{4 * mib, 0, 400, false},
	} {
		at = at.Add(c.after)
		if got, same := p.ran(mib, p.allocated+c.made, 16*mib, at); got != c.want || same != c.same {
			t.Errorf("step %d: %d %%, the same: %v; want %d, %v", i, got, same, c.want, c.same)
		}
	}
}

// The same garbage makes the collector run less than half as often, once it
// has been seen how fast it is made.
func TestHeadroomSparesCollections(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	before := collections()

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { keepHeadroom(ctx, 64<<20); close(done) }()
	after := before
	for try := 0; try < 20 && after*2 > before; try++ {
		after = collections()
	}
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
