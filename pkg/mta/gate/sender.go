package gate

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ownership refuses a sender address that the client does not own. unknown
// says what becomes of an authenticated client with an address that nobody is
// listed for.
func ownership(ctx context.Context, g *Gate, f Facts, unknown Verdict) Verdict {
	if g.cfg.Owners == nil || f.Sender.Null() {
		return Verdict{}
	}
	owners, err := g.cfg.Owners.Owners(ctx, f.Sender)
	switch {
	case fail.Is(err, fail.NotFound):
		if f.User == "" {
			return Verdict{}
		}
		return unknown
	case err != nil:
		return lookupFailed(f.Sender.Path(), err)
	case f.User == "":
		return refuse(553, 5, 7, 1, f.Sender.Path()+": Sender address rejected: not logged in")
	}
	for _, o := range owners {
		if strings.EqualFold(o, f.User) {
			return Verdict{}
		}
	}
	return notOwned(f)
}

func notOwned(f Facts) Verdict {
	return refuse(553, 5, 7, 1, f.Sender.Path()+": Sender address rejected: not owned by user "+printable(f.User))
}

func rejectKnownMismatch(ctx context.Context, g *Gate, f Facts) Verdict {
	return ownership(ctx, g, f, Verdict{})
}

func rejectMismatch(ctx context.Context, g *Gate, f Facts) Verdict {
	return ownership(ctx, g, f, notOwned(f))
}

func rejectAuthenticatedMismatch(ctx context.Context, g *Gate, f Facts) Verdict {
	if f.User == "" {
		return Verdict{}
	}
	return rejectMismatch(ctx, g, f)
}

func rejectUnauthenticatedMismatch(ctx context.Context, g *Gate, f Facts) Verdict {
	if f.User != "" {
		return Verdict{}
	}
	return rejectMismatch(ctx, g, f)
}
