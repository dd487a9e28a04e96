package ldapdb

import (
	"strconv"
	"strings"

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
