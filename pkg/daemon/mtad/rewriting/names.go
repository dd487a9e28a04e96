package rewriting

import (
	"context"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/program"
)

// userMacro stands for the user's name in forward_programs.
const userMacro = "${user}"

// openForwards sets up .forward files, which the helper behind forward_socket
// reads: mtad itself cannot look into homes.
func (r *Rewriter) openForwards(h Host) {
	socket := r.cfg.ForwardSocket
	if socket == "" {
		return
	}
	r.forwards = aliases.NewForwards(aliases.ForwardConfig{
		Read: func(ctx context.Context, a addr.Address, include string) (aliases.Forward, error) {
			f, err := program.Forward(ctx, socket, a.String(), include)
			return aliases.Forward(f), err
		},
		Ignored: func(a addr.Address, err error) {
			if h.Warn != nil {
				h.Warn("the .forward file of "+a.String()+" does not count", err)
			}
		},
		Delims: h.Delims, Parse: r.ParseList, Local: r.bare,
		Propagate: slices.Contains(r.cfg.Propagate, "forward"),
		Commands:  slices.Contains(r.cfg.AllowCommands, "forward"), Files: slices.Contains(r.cfg.AllowFiles, "forward"),
	})
}

// ForwardPrograms is the socket of the helper for the programs and files of a
// user; empty for none.
func (r *Rewriter) ForwardPrograms(user string) string {
	if user == "" || strings.ContainsAny(user, "/\x00") || user[0] == '.' {
		return ""
	}
	return strings.ReplaceAll(r.cfg.ForwardPrograms, userMacro, user)
}

// HasAlias reports whether a name of a local domain is an alias.
func (r *Rewriter) HasAlias(ctx context.Context, a addr.Address) (bool, error) {
	if r.aliases == nil {
		return false, nil
	}
	return r.aliases.Has(ctx, a)
}

// Straight reports whether mail to a name of a local domain goes to the
// mailbox and nowhere else. It looks into no home.
func (r *Rewriter) Straight(ctx context.Context, a addr.Address) (bool, error) {
	if r.forwards != nil {
		return false, nil
	}
	alias, err := r.HasAlias(ctx, a)
	return !alias, err
}

// Aliases follows the alias of a name, and the .forward files of the users
// that it leads to. Errors: fail.NotFound when there is neither, see
// aliases.Expander.
func (r *Rewriter) Aliases(ctx context.Context, a addr.Address) ([]aliases.Target, error) {
	targets, err := r.named(ctx, a)
	if r.forwards == nil || err != nil && !fail.Is(err, fail.NotFound) {
		return targets, err
	}
	if err != nil {
		return r.forwards.Expand(ctx, a)
	}
	var out []aliases.Target
	for _, t := range targets {
		more := []aliases.Target{t}
		if t.Kind == aliases.User && !t.Final {
			found, err := r.forwards.Expand(ctx, t.Addr)
			switch {
			case err == nil:
				more = found
			case !fail.Is(err, fail.NotFound):
				return nil, err
			}
		}
		for _, m := range more {
			m.Owner, m.Alias = t.Owner, t.Alias
			out = append(out, m)
		}
	}
	return out, nil
}

// named follows aliases alone.
func (r *Rewriter) named(ctx context.Context, a addr.Address) ([]aliases.Target, error) {
	if r.aliases == nil {
		return nil, fail.New(fail.NotFound, "there are no alias_maps")
	}
	return r.aliases.Expand(ctx, a)
}
