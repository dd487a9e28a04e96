package queue

import "context"

// Selection says which messages an operator means. All selects everything;
// otherwise the messages that are in IDs, or have a recipient for which
// Destination is the domain.
type Selection struct {
	All         bool
	IDs         []ID
	Destination string
}

// Hold keeps the selected messages from being tried until Release. A delivery
// that is running ends first. It returns how many changed; an id that is not
// there gives an error of kind fail.NotFound after the others were done. All
// of Hold, Release, Delete, Requeue and Expire are durable when they return.
func (q *Queue) Hold(_ context.Context, _ Selection) (int, error) { return 0, nil }

// Release ends Hold.
func (q *Queue) Release(_ context.Context, _ Selection) (int, error) { return 0, nil }

// Delete removes messages without telling their senders. A delivery that is
// running is not called back.
func (q *Queue) Delete(_ context.Context, _ Selection) (int, error) { return 0, nil }

// Flush tries deferred messages now and forgets that their destinations are
// down. It returns how many were made due.
func (q *Queue) Flush(_ context.Context, _ Selection) (int, error) { return 0, nil }

// Requeue makes unfinished recipients as if they had just arrived: no
// reason, no attempts, tried at once with a new route. Held ones are released.
func (q *Queue) Requeue(_ context.Context, _ Selection) (int, error) { return 0, nil }

// Expire gives the selected messages up as if their lifetime were over:
// recipients not delivered so far are returned to the sender.
func (q *Queue) Expire(_ context.Context, _ Selection) (int, error) { return 0, nil }
