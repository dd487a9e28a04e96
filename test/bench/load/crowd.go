package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Crowd lets workers do n operations, each as soon as it has done its last one,
// and returns how long each took. The first error ends the work.
func Crowd(ctx context.Context, workers, n int, op func(worker, i int) error) ([]time.Duration, error) {
	var next atomic.Int64
	return work(ctx, workers, func(worker int) (bool, error) {
		i := int(next.Add(1) - 1)
		if i >= n {
			return false, nil
		}
		return true, op(worker, i)
	})
}

// CrowdFor is Crowd until d is over; op numbers the operations of each worker.
func CrowdFor(ctx context.Context, workers int, d time.Duration, op func(worker, i int) error) ([]time.Duration, error) {
	end := time.Now().Add(d)
	done := make([]int, workers)
	return work(ctx, workers, func(worker int) (bool, error) {
		if !time.Now().Before(end) {
			return false, nil
		}
		done[worker]++
		return true, op(worker, done[worker]-1)
	})
}

// work runs step in each worker until it says that there is no more.
func work(outer context.Context, workers int, step func(worker int) (bool, error)) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	took, errs := make([][]time.Duration, workers), make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil {
				began := time.Now()
				more, err := step(w)
				if err != nil {
					errs[w] = err
					cancel()
				}
				if !more || err != nil {
					return
				}
				took[w] = append(took[w], time.Since(began))
			}
		}()
	}
	wg.Wait()
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, outer.Err()
}
