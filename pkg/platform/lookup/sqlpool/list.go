package sqlpool

import (
	"context"
	"iter"
	"time"
)

// Each runs s and yields the rows of its answer as they come, over a
// connection of its own; an error is the last thing yielded. query_timeout
// holds for the wait for each row, not for the time that the caller takes.
func (p *Pool) Each(ctx context.Context, s *Statement, args []string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		l := lister{every: p.cfg.QueryTimeout.Std(), yield: yield}
		j := &job{own: true}
		j.use = func(ctx context.Context, c session) error { return l.run(ctx, j, c, s, args) }
		if err := p.queued(ctx, p.lists, j); err != nil && !l.stopped {
			yield(Row{}, err)
		}
	}
}

// lister is one Each.
type lister struct {
	every   time.Duration
	yield   func(Row, error) bool
	stopped bool // the caller has had enough
}

func (l *lister) run(ctx context.Context, j *job, c session, s *Statement, args []string) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(l.every, func() { cancel(errQuery) })
	defer stall.Stop()
	err := c.query(limited, s, args, func(r Row) bool {
		if !stall.Stop() {
			return false
		}
		j.begun = true
		if !l.yield(r, nil) {
			// The connection is closed anyway: nothing waits for the rest.
			l.stopped = true
			cancel(nil)
			return false
		}
		stall.Reset(l.every)
		return true
	})
	switch {
	case l.stopped:
		return nil
	case limited.Err() != nil && ctx.Err() == nil:
		return errQuery
	}
	return err
}
