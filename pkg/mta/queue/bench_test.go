package queue

import (
	"context"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// nowhere takes every message and reads it, as an LMTP client would.
type nowhere struct {
	deaf
	left atomic.Int64
	done chan struct{}
}

func (n *nowhere) Route(_ context.Context, _ *Envelope, r addr.Address) (Route, error) {
	return Route{"lmtp", "unix:/nowhere"}, nil
}

func (n *nowhere) Deliver(_ context.Context, job *Job) Outcome {
	c, err := job.Open()
	if err != nil {
		return Outcome{}
	}
	_, err = io.Copy(io.Discard, c.Reader())
	_ = c.Close()
	if err != nil {
		return Outcome{}
	}
	return all(job, delivered())
}

func (n *nowhere) Compose(context.Context, io.Writer, ID, *Notice) (Composed, error) {
	return Composed{}, nil
}

func (n *nowhere) Removed(ID) {
	if n.left.Add(-1) == 0 {
		close(n.done)
	}
}

// BenchmarkThrough is a message's whole way: 8 KB committed durably by one of
// 50 submitters, scheduled, read again, delivered, removed.
func BenchmarkThrough(b *testing.B) {
	s := DefaultSettings()
	q, err := Open(context.Background(), Config{Settings: s, Dir: b.TempDir() + "/q", FS: disk.OS()})
	if err != nil {
		b.Fatal(err)
	}
	n := &nowhere{done: make(chan struct{})}
	n.left.Store(int64(b.N))
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	go func() { end <- q.Run(ctx, Consumers{n, n, n, n}, time.Second) }()
	body := make([]byte, 8<<10)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for k := i; k < b.N; k += 50 {
				m, err := q.Begin(ctx, int64(len(body)))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = m.Write(body)
				m.SetHeaders([]byte("Received: by test\r\n"), 0)
				if err := m.Commit(ctx, to("a@x.example")); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	accepted := b.Elapsed()
	<-n.done
	b.StopTimer()
	st := q.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64(st.Syncs)/float64(b.N), "syncs/msg")
	b.ReportMetric((cpu()-before)*1e6/float64(b.N), "cpu-us/msg")
	cancel()
	if err := <-end; err != nil {
		b.Fatal(err)
	}
	if err := q.Close(); err != nil {
		b.Fatal(err)
	}
}

// cpu is the time this process has used, in seconds.
func cpu() float64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

// busyHop takes nothing for now.
type busyHop struct {
	nowhere
	tried atomic.Int64
}

func (h *busyHop) Deliver(_ context.Context, job *Job) Outcome { return all(job, deferred("later")) }

func (h *busyHop) Attempted(*Attempt) { h.tried.Add(1) }

// BenchmarkAmong is what a message costs that comes, is tried once and deferred,
// among as many that are deferred already.
func BenchmarkAmong(b *testing.B) {
	for _, n := range []int{1000, 100_000} { // at 1 000 000 it takes minutes, and is the same
		s := DefaultSettings()
		s.MinBackoff, s.MaxBackoff, s.InFlowDelay = s.Lifetime, s.Lifetime, 0
		q, err := Open(context.Background(), Config{Settings: s, Dir: b.TempDir() + "/q", FS: disk.OS()})
		if err != nil {
			b.Fatal(err)
		}
		h := &busyHop{}
		ctx, cancel := context.WithCancel(context.Background())
		end := make(chan error, 1)
		go func() { end <- q.Run(ctx, Consumers{h, h, h, h}, time.Second) }()
		h.arrive(b, q, n)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			before := cpu()
			h.arrive(b, q, b.N)
			b.ReportMetric((cpu()-before)*1e6/float64(b.N), "cpu-us/msg")
		})
		cancel()
		if err := <-end; err != nil {
			b.Fatal(err)
		}
		if err := q.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// arrive has n messages come, and waits until all of them have been tried.
func (h *busyHop) arrive(b *testing.B, q *Queue, n int) {
	b.Helper()
	h.tried.Store(0)
	body := make([]byte, 1<<10)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for k := i; k < n; k += 20 {
				m, err := q.Begin(context.Background(), int64(len(body)))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = m.Write(body)
				m.SetHeaders([]byte("Received: by test\r\n"), 0)
				if err := m.Commit(context.Background(), to("a@x.example")); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for h.tried.Load() < int64(n) && !b.Failed() {
		time.Sleep(time.Millisecond)
	}
}
