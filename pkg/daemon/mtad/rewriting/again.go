package rewriting

import (
	"bytes"
	"context"
	"io"
	"net/netip"

	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
)

// submitted is the origin of mail that came by the submit socket.
const submitted = "submit"

// Again is what becomes of the addresses of a queued message by the present
// configuration; it is a queue.Readdress. Blind copies were made when it came.
func (r *Rewriter) Again(ctx context.Context, env *queue.Envelope) (*queue.Envelope, func(io.Reader) (io.Reader, error), error) {
	next := *env
	next.Recipients = nil
	var err error
	if !env.Sender.Null() {
		if next.Sender, err = r.Sender(ctx, env.Sender); err != nil {
			return nil, nil, err
		}
	}
	seen := map[addr.Address]bool{}
	for _, old := range env.Recipients {
		if old.Notify&queue.NotifyExpanded != 0 {
			next.Recipients = append(next.Recipients, old)
			continue
		}
		given, err := r.routes.Resolve(ctx, old.Addr)
		if err != nil {
			return nil, nil, err
		}
		list, err := r.Recipients(ctx, next.Sender, []addr.Address{given})
		if err != nil {
			return nil, nil, err
		}
		var fresh []addr.Address
		for _, to := range list {
			if to.Given >= 0 && !seen[to.Addr] {
				seen[to.Addr] = true
				fresh = append(fresh, to.Addr)
			}
		}
		next.Recipients = append(next.Recipients, queue.Expand(old, fresh)...)
	}
	if !r.RewritesHeaders() || !r.Homely(env) {
		return &next, nil, nil
	}
	return &next, func(in io.Reader) (io.Reader, error) { return r.header(ctx, in) }, nil
}

// Homely is Home for a message that is queued already.
func (r *Rewriter) Homely(env *queue.Envelope) bool {
	ip, _ := netip.ParseAddr(env.Client.Addr)
	return r.Home(env.Origin == submitted, env.SASLUser, ip)
}

// header rewrites the header of a message. One too large to be held stays.
func (r *Rewriter) header(ctx context.Context, in io.Reader) (io.Reader, error) {
	start, err := io.ReadAll(io.LimitReader(in, header.MaxBlock))
	if err != nil {
		return nil, err
	}
	edit := header.NewEditor(header.Rules{Rewrite: func(name, value string) (string, bool, error) { return r.Field(ctx, name, value) }})
	_, _ = edit.Write(start)
	found := edit.Finish()
	if found.Err != nil {
		return nil, found.Err
	}
	if found.Edited && !found.TooLarge && len(start) < header.MaxBlock {
		start = append(found.Block, start[found.Skip:]...)
	}
	return io.MultiReader(bytes.NewReader(start), in), nil
}
