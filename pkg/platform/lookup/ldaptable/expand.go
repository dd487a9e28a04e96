package ldaptable

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
)

// expansion is one lookup: entries, and those that they refer to.
type expansion struct {
	client   *client
	cfg      *config
	result   *cf.Result
	searches int
	seen     map[string]bool // references that were followed
}

// step searches, and adds the values of what is found.
func (x *expansion) step(ctx context.Context, r *ldap.SearchRequest, depth int) error {
	if x.searches++; x.searches > maxSearches {
		return fail.New(fail.Invalid, "entries refer to more than %d others", maxSearches)
	}
	if depth > x.cfg.depth {
		return fail.New(fail.Invalid, "entries refer to each other more than %d deep (recursion_limit)", x.cfg.depth)
	}
	found, err := x.client.search(ctx, r)
	var e *ldap.Error
	switch {
	case errors.As(err, &e) && e.ResultCode == ldap.LDAPResultNoSuchObject && (depth > 1 || !x.cfg.base.Fixed()):
		return nil // a name that was made of the key, or stands in an entry, and is nobody's
	case err != nil:
		return fail.Wrap(fail.Unavailable, err, "search %.200s below %.200q", r.Filter, r.BaseDN)
	case len(found.Referrals) > 0:
		return fail.New(fail.Unavailable, "the search met a reference to %.200q, which is not followed", found.Referrals[0])
	}
	for _, entry := range found.Entries {
		if err := x.entry(ctx, entry, r.Attributes, depth); err != nil {
			return err
		}
	}
	return nil
}

// entry adds what one entry has: its terminal attributes alone, if it has any;
// without them the ordinary ones, what the special ones refer to, and the leaf
// ones if it refers to nothing.
func (x *expansion) entry(ctx context.Context, e *ldap.Entry, asked []string, depth int) error {
	values := func(names []string) (all []string) {
		for _, name := range names {
			if slices.ContainsFunc(asked, func(a string) bool { return strings.EqualFold(a, name) }) {
				all = append(all, e.GetEqualFoldAttributeValues(name)...)
			}
		}
		return all
	}
	if terminal := values(x.cfg.terminal); terminal != nil {
		return x.add(terminal)
	}
	special := values(x.cfg.special)
	own := values(x.cfg.plain)
	if special == nil {
		own = append(own, values(x.cfg.leaf)...)
	}
	if err := x.add(own); err != nil {
		return err
	}
	for _, ref := range special {
		if err := x.follow(ctx, ref, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (x *expansion) add(values []string) error {
	for _, v := range values {
		if err := x.result.Add(v); err != nil {
			return err
		}
	}
	return nil
}

// follow looks up what a special attribute refers to: the name of an entry, or
// a URL (RFC 4516) that is asked of the same server. Each counts once.
func (x *expansion) follow(ctx context.Context, ref string, depth int) error {
	if key := strings.ToLower(ref); x.seen[key] {
		return nil
	} else {
		x.seen[key] = true
	}
	r := &ldap.SearchRequest{BaseDN: ref, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: x.cfg.attributes()}
	if scheme, _, found := strings.Cut(ref, "://"); found && strings.HasPrefix(strings.ToLower(scheme), "ldap") {
		if err := x.fromURL(r, ref); err != nil {
			return err
		}
	}
	r.DerefAliases, r.SizeLimit = x.cfg.deref, x.cfg.sizeLimit
	return x.step(ctx, r, depth)
}

// fromURL reads ldap://…/base?attributes?scope?filter.
func (x *expansion) fromURL(r *ldap.SearchRequest, ref string) error {
	u, err := url.Parse(ref)
	if err != nil {
		return fail.New(fail.Unavailable, "an entry refers to %.200q, which is no URL", ref)
	}
	parts := strings.SplitN(u.RawQuery, "?", 4)
	for i, part := range parts {
		if parts[i], err = url.PathUnescape(part); err != nil {
			return fail.New(fail.Unavailable, "an entry refers to %.200q, which is no URL", ref)
		}
	}
	part := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	r.BaseDN = strings.TrimPrefix(u.Path, "/")
	if part(0) != "" {
		named := strings.Split(part(0), ",")
		r.Attributes = slices.DeleteFunc(r.Attributes, func(a string) bool {
			return !slices.ContainsFunc(named, func(n string) bool { return strings.EqualFold(n, a) })
		})
	}
	switch part(1) {
	case "sub":
		r.Scope = ldap.ScopeWholeSubtree
	case "one":
		r.Scope = ldap.ScopeSingleLevel
	}
	if part(2) != "" {
		r.Filter = parenthesize(part(2))
	}
	if len(r.Attributes) == 0 {
		r.Attributes = []string{"1.1"} // none, RFC 4511 section 4.5.1.8
	}
	return nil
}
