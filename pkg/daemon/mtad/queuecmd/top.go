package queuecmd

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

const (
	topRows    = 30
	topKinds   = 10000 // different rows that are counted
	topReason  = 100   // of a reason, so that its end (an id, a time) does not tell rows apart
	topOverrun = "(others)"
)

// top counts the queue.
func top(ctx context.Context, q *queue.Queue, now time.Time, emit control.Emit) error {
	t := Top{Time: now.Unix(), Rows: []TopRow{}, Destinations: q.Destinations()}
	type kind struct{ domain, reason string }
	rows := map[kind]*TopRow{}
	for e := range q.List(queue.Filter{}) {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.Messages++
		for i := range e.Recipients {
			r := &e.Recipients[i]
			if r.Status.Final() {
				continue
			}
			t.Recipients++
			k := kind{strings.ToLower(r.Addr.Domain), r.Reason[:min(len(r.Reason), topReason)]}
			if e.Place == queue.Held {
				k.reason = "on hold"
			}
			if rows[k] == nil && len(rows) >= topKinds {
				k = kind{topOverrun, ""}
			}
			row := rows[k]
			if row == nil {
				row = &TopRow{Domain: k.domain, Reason: strings.ToValidUTF8(k.reason, ""), Oldest: e.Arrival.Unix()}
				rows[k] = row
			}
			row.Recipients++
			row.Oldest = min(row.Oldest, e.Arrival.Unix())
		}
	}
	for _, row := range rows {
		t.Rows = append(t.Rows, *row)
	}
	slices.SortFunc(t.Rows, func(a, b TopRow) int {
		return cmp.Or(cmp.Compare(b.Recipients, a.Recipients), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Reason, b.Reason))
	})
	t.Rows = t.Rows[:min(len(t.Rows), topRows)]
	t.Destinations = t.Destinations[:min(len(t.Destinations), topRows)]
	return emit(t)
}

// pauseVerbs stop and go on.
func pauseVerbs(q *queue.Queue) []control.Verb {
	one := func(args []string) (string, error) {
		if len(args) != 1 {
			return "", fail.New(fail.Invalid, "name one destination, a transport with a colon behind it, or ALL")
		}
		return args[0], nil
	}
	return []control.Verb{
		{Name: VerbPause, Who: control.Admin, Handler: func(_ context.Context, args []string, emit control.Emit) error {
			name, err := one(args)
			if err == nil {
				err = q.Pause(name)
			}
			if err != nil {
				return err
			}
			return emit(Paused{q.Paused()})
		}},
		{Name: VerbResume, Who: control.Admin, Handler: func(ctx context.Context, args []string, emit control.Emit) error {
			name, err := one(args)
			if err != nil {
				return err
			}
			n, err := q.Resume(ctx, name)
			if err != nil {
				return err
			}
			return emit(Changed{Changed: n})
		}},
		{Name: VerbPaused, Who: control.Admin, Handler: func(_ context.Context, _ []string, emit control.Emit) error {
			return emit(Paused{q.Paused()})
		}},
	}
}
