package lookup

import (
	"context"
	"strings"

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
	// Value as the table has it, but "@other" has become user@other.
	Value string
	// Key is the part of the address that was found.
	Key string
	// Extension, with its delimiter, if the key lacks it: "+list". Callers may
	// put it into the new address (propagate_unmatched_extensions).
	Extension string
}

// Address looks an address up as canonical(5) and virtual(5) say: user+ext@dom,
// user@dom, user+ext and user for own domains, @dom. Every key is looked for in
// all tables before the next one; tables of patterns are asked for the whole
// address only. Errors are those of Lookup.
func Address(ctx context.Context, m Maps, address string, keys AddressKeys) (Found, error) {
	user, domain := address, ""
	at := strings.LastIndexByte(address, '@')
	if at >= 0 {
		user, domain = address[:at], address[at:]
	}
	base, ext := SplitExtension(user, keys.Delimiter)
	value, err := m.Lookup(ctx, address)
	f := Found{Value: value, Key: address}
	if missing(err) && ext != "" {
		f, err = m.part(ctx, base+domain, ext)
	}
	if missing(err) && at >= 0 && keys.Own != nil {
		f, err = m.bare(ctx, user, base, ext, domain[1:], keys)
	}
	if missing(err) && at >= 0 {
		f, err = m.part(ctx, domain, ext)
	}
	if err != nil {
		return Found{}, err
	}
	if strings.HasPrefix(f.Value, "@") {
		f.Value = strings.TrimSuffix(user, f.Extension) + f.Value
	}
	return f, nil
}

func missing(err error) bool { return fail.Is(err, fail.NotFound) }

// part looks for a key without the extension ext.
func (m Maps) part(ctx context.Context, key, ext string) (Found, error) {
	value, err := m.LookupPart(ctx, key)
	return Found{value, key, ext}, err
}

// bare looks for a local part alone.
func (m Maps) bare(ctx context.Context, user, base, ext, domain string, keys AddressKeys) (Found, error) {
	own, err := keys.Own(ctx, domain)
	if err != nil || !own {
		if err == nil {
			err = fail.New(fail.NotFound, "not found")
		}
		return Found{}, err
	}
	f, err := m.part(ctx, user, "")
	if missing(err) && ext != "" {
		return m.part(ctx, base, ext)
	}
	return f, err
}

// SplitExtension cuts a local part at the first of the delimiters. Names that
// have a meaning as a whole stay whole: postmaster, mailer-daemon and
// double-bounce, and owner-list and list-request if "-" is a delimiter.
func SplitExtension(user, delimiters string) (base, ext string) {
	i := strings.IndexAny(user, delimiters)
	if i <= 0 {
		return user, ""
	}
	for _, whole := range []string{"postmaster", "mailer-daemon", "double-bounce"} {
		if strings.EqualFold(user, whole) {
			return user, ""
		}
	}
	lower := strings.ToLower(user)
	if user[i] == '-' && (strings.HasPrefix(lower, "owner-") || strings.HasSuffix(lower, "-request")) {
		return user, ""
	}
	return user[:i], user[i:]
}
