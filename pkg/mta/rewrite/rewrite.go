package rewrite

import (
	"context"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Places is a set of places where an address may stand.
type Places uint8

// The places, with Postfix's names.
const (
	EnvelopeSender Places = 1 << iota
	EnvelopeRecipient
	HeaderSender
	HeaderRecipient
)

var placeNames = [...]string{"envelope_sender", "envelope_recipient", "header_sender", "header_recipient"}

// ParsePlaces reads Postfix's names of some of the places. Errors: fail.Invalid.
func ParsePlaces(names []string, of Places) (Places, error) {
	var p Places
	for _, n := range names {
		i := slices.Index(placeNames[:], n)
		if i < 0 || of&(1<<i) == 0 {
			return 0, fail.New(fail.Invalid, "%q is none of %s", n, strings.Join(of.names(), ", "))
		}
		p |= 1 << i
	}
	return p, nil
}

func (p Places) names() (out []string) {
	for i, n := range placeNames {
		if p&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// Limits that are Postfix's defaults.
const (
	DefaultLimit     = 1000 // virtual_alias_expansion_limit, virtual_alias_recursion_limit
	maxAddressLength = 1000 // virtual_alias_address_length_limit
	maxCanonical     = 1000 // steps of one canonical rewriting
)

// Config is what an Engine is made from. Its zero value rewrites nothing.
type Config struct {
	Origin      string // domain that a bare local part gets
	KeepBare    bool   // it gets none; tables know Origin's names all the same
	Domain      string // domain that a name without dot gets, if AppendDot
	FieldDomain string // what both are for addresses in a header; empty: the same
	AppendDot   bool
	SwapBang    bool // host!user means user@host
	PercentHack bool // user%host means user@host

	Delims string // bytes that start the detail of a local part
	// Bare reports whether tables may list users of a domain by their name
	// alone; nil: none but Origin's.
	Bare func(ctx context.Context, domain string) (bool, error)

	Canonical          Canonical
	SenderCanonical    Canonical
	RecipientCanonical Canonical
	PropagateCanonical bool // an unmatched detail goes along
	PropagateVirtual   bool
	PropagateGeneric   bool

	Masquerade       []string // domains that stand for the names below; "!name" exempts one
	MasqueradeExcept []string // local parts that are left alone
	MasqueradePlaces Places

	VirtualAlias   maps.Map
	ExpansionLimit int // 0: DefaultLimit
	RecursionLimit int // 0: DefaultLimit

	Relocated maps.Map
	Generic   maps.Map

	AlwaysBCC    addr.Address
	SenderBCC    maps.Map
	RecipientBCC maps.Map
}

// Canonical is a canonical table with the places where it holds.
type Canonical struct {
	Map    maps.Map
	Places Places
}

// Engine rewrites. It is immutable and safe for concurrent use.
type Engine struct{ cfg Config }

// New makes an engine. Errors: fail.Invalid.
func New(cfg Config) (*Engine, error) {
	if cfg.ExpansionLimit <= 0 {
		cfg.ExpansionLimit = DefaultLimit
	}
	if cfg.RecursionLimit <= 0 {
		cfg.RecursionLimit = DefaultLimit
	}
	for _, d := range []*string{&cfg.Origin, &cfg.Domain, &cfg.FieldDomain} {
		if *d == "" {
			continue
		}
		name, err := addr.Domain(*d)
		if err != nil {
			return nil, err
		}
		*d = name
	}
	list := make([]string, len(cfg.Masquerade))
	for i, m := range cfg.Masquerade {
		bang := ""
		if strings.HasPrefix(m, "!") {
			bang, m = "!", m[1:]
		}
		d, err := addr.Domain(m)
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "masquerade")
		}
		list[i] = bang + d
	}
	cfg.Masquerade = list
	return &Engine{cfg}, nil
}

// query says how tables are asked about an address.
func (e *Engine) query(ctx context.Context, a addr.Address) (maps.Query, error) {
	q := maps.Query{Delims: e.cfg.Delims}
	if e.cfg.Bare == nil {
		q.Bare = a.Domain == e.cfg.Origin
		return q, nil
	}
	var err error
	q.Bare, err = e.cfg.Bare(ctx, a.Domain)
	q.Bare = q.Bare || a.Domain == e.cfg.Origin
	return q, err
}

// mapped is what table m makes of address a: Postfix's mail_addr_map. An
// unmatched detail is added to each result if propagate is set.
func (e *Engine) mapped(ctx context.Context, m maps.Map, a addr.Address, propagate bool) ([]addr.Address, error) {
	if m.Empty() {
		return nil, fail.New(fail.NotFound, "%s is empty", m.Key)
	}
	q, err := e.query(ctx, a)
	if err != nil {
		return nil, err
	}
	found, err := m.Find(ctx, a, q)
	if err != nil {
		return nil, err
	}
	if !propagate {
		found.Rest = ""
	}
	list, err := e.ParseList(ctx, found.Value)
	if err != nil {
		return nil, badResult(m, a, err)
	}
	for i := range list {
		list[i].Local += found.Rest
	}
	return list, nil
}

func badResult(m maps.Map, a addr.Address, err error) error {
	return fail.Wrap(fail.Unavailable, err, "%s has a result for %s that is no address", m.Key, a)
}

// say explains a rewriting step that changed something.
func say(ctx context.Context, key, what string, from addr.Address, to ...addr.Address) {
	explain.Say(ctx, func() explain.Step {
		texts := make([]string, len(to))
		for i, a := range to {
			texts[i] = a.String()
		}
		return explain.Step{Key: key, What: what, Input: from.String(), Result: strings.Join(texts, ", ")}
	})
}
