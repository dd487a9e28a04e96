package load

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Every operation is done once, whoever does it.
func TestCrowd(t *testing.T) {
	var mu sync.Mutex
	done := map[int]int{}
	took, err := Crowd(t.Context(), 7, 100, func(worker, i int) error {
		mu.Lock()
		defer mu.Unlock()
		done[i]++
		if worker < 0 || worker >= 7 {
			t.Errorf("worker %d", worker)
		}
		return nil
	})
	if err != nil || len(took) != 100 || len(done) != 100 {
		t.Errorf("%d of %d operations, %v", len(done), len(took), err)
	}
}

func TestCrowdStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := Crowd(t.Context(), 4, 1<<30, func(_, i int) error {
		if i == 50 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestCrowdStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Crowd(ctx, 4, 1<<30, func(_, i int) error {
		if i == 50 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCrowdFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock waits for every worker
		var next [3]int
		took, err := CrowdFor(t.Context(), 3, 20*time.Millisecond, func(worker, i int) error {
			if i != next[worker] {
				t.Errorf("operation %d of worker %d, not %d", i, worker, next[worker])
			}
			next[worker]++
			time.Sleep(time.Millisecond)
			return nil
		})
		if err != nil || len(took) != 60 || next != [3]int{20, 20, 20} {
			t.Errorf("%d operations, %v, %v", len(took), next, err)
		}
	})
}
