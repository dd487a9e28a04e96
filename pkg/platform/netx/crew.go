package netx

import (
	"sync"
	"sync/atomic"
)

// Crew runs jobs on goroutines that it uses again. A new goroutine has a small
// stack, and to double it time and again costs a short job, which goes deep all
// the same, more than its work. The zero value keeps one goroutine.
type Crew struct {
	// Rest is how many goroutines may wait for the next job; at least one.
	Rest int

	once    sync.Once
	jobs    chan func()
	resting atomic.Int32
	wg      sync.WaitGroup
}

// Go runs job at once, beside all others.
func (c *Crew) Go(job func()) {
	c.once.Do(c.make)
	select {
	case c.jobs <- job:
	default:
		c.wg.Add(1)
		go c.work(job)
	}
}

func (c *Crew) make() { c.jobs = make(chan func()) }

// Wait returns when all jobs are done and no goroutine is left. There is no Go
// after it.
func (c *Crew) Wait() {
	c.once.Do(c.make)
	close(c.jobs)
	c.wg.Wait()
}

func (c *Crew) work(job func()) {
	defer c.wg.Done()
	for job != nil {
		job()
		job = nil // what it held is not kept alive by who rests
		if int(c.resting.Add(1)) <= max(c.Rest, 1) {
			job = <-c.jobs // nil after Wait
		}
		c.resting.Add(-1)
	}
}
