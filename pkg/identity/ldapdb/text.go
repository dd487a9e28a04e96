package ldapdb

import (
	"strconv"
	"strings"
	"unicode/utf8"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// filter is a search filter with variables. They stand only where values do,
// and no value changes what the filter asks for.
type filter struct {
	text  expand.Template
	shape string
}

// hostile holds what has a meaning in filters and DNs.
const hostile = "*)(|&!=~<>:,+;#\"\\ \x00x"

// probe gives every variable the same value, to see what a template makes of it.
type probe string

func (p probe) Var(string) (string, bool) { return string(p), true }

// probed are the texts that t makes of values of all kinds: a template's own
// filters may take only numbers or base64, but one of these they take.
func probed(t expand.Template) ([]string, error) {
	var texts []string
	var failed error
	for _, value := range []probe{"x", "1", "61", "eA==", hostile} {
		s, err := t.Expand(value, escape)
		if err != nil {
			failed = err
			continue
		}
		texts = append(texts, s)
	}
	if len(texts) == 0 {
		return nil, failed
	}
	return texts, nil
}

// parseFilter reads a filter. A variable in the place of an attribute or a
// rule is an error.
func parseFilter(text string) (filter, error) {
	t, err := expand.Parse(text)
	if err != nil {
		return filter{}, err
	}
	f := filter{text: t}
	texts, err := probed(t)
	if err != nil {
		return filter{}, err
	}
	for _, s := range texts {
		shape, err := shapeOf(s)
		if err != nil {
			return filter{}, fail.New(fail.Invalid, "filter %.200q cannot be read: %v", text, err)
		}
		if f.shape != "" && f.shape != shape {
			return filter{}, fail.New(fail.Invalid, "filter %.200q has a variable where no value can stand", text)
		}
		f.shape = shape
	}
	return f, nil
}

// expand fills in v's values. A value that would change the filter (an empty
// one makes "(uid=%n*)" match everybody) is fail.Unavailable: nobody knows.
func (f filter) expand(v expand.Values) (string, error) {
	s, err := f.text.Expand(v, escape)
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "filter")
	}
	if shape, err := shapeOf(s); err != nil || shape != f.shape {
		return "", fail.New(fail.Unavailable, "filter would become %.200q, which asks for something else", s)
	}
	return s, nil
}

// shapeOf describes all of a filter but its values.
func shapeOf(text string) (shape string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fail.New(fail.Invalid, "the filter parser gave up: %v", r)
		}
	}()
	p, err := ldap.CompileFilter(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	describe(&b, p)
	return b.String(), nil
}

// describe writes operators, attributes and rules, RFC 4511 section 4.5.1.7.
func describe(b *strings.Builder, p *ber.Packet) {
	b.WriteString("(" + strconv.FormatUint(uint64(p.Tag), 10))
	switch p.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		for _, c := range p.Children {
			describe(b, c)
		}
	case ldap.FilterPresent:
		b.WriteString(strconv.Quote(p.Data.String()))
	case ldap.FilterExtensibleMatch:
		for _, c := range p.Children {
			b.WriteString("," + strconv.FormatUint(uint64(c.Tag), 10))
			if c.Tag != ldap.MatchingRuleAssertionMatchValue {
				b.WriteString(strconv.Quote(c.Data.String()))
			}
		}
	case ldap.FilterSubstrings:
		b.WriteString(strconv.Quote(p.Children[0].Data.String()))
		for _, c := range p.Children[1].Children {
			b.WriteString("," + strconv.FormatUint(uint64(c.Tag), 10))
		}
	default:
		b.WriteString(strconv.Quote(p.Children[0].Data.String()))
	}
	b.WriteByte(')')
}

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

// escape makes a value safe in a filter (RFC 4515 section 3) and in a DN (RFC
// 4514 section 2.4) alike: both read a backslash with two hex digits as that
// byte, wherever a value may stand. Whatever is not plainly harmless is written
// so; characters beyond ASCII stay when they are UTF-8, as both grammars want.
func escape(value string) string {
	const hex = "0123456789abcdef"
	raw := utf8.ValidString(value)
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if harmless(c) || (c >= 0x80 && raw) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func harmless(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '.' || c == '-' || c == '_' || c == '@'
}
