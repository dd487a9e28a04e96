package aliases

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Forward is the file that says where a user's mail goes.
type Forward struct {
	Path      string
	Extension bool // it was found by the extension of the address
	Text      string
}

// ForwardConfig is what Forwards are made from.
type ForwardConfig struct {
	// Read reads the .forward file of the user an address means, or with
	// include a file that it includes. Errors: fail.NotFound if there is none,
	// fail.Denied if there is one that does not count.
	Read func(ctx context.Context, a addr.Address, include string) (Forward, error)
	// Ignored is told of files that do not count; nil tells nobody.
	Ignored func(a addr.Address, err error)

	Delims          string
	Propagate       bool // an extension that the file's name lacks goes along to the results
	Commands, Files bool // |command and /file count

	Parse func(ctx context.Context, text string) ([]addr.Address, error)
	Local func(ctx context.Context, domain string) (bool, error)
}

// Forwards expands the .forward files of local users. It is safe for
// concurrent use.
type Forwards struct{ cfg ForwardConfig }

// NewForwards makes Forwards.
func NewForwards(cfg ForwardConfig) *Forwards { return &Forwards{cfg} }

// Expand reads the .forward file of the user that a means. The user's own name
// in it is the mailbox; other addresses are not followed here: they get a new
// message, which meets its own files. Errors: fail.NotFound when there is no
// file or nothing in it; fail.Permanent when it is malformed; else it could
// not be read.
func (x *Forwards) Expand(ctx context.Context, a addr.Address) ([]Target, error) {
	file, err := x.cfg.Read(ctx, a, "")
	if fail.Is(err, fail.Denied) {
		if x.cfg.Ignored != nil {
			x.cfg.Ignored(a, err)
		}
		return nil, fail.Wrap(fail.NotFound, err, "ignored")
	}
	if err != nil {
		return nil, err
	}
	explain.Say(ctx, func() explain.Step {
		return explain.Step{Key: "rewrite.forward_socket", What: "forward file", Input: a.String(), Match: file.Path, Result: strings.Join(strings.Fields(file.Text), " ")}
	})
	name, detail := a.Split(x.cfg.Delims)
	r := forwarding{x: x, of: a, user: strings.ToLower(name), seen: map[Target]bool{}}
	if x.cfg.Propagate && !file.Extension && detail != "" {
		r.rest = a.Local[len(name):]
	}
	if err := r.file(ctx, file, 0); err != nil {
		return nil, err
	}
	if len(r.out) == 0 {
		return nil, fail.New(fail.NotFound, "%s is empty", file.Path)
	}
	return r.out, nil
}

// forwarding is one expansion.
type forwarding struct {
	x    *Forwards
	of   addr.Address
	user string // without extension
	rest string // extension to hand on
	out  []Target
	seen map[Target]bool

	files int // that were included
}

// maxForwardDepth is how deep files may include each other.
const maxForwardDepth = 10

// maxForwardFiles is how many files a .forward file may include in all.
const maxForwardFiles = 100

func (r *forwarding) file(ctx context.Context, file Forward, depth int) error {
	items, err := ParseList(file.Text)
	if err != nil {
		return fail.Wrap(fail.Permanent, err, "%s", file.Path)
	}
	for _, it := range items {
		switch it.Kind {
		case Include:
			err = r.include(ctx, it.Text, file.Path, depth)
		case Command, Path:
			err = r.delivery(it, file.Path)
		default:
			err = r.addresses(ctx, it, file.Path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *forwarding) include(ctx context.Context, path, from string, depth int) error {
	if depth >= maxForwardDepth {
		return fail.New(fail.Permanent, "%s: included files go round in circles at %s", from, path)
	}
	if r.files++; r.files > maxForwardFiles {
		return fail.New(fail.Permanent, "%s: more than %d files are included", from, maxForwardFiles)
	}
	file, err := r.x.cfg.Read(ctx, r.of, path)
	if fail.Is(err, fail.NotFound) || fail.Is(err, fail.Denied) {
		return fail.Wrap(fail.Permanent, err, "%s: included file %s", from, path)
	}
	if err != nil {
		return err
	}
	return r.file(ctx, file, depth+1)
}

func (r *forwarding) delivery(it Item, from string) error {
	what, ok := "commands", r.x.cfg.Commands
	if it.Kind == Path {
		what, ok = "files", r.x.cfg.Files
	}
	if !ok {
		return fail.New(fail.Permanent, "%s: mail to %s is not allowed there", from, what)
	}
	return r.add(Target{Kind: it.Kind, Text: it.Text, User: r.user}, from)
}

func (r *forwarding) addresses(ctx context.Context, it Item, from string) error {
	list, err := r.x.cfg.Parse(ctx, it.Text)
	if err != nil {
		return fail.Wrap(fail.Permanent, err, "%s", from)
	}
	for _, a := range list {
		local, err := r.x.cfg.Local(ctx, a.Domain)
		if err != nil {
			return err
		}
		t := Target{Kind: Address, Addr: a}
		switch base, _ := a.Split(r.x.cfg.Delims); {
		case local && strings.EqualFold(base, r.user):
			t = Target{Kind: User, Addr: r.of, Final: true}
		case local && it.Kind == User:
			t = Target{Kind: User, Addr: a, Final: true}
		default:
			t.Addr.Local += r.rest
		}
		if err := r.add(t, from); err != nil {
			return err
		}
	}
	return nil
}

func (r *forwarding) add(t Target, from string) error {
	if r.seen[t] {
		return nil
	}
	r.seen[t] = true
	if r.out = append(r.out, t); len(r.out) > MaxTargets {
		return fail.New(fail.Permanent, "%s has more than %d targets", from, MaxTargets)
	}
	return nil
}
