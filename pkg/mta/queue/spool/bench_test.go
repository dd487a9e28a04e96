package spool

import (
	"context"
	"sync"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// BenchmarkEnqueue is the figure of merit: durable commits of 8 KB by many
// submitters, each message finished again.
func BenchmarkEnqueue(b *testing.B) {
	for _, c := range []struct {
		name    string
		writers int
		size    int
	}{{"1x8K", 1, 8 << 10}, {"50x1K", 50, 1 << 10}, {"50x8K", 50, 8 << 10}, {"200x8K", 200, 8 << 10}, {"50x100K", 50, 100 << 10}, {"50x300K", 50, 300 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := testConfig(disk.OS())
			cfg.Dir, cfg.Large, cfg.Budget, cfg.SegmentSize, cfg.FreeKept, cfg.LogSize = b.TempDir(), 256<<10, 64<<20, 32<<20, 4, 64<<20
			s, _ := mustOpen(b, cfg)
			defer mustClose(b, s)
			data := body(1, c.size)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			var wg sync.WaitGroup
			for i := range c.writers {
				wg.Go(func() {
					for k := i; k < b.N; k += c.writers {
						enqueueAndFinish(b, s, data)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			st := s.Stats()
			n := float64(b.N)
			b.ReportMetric(n/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(st.Syncs+st.StateSyncs)/n, "syncs/msg")
			b.ReportMetric((cpu()-before)*1e6/n, "cpu-us/msg")
		})
	}
}

func enqueueAndFinish(b *testing.B, s *Spool, data []byte) {
	w, err := s.Begin(int64(len(data)))
	if err != nil {
		b.Error(err)
		return
	}
	if _, err := w.Write(data); err != nil {
		b.Error(err)
	}
	e, err := w.Commit(context.Background(), envelope(1), []byte("Received: by test\r\n"), 0)
	if err != nil {
		b.Error(err)
		return
	}
	s.Remove(e)
	s.Done()
}

// cpu is the time this process has used, in seconds.
func cpu() float64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

// BenchmarkReopen is a restart with many deferred messages.
func BenchmarkReopen(b *testing.B) {
	fsys := disk.OS()
	cfg := testConfig(fsys)
	cfg.Dir, cfg.SegmentSize = b.TempDir(), 32<<20
	s, _ := mustOpen(b, cfg)
	var wg sync.WaitGroup
	const n = 50_000
	for i := range 50 {
		wg.Go(func() {
			for k := i; k < n; k += 50 {
				e := mustAdd(b, s, k, 1000, 1)
				s.Park(e)
			}
		})
	}
	wg.Wait()
	mustClose(b, s)
	b.ResetTimer()
	for range b.N {
		s, r := mustOpen(b, cfg)
		if r.Messages != n {
			b.Fatalf("%d messages", r.Messages)
		}
		b.StopTimer()
		mustClose(b, s)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "us/msg")
}
