package lookup

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// AddressKeys says which parts of an address are looked for.
type AddressKeys struct {
	// Delimiter holds the bytes that start the extension of a local part;
	// empty for none.
	Delimiter string
	// Own reports whether a domain is one whose users are also looked for
	// without it (Postfix: $myorigin, $mydestination and our addresses). nil:
	// no domain is. An error ends the search.
	Own func(ctx context.Context, domain string) (bool, error)
}

// Found is the answer for an address.
type Found struct {
	// Value as the table has it, but "@other" has become user@other, with the
	// extension if the key was "@dom".
	Value string
	// Key is the part of the address that was found.
	Key string
	// Extension, with its delimiter, if the key lacks it: "+list". Callers may
	// put it into the new address (propagate_unmatched_extensions). A key "@dom"
	// speaks for all extensions.
	Extension string
}

// Address looks an address up as canonical(5) and virtual(5) say: user+ext@dom,
// user@dom, user+ext and user for own domains, @dom. Every key is quoted where an
// address has to be, and looked for in all tables before the next one; tables of
// patterns are asked for the whole address only. Errors are those of Lookup.
func Address(ctx context.Context, m Maps, a addr.Address, keys AddressKeys) (Found, error) {
	base := a.Base(keys.Delimiter)
	ext := a.Local[len(base.Local):]
	f, err := m.address(ctx, a, "", false)
	if missing(err) && ext != "" {
		f, err = m.address(ctx, base, ext, true)
	}
	if missing(err) && a.Domain != "" && keys.Own != nil {
		var own bool
		if own, err = keys.Own(ctx, a.Domain); err != nil {
			return Found{}, err
		}
		err = errMissing
		if own {
			f, err = m.address(ctx, addr.Address{Local: a.Local}, "", true)
		}
		if own && missing(err) && ext != "" {
			f, err = m.address(ctx, addr.Address{Local: base.Local}, ext, true)
		}
	}
	if missing(err) && a.Domain != "" {
		f.Key, f.Extension = "@"+a.Domain, ""
		f.Value, err = m.LookupPart(ctx, f.Key)
	}
	if err != nil {
		return Found{}, err
	}
	if strings.HasPrefix(f.Value, "@") {
		user := addr.Address{Local: strings.TrimSuffix(a.Local, f.Extension)}
		f.Value = user.String() + f.Value
	}
	return f, nil
}

// errMissing is the answer when nobody needs to be asked.
var errMissing = fail.New(fail.NotFound, "not found")

func missing(err error) bool { return fail.Is(err, fail.NotFound) }

// address looks for a key without the extension ext.
func (m Maps) address(ctx context.Context, a addr.Address, ext string, part bool) (Found, error) {
	key := a.String()
	value, err := m.find(ctx, key, part)
	return Found{value, key, ext}, err
}
