package ldapdb

import (
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// mapping is one entry of pass_attrs, user_attrs or iterate_attrs.
type mapping struct {
	attr  string           // the field is left out when this attribute is missing; empty: never
	field string           // empty: the attribute is only fetched
	value *expand.Template // nil: the attribute's value
}

// mappings turn an entry into fields.
type mappings struct {
	list []mapping
	ask  []string // attributes to ask for
}

// maxMappings caps a list; Dovecot's examples have about ten.
const maxMappings = 200

// parseMappings reads Dovecot's list, entries with commas between them:
//
//	attr                   field of the same name
//	attr=field
//	attr=field=template    only if the entry has attr
//	=field=template        always
//	=field                 always, empty
//	!attr, attr=           fetch attr for the templates
//
// without drops entries for a field that is not wanted.
func parseMappings(text, without string) (mappings, error) {
	var m mappings
	for _, item := range strings.Split(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if err := m.add(item, without); err != nil {
			return mappings{}, err
		}
		if len(m.list) > maxMappings {
			return mappings{}, fail.New(fail.Invalid, "there are more than %d attributes", maxMappings)
		}
	}
	return m, nil
}

func (m *mappings) add(item, without string) error {
	if item[0] == '@' {
		return fail.New(fail.Invalid, "%.80q points to another entry, which is not supported: use a second userdb", item)
	}
	attr, rest, found := strings.Cut(item, "=")
	attr = strings.TrimSpace(attr)
	e := mapping{attr: attr, field: attr}
	if name, only := strings.CutPrefix(attr, "!"); only && !found {
		e = mapping{attr: name}
	}
	if found {
		field, template, templated := strings.Cut(rest, "=")
		e.field = strings.TrimSpace(field)
		if templated || attr == "" {
			t, err := expand.Parse(template)
			if err != nil {
				return fail.Wrap(fail.Invalid, err, "%.80q", item)
			}
			e.value = &t
		}
		if e.field == "" && (attr == "" || templated) {
			return fail.New(fail.Invalid, "%.80q names no field", item)
		}
	}
	if strings.ContainsAny(e.field, " \t\r\n") {
		return fail.New(fail.Invalid, "%.80q is not a field", e.field)
	}
	if without != "" && e.field == without {
		return nil
	}
	m.list = append(m.list, e)
	return m.want(e)
}

// want notes the attributes that e needs.
func (m *mappings) want(e mapping) error {
	names := []string{}
	if e.attr != "" {
		names = append(names, e.attr)
	}
	if e.value != nil {
		for _, v := range e.value.Names() {
			name, err := attributeOf(v)
			if err != nil {
				return err
			}
			if name != "" {
				names = append(names, name)
			}
		}
	}
	for _, n := range names {
		if !isAttribute(n) {
			return fail.New(fail.Invalid, "%.80q is not an LDAP attribute", n)
		}
		if !slices.ContainsFunc(m.ask, func(a string) bool { return strings.EqualFold(a, n) }) {
			m.ask = append(m.ask, n)
		}
	}
	return nil
}

// attributeOf is the attribute that a variable stands for, empty for one of
// the request's. A variable that nobody knows is an error.
func attributeOf(variable string) (string, error) {
	group, rest, _ := strings.Cut(variable, ":")
	switch group {
	case "ldap", "ldap_multi":
		name, _, _ := strings.Cut(rest, ":")
		if strings.Contains(name, "@") {
			return "", fail.New(fail.Invalid, "%%{%.80s} points to another entry, which is not supported", variable)
		}
		return name, nil
	case "ldap_dn":
		return "", nil
	}
	if !request.Known(variable) {
		return "", fail.New(fail.Invalid, "there is no variable %%{%.80s} here", variable)
	}
	return "", nil
}

// isAttribute reports an attribute description, RFC 4512 section 2.5.
func isAttribute(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool {
		return r >= 0x80 || !(harmless(byte(r)) || r == ';') || r == '@'
	})
}

// variables are those of the request that the fields depend on.
func (m mappings) variables() []string {
	var names []string
	for _, x := range m.list {
		if x.value == nil {
			continue
		}
		for _, v := range x.value.Names() {
			if request.Known(v) {
				names = append(names, v)
			}
		}
	}
	return names
}

// fields are what e says by the mappings, in their order.
func (m mappings) fields(r *request.Request, e *ldap.Entry) ([]account.Field, error) {
	var fs []account.Field
	for _, x := range m.list {
		values := valuesOf(e, x.attr)
		if x.field == "" || (x.attr != "" && len(values) == 0) {
			continue
		}
		f := account.Field{Key: x.field}
		switch {
		case x.value != nil:
			text, err := x.value.Expand(entryVars{r, e}, nil)
			if err != nil {
				return nil, fail.Wrap(fail.Unavailable, err, "field %s", x.field)
			}
			f.Value = text
		case x.field == "password" && len(values) > 1:
			return nil, fail.New(fail.Unavailable, "%s has %d values, and only one password can be checked (auth_bind can do more)", x.attr, len(values))
		case len(values[0]) > expand.MaxResult:
			return nil, fail.New(fail.Unavailable, "value of %s is longer than %d bytes", x.attr, expand.MaxResult)
		default:
			f.Value = values[0]
		}
		fs = append(fs, f)
	}
	return fs, nil
}

// names are all values of the field "user", for listing.
func (m mappings) names(e *ldap.Entry) ([]string, error) {
	var names []string
	for _, x := range m.list {
		switch {
		case x.field != "user":
		case x.value == nil:
			names = append(names, valuesOf(e, x.attr)...)
		case x.attr != "" && len(valuesOf(e, x.attr)) == 0:
		default:
			name, err := x.value.Expand(entryVars{new(request.Request), e}, nil)
			if err != nil {
				return nil, fail.Wrap(fail.Unavailable, err, "entry %.200q", e.DN)
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// entryVars are the variables of a template: an entry's attributes, and the
// request's.
type entryVars struct {
	r *request.Request
	e *ldap.Entry
}

// Var knows %{ldap:attr:default}, %{ldap_multi:attr:separator:default} and
// %{ldap_dn} beside the request's.
func (v entryVars) Var(name string) (string, bool) {
	group, rest, _ := strings.Cut(name, ":")
	switch group {
	case "ldap":
		attr, missing, _ := strings.Cut(rest, ":")
		if values := valuesOf(v.e, attr); len(values) > 0 {
			return values[0], true
		}
		return missing, true
	case "ldap_multi":
		attr, rest, _ := strings.Cut(rest, ":")
		sep, missing, _ := strings.Cut(rest, ":")
		if more, colon := strings.CutPrefix(rest, ":"); colon {
			sep, missing = ":", strings.TrimPrefix(more, ":")
		} else if sep == "" {
			sep = " "
		}
		if values := valuesOf(v.e, attr); len(values) > 0 {
			return strings.Join(values, sep), true
		}
		return missing, true
	case "ldap_dn":
		return v.e.DN, true
	}
	return v.r.Var(name)
}

func valuesOf(e *ldap.Entry, attr string) []string {
	if attr == "" {
		return nil
	}
	return e.GetEqualFoldAttributeValues(attr)
}
