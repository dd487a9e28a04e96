package aliases

import (
	"context"
	"os"
	"strings"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Limits of one expansion.
const (
	MaxTargets = 10000
	MaxDepth   = 100
	maxInclude = 4 << 20
)

// Config is what an Expander is made from.
type Config struct {
	Map    maps.Map
	Delims string // bytes that start the detail of a local part

	PropagateAlias   bool // an unmatched detail goes along to the results
	PropagateInclude bool // also to those of included files
	ExpandOwner      bool // mail to NAME has what owner-NAME stands for as its sender, not owner-NAME itself

	Commands, Files               bool // |command and /file count in aliases ...
	IncludeCommands, IncludeFiles bool // ... and in included files

	// Parse reads one address; bare names are completed.
	Parse func(ctx context.Context, text string) ([]addr.Address, error)
	// Local reports whether names of a domain are looked up here.
	Local func(ctx context.Context, domain string) (bool, error)
}

// Target is where an expansion leads.
type Target struct {
	Kind  Kind         // Address, User (the mailbox of Addr, whatever its aliases say), Command or Path
	Addr  addr.Address // of Address and User
	Text  string       // of Command and Path
	Final bool         // of User: not even a .forward file counts
	User  string       // of Command and Path in a .forward file: whose it is
	Owner addr.Address // sender that takes the bounces; null means the original one
	Alias string       // name that gave it, for the log
}

// Expander expands aliases. It is safe for concurrent use.
type Expander struct{ cfg Config }

// New makes an Expander.
func New(cfg Config) *Expander { return &Expander{cfg} }

// Has reports whether there is an alias for a.
func (x *Expander) Has(ctx context.Context, a addr.Address) (bool, error) {
	_, err := x.find(ctx, a)
	if fail.Is(err, fail.NotFound) {
		return false, nil
	}
	return err == nil, err
}

func (x *Expander) find(ctx context.Context, a addr.Address) (maps.Match, error) {
	return x.cfg.Map.Find(ctx, addr.Address{Local: a.Local}, maps.Query{Delims: x.cfg.Delims})
}

// Expand follows the alias of a, and those it leads to, to the end. Errors:
// fail.NotFound when a is no alias; fail.Permanent when the alias is
// malformed, too large or too deep, which no other try would change; else
// something could not be read.
func (x *Expander) Expand(ctx context.Context, a addr.Address) ([]Target, error) {
	r := &run{x: x, seen: map[Target]bool{}, been: map[visit]bool{}}
	if err := r.alias(ctx, a, frame{}); err != nil {
		return nil, err
	}
	return r.out, nil
}

type run struct {
	x    *Expander
	out  []Target
	seen map[Target]bool
	been map[visit]bool
}

// visit is an alias or an included file as it was met. The second time it
// leads nowhere new; without that, names that each stand for the next one twice
// would be followed as often as two to the power of their number.
type visit struct {
	what  string
	owner addr.Address
	rest  string
}

// again reports whether this was met before.
func (r *run) again(v visit) bool {
	before := r.been[v]
	r.been[v] = true
	return before
}

// frame is the place in an expansion.
type frame struct {
	up    *frame
	name  string // of the alias
	owner addr.Address
	rest  string // detail to hand on
	file  bool   // inside of an included file
	depth int
}

func (f *frame) has(name string) bool {
	for ; f != nil; f = f.up {
		if f.name == name {
			return true
		}
	}
	return false
}

// self reports whether name is that of the alias being expanded, be it by way
// of a file.
func (f *frame) self(name string) bool {
	for f != nil && f.file {
		f = f.up
	}
	return f != nil && f.name == name
}

// alias expands a below f.
func (r *run) alias(ctx context.Context, a addr.Address, f frame) error {
	found, err := r.x.find(ctx, a)
	if err != nil {
		return err
	}
	if f.depth >= MaxDepth {
		return fail.New(fail.Permanent, "unreasonable alias nesting at %.80s", a.Local)
	}
	base := strings.ToLower(strings.TrimSuffix(a.Local, found.Rest))
	sub := frame{up: &f, name: base, owner: f.owner, depth: f.depth + 1}
	if r.x.cfg.PropagateAlias {
		sub.rest = found.Rest
	}
	if sub.owner, err = r.owner(ctx, base, a.Domain, f.owner); err != nil {
		return err
	}
	explain.Say(ctx, func() explain.Step {
		return explain.Step{Key: r.x.cfg.Map.Key, What: "alias", Input: a.String(), Match: base, Result: found.Value}
	})
	items, err := ParseValue(found.Value)
	if err != nil {
		return fail.Wrap(fail.Permanent, err, "alias %s", base)
	}
	return r.items(ctx, items, sub)
}

// owner finds the sender for mail to a name that has an owner-NAME.
func (r *run) owner(ctx context.Context, name, domain string, above addr.Address) (addr.Address, error) {
	if strings.HasPrefix(name, "owner-") {
		return above, nil
	}
	owner := addr.Address{Local: "owner-" + name, Domain: domain}
	found, err := r.x.find(ctx, owner)
	switch {
	case fail.Is(err, fail.NotFound):
		return above, nil
	case err != nil || !r.x.cfg.ExpandOwner:
		return owner, err
	}
	list, err := r.x.cfg.Parse(ctx, found.Value)
	if err != nil || len(list) != 1 {
		return owner, nil // several owners can only be one sender under their common name
	}
	return list[0], nil
}

func (r *run) items(ctx context.Context, items []Item, f frame) error {
	for _, it := range items {
		var err error
		switch it.Kind {
		case Include:
			err = r.include(ctx, it.Text, f)
		case Command, Path:
			err = r.delivery(it, f)
		default:
			err = r.addresses(ctx, it, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) delivery(it Item, f frame) error {
	c := &r.x.cfg
	ok := c.Commands
	switch {
	case it.Kind == Command && f.file:
		ok = c.IncludeCommands
	case it.Kind == Path && f.file:
		ok = c.IncludeFiles
	case it.Kind == Path:
		ok = c.Files
	}
	if !ok {
		what := "commands"
		if it.Kind == Path {
			what = "files"
		}
		return fail.New(fail.Permanent, "alias %s: mail to %s is not allowed there", f.name, what)
	}
	return r.add(Target{Kind: it.Kind, Text: it.Text, Owner: f.owner, Alias: f.name})
}

// addresses follows the addresses of one item.
func (r *run) addresses(ctx context.Context, it Item, f frame) error {
	list, err := r.x.cfg.Parse(ctx, it.Text)
	if err != nil {
		return fail.Wrap(fail.Permanent, err, "alias %s", f.name)
	}
	for _, a := range list {
		a.Local += f.rest
		local, err := r.x.cfg.Local(ctx, a.Domain)
		if err != nil {
			return err
		}
		if err := r.address(ctx, a, it.Kind == User, local, f); err != nil {
			return err
		}
	}
	return nil
}

// address is one result: final, or an alias itself.
func (r *run) address(ctx context.Context, a addr.Address, user, local bool, f frame) error {
	t := Target{Kind: Address, Addr: a, Owner: f.owner, Alias: f.name}
	if !local {
		return r.add(t)
	}
	t.Kind, t.Final = User, user
	base, _ := a.Split(r.x.cfg.Delims)
	name, whole := strings.ToLower(base), strings.ToLower(a.Local)
	switch {
	case user || f.self(name) || f.self(whole):
		return r.add(t)
	case f.has(name) || f.has(whole):
		return fail.New(fail.Permanent, "possible alias database loop for %s", a.Local)
	}
	if r.again(visit{what: strings.ToLower(a.String()), owner: f.owner}) {
		return nil
	}
	err := r.alias(ctx, a, f)
	if fail.Is(err, fail.NotFound) {
		return r.add(t)
	}
	return err
}

func (r *run) add(t Target) error {
	key := t
	key.Alias, key.Final = "", false
	if r.seen[key] {
		return nil
	}
	r.seen[key] = true
	if r.out = append(r.out, t); len(r.out) > MaxTargets {
		return fail.New(fail.Permanent, "alias %s has more than %d targets", t.Alias, MaxTargets)
	}
	return nil
}

// include reads a list of addresses from a file.
func (r *run) include(ctx context.Context, path string, f frame) error {
	if f.depth >= MaxDepth || f.has(path) {
		return fail.New(fail.Permanent, "alias %s: included files go round in circles at %s", f.name, path)
	}
	if r.again(visit{":include:" + path, f.owner, f.rest}) {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fail.Wrap(fail.Unavailable, err, "alias %s", f.name)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o002 != 0:
		return fail.New(fail.Unavailable, "alias %s: %s is no regular file, or anybody may write to it", f.name, path)
	}
	text, err := readCapped(path, maxInclude)
	if err != nil {
		return err
	}
	items, err := ParseList(string(text))
	if err != nil {
		return fail.Wrap(fail.Permanent, err, "%s", path)
	}
	sub := f
	sub.up, sub.name, sub.file, sub.depth = &f, path, true, f.depth+1
	if !r.x.cfg.PropagateInclude {
		sub.rest = ""
	}
	return r.items(ctx, items, sub)
}
