package netx

import (
	"runtime"
	"sync"
	"testing"
)

// TestCrewRunsJobsBesideEachOther: no job waits for another one to end, and
// Wait waits for all.
func TestCrewRunsJobsBesideEachOther(t *testing.T) {
	for _, rest := range []int{0, 1, 3, 100} {
		c := Crew{Rest: rest}
		for range 3 {
			var all sync.WaitGroup
			all.Add(20)
			for range 20 {
				c.Go(func() { all.Done(); all.Wait() })
			}
			all.Wait()
		}
		done := false
		c.Go(func() { runtime.Gosched(); done = true })
		c.Wait()
		if !done {
			t.Error("Wait did not wait")
		}
		if n := c.resting.Load(); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
	}
	new(Crew).Wait() // without a job
}

// TestCrewUsesGoroutinesAgain: who rests gets the next job.
func TestCrewUsesGoroutinesAgain(t *testing.T) {
	var c Crew
	defer c.Wait()
	c.Go(func() {})
	for c.resting.Load() == 0 {
		runtime.Gosched()
	}
	again := false
	for range 1000 { // who rests may still be on the way to it
		before := runtime.NumGoroutine()
		done := make(chan struct{})
		c.Go(func() { close(done) })
		again = again || runtime.NumGoroutine() == before
		<-done
	}
	if !again {
		t.Error("each job had a goroutine of its own")
	}
}
