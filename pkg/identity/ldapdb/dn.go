package ldapdb

import (
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// dn is a distinguished name with variables that stand only where values do.
type dn struct {
	text  expand.Template
	shape string
}

// parseDN reads a DN. With names, text may also be what Active Directory takes
// in place of a DN ("%u", "CORP\%n"); it has no shape then.
func parseDN(text string, names bool) (dn, error) {
	t, err := expand.Parse(text)
	if err != nil {
		return dn{}, err
	}
	d := dn{text: t}
	texts, err := probed(t)
	if err != nil {
		return dn{}, err
	}
	for i, s := range texts {
		shape, err := typesOf(s)
		switch {
		case err != nil && i == 0 && names:
			return d, nil
		case err != nil:
			return dn{}, fail.New(fail.Invalid, "DN %.200q cannot be read: %v", text, err)
		case i > 0 && d.shape != shape:
			return dn{}, fail.New(fail.Invalid, "DN %.200q has a variable where no value can stand", text)
		}
		d.shape = shape
	}
	return d, nil
}

// fixed reports a DN without variables.
func (d dn) fixed() bool { return len(d.text.Names()) == 0 }

// expand fills in v's values.
func (d dn) expand(v expand.Values) (string, error) {
	s, err := d.text.Expand(v, escape)
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "DN")
	}
	if d.shape == "" {
		return s, nil
	}
	if shape, err := typesOf(s); err != nil || shape != d.shape {
		return "", fail.New(fail.Unavailable, "DN would become %.200q, which is another kind of name", s)
	}
	return s, nil
}

// typesOf lists the attribute types of a DN with at least one part.
func typesOf(text string) (string, error) {
	parsed, err := ldap.ParseDN(text)
	if err != nil {
		return "", err
	}
	if len(parsed.RDNs) == 0 {
		return "", fail.New(fail.Invalid, "it is empty")
	}
	var b strings.Builder
	for _, rdn := range parsed.RDNs {
		for _, a := range rdn.Attributes {
			b.WriteString(a.Type + "+")
		}
		b.WriteByte(',')
	}
	return b.String(), nil
}
