package lookup

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// inline is a table whose entries stand in its name.
type inline struct {
	values map[string]string
	fold   func(string) string
}

// openInline reads {key=value, {key = value with blanks}, …}. Of two equal
// keys the last one counts, as in Postfix.
func openInline(name string, o Options) (Table, error) {
	content, err := braced(name)
	if err != nil {
		return nil, err
	}
	list, err := fields(content)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fail.New(fail.Invalid, "there is nothing in it: write inline:{key=value}")
	}
	t := &inline{make(map[string]string, len(list)), o.fold}
	for _, entry := range list {
		if strings.HasPrefix(entry, "{") {
			if entry, err = braced(entry); err != nil {
				return nil, err
			}
		}
		key, value, found := strings.Cut(entry, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !found || key == "" || strings.ContainsAny(key, " \t\r\n") {
			return nil, fail.New(fail.Invalid, "%.80q is not key=value, or {key = value with blanks}", entry)
		}
		t.values[o.fold(key)] = value
	}
	return t, nil
}

func (t *inline) Lookup(_ context.Context, key string) (string, error) {
	value, found := t.values[t.fold(key)]
	if !found {
		return "", notFound("inline table")
	}
	return checked("inline table", value)
}

func (t *inline) Entries(context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(t.values)) {
			if !yield(Entry{k, t.values[k]}, nil) {
				return
			}
		}
	}
}
