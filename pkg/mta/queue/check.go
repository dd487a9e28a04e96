package queue

import (
	"context"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/spool"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// CheckReport is what Check found.
type CheckReport struct {
	Messages int     // sound
	Bytes    int64   // of these
	Segments int     // files of small messages
	Orphans  int     // bodies of submissions that were never completed; no damage
	Unlisted int     // messages that a damaged state log has lost; on hold after a repair
	Damage   []error // of kind fail.Corrupt, with file and offset
	Repaired int     // damaged messages that were taken out; their bytes are in DIR/damaged
}

// Check reads every byte of the queue in cfg.Dir, which no process may use
// meanwhile (else kind fail.Unavailable). It changes nothing unless repair is
// set: then damaged records and messages are moved to DIR/damaged.
func Check(ctx context.Context, cfg Config, repair bool) (*CheckReport, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = obs.Discard()
	}
	r, err := spool.Check(ctx, spoolConfig(&cfg), repair)
	if err != nil {
		return nil, err
	}
	out := &CheckReport{Messages: r.Messages, Bytes: r.Bytes, Segments: r.Segments, Orphans: r.Orphans, Unlisted: r.Unlisted, Repaired: r.Repaired}
	for _, d := range r.Damage {
		out.Damage = append(out.Damage, fail.Wrap(fail.Corrupt, d, "queue"))
	}
	return out, nil
}
