package request

import (
	"maps"
	"slices"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Fields are extra fields whose values are templates, such as default_fields.
type Fields []fieldTemplate

type fieldTemplate struct {
	key   string
	value expand.Template
}

// ParseFields reads fields in the order of their keys. Errors are
// fail.Invalid and name the key.
func ParseFields(m map[string]string) (Fields, error) {
	var fs Fields
	for _, key := range slices.Sorted(maps.Keys(m)) {
		t, err := Template(m[key])
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "field %s", key)
		}
		fs = append(fs, fieldTemplate{key, t})
	}
	return fs, nil
}

// Expand fills in r's values. A field without a value is a bare key.
func (fs Fields) Expand(r *Request) ([]account.Field, error) {
	var out []account.Field
	for _, f := range fs {
		value, err := f.value.Expand(r, nil)
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "field %s", f.key)
		}
		out = append(out, account.Field{Key: f.key, Value: value, Flag: f.value.Empty()})
	}
	return out, nil
}

// Names lists the variables that the fields depend on.
func (fs Fields) Names() []string {
	var names []string
	for _, f := range fs {
		names = append(names, f.value.Names()...)
	}
	return names
}
