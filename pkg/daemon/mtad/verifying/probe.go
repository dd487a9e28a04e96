package verifying

import (
	"context"

	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/mta/verify"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Ways are the ways of a message.
type Ways interface {
	// Recipients are those that an address stands for.
	Recipients(ctx context.Context, sender, rcpt addr.Address) ([]addr.Address, error)
	Route(ctx context.Context, sender, rcpt addr.Address) (route.Hop, error)
	// Ask goes up to RCPT with a hop.
	Ask(ctx context.Context, hop route.Hop, sender, rcpt addr.Address) remote.Outcome
}

// Probe finds out what a message of sender would meet at an address.
func Probe(ctx context.Context, w Ways, sender, rcpt addr.Address) verify.Answer {
	list, err := w.Recipients(ctx, sender, rcpt)
	if err != nil {
		return failed(err)
	}
	if len(list) > 1 {
		return verify.Answer{Status: verify.Deliverable, Code: "2.0.0", Text: "stands for several addresses"}
	}
	var best verify.Answer
	for _, a := range list {
		best = verify.Better(best, one(ctx, w, sender, a))
	}
	return best
}

func one(ctx context.Context, w Ways, sender, rcpt addr.Address) verify.Answer {
	hop, err := w.Route(ctx, sender, rcpt)
	if err != nil {
		return failed(err)
	}
	switch hop.Transport {
	case route.LocalAgent:
		return verify.Answer{Status: verify.Deliverable, Code: "2.0.0", Text: "aliased or forwarded to elsewhere"}
	case route.Pipe:
		return verify.Answer{Status: verify.Deliverable, Code: "2.0.0", Text: "delivers to command: " + hop.Via()}
	}
	o := w.Ask(ctx, hop, sender, rcpt)
	got := verify.Answer{Status: verify.Deferred, Code: o.Code(), Text: o.Text, Host: o.Host, Reply: o.Reply}
	switch {
	case ctx.Err() != nil && o.Status != remote.Bounced && o.Status != remote.Delivered:
		got.Text = "the answer did not come in time"
	case o.Status == remote.Delivered:
		got.Status = verify.Deliverable
		if o.Host != "" {
			got.Text = "delivery via " + o.Relay + ": " + o.Reply
		}
	case o.Status == remote.Bounced:
		got.Status = verify.Undeliverable
	}
	return got
}

func failed(err error) verify.Answer {
	if fail.Is(err, fail.Permanent) || fail.Is(err, fail.NotFound) {
		return verify.Answer{Status: verify.Undeliverable, Code: "5.1.1", Text: err.Error()}
	}
	return verify.Answer{Status: verify.Deferred, Code: "4.3.0", Text: err.Error()}
}
