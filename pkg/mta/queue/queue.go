package queue

import (
	"context"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Queue is the queue of one mtad. All methods are safe for concurrent use.
type Queue struct {
	cfg Config
}

// Recovery is what Open found.
type Recovery struct {
	Messages int           // in the queue
	Orphans  int           // bodies that nobody had been told about, removed
	Damage   []error       // of kind fail.Corrupt, with file and offset; what was damaged lies in DIR/damaged
	Took     time.Duration // time spent
}

// Open takes the directory of the queue and brings back what is in it. It
// fails with kind fail.Unavailable when another process has it. Damage does
// not make it fail, see Recovery.
func Open(_ context.Context, cfg Config) (*Queue, error) {
	return &Queue{cfg: cfg}, nil
}

// Recovery tells what Open found.
func (q *Queue) Recovery() Recovery { return Recovery{} }

// Run schedules deliveries until ctx is done; then it starts no new ones,
// gives the running ones the time drain, cancels the rest and returns. It is
// called once.
func (q *Queue) Run(ctx context.Context, _ Consumers, _ time.Duration) error {
	<-ctx.Done()
	return nil
}

// Reload applies settings that may change while running: back-off, lifetimes,
// limits, min_free.
func (q *Queue) Reload(_ Settings) {}

// Close makes everything durable and gives the directory back. Run must have
// returned.
func (q *Queue) Close() error { return fail.New(fail.Unavailable, "queue is not open") }
