package rewrite

import (
	"context"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Copies are the recipients that get a blind copy of a message, by its sender
// and recipients as Sender and Recipient have left them. They are rewritten
// like any recipient but not yet expanded.
func (e *Engine) Copies(ctx context.Context, sender addr.Address, rcpts []addr.Address) ([]addr.Address, error) {
	var out []addr.Address
	if !e.cfg.AlwaysBCC.Null() {
		say(ctx, "rewrite.always_bcc", "blind copy", sender, e.cfg.AlwaysBCC)
		out = append(out, e.cfg.AlwaysBCC)
	}
	for i, a := range append([]addr.Address{sender}, rcpts...) {
		m := e.cfg.RecipientBCC
		if i == 0 {
			m = e.cfg.SenderBCC
		}
		if m.Empty() || a.Null() {
			continue
		}
		list, err := e.mapped(ctx, m, a, false)
		switch {
		case fail.Is(err, fail.NotFound) || err == nil && len(list) == 0:
			continue
		case err != nil:
			return nil, err
		}
		say(ctx, m.Key, "blind copy", a, list[0])
		out = append(out, list[0])
	}
	for i, a := range out {
		r, err := e.Recipient(ctx, a)
		if err != nil {
			return nil, err
		}
		out[i] = r
	}
	return out, nil
}
