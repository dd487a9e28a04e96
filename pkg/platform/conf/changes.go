package conf

import "reflect"

// Change is one key whose value differs between two configurations.
type Change struct {
	Key      string
	Old, New string // on one line, as in a file
	Reload   bool   // the field is tagged reload:"true", so that SIGHUP applies it
}

// Changes compares two values of the same configuration struct, key by key;
// lists and maps are compared as a whole.
func Changes(old, now any) []Change {
	a, b := reflect.Indirect(reflect.ValueOf(old)), reflect.Indirect(reflect.ValueOf(now))
	if a.Type() != b.Type() || a.Kind() != reflect.Struct {
		return nil
	}
	return changes(nil, a, b, "", false)
}

func changes(found []Change, a, b reflect.Value, path string, reload bool) []Change {
	for _, f := range fieldsOf(a.Type()) {
		x, y := a.FieldByIndex(f.index), b.FieldByIndex(f.index)
		key := join(path, f.key)
		if isSection(f.typ) {
			found = changes(found, x, y, key, reload || f.reload)
			continue
		}
		if from, to := flow(x), flow(y); from != to {
			found = append(found, Change{Key: key, Old: from, New: to, Reload: reload || f.reload})
		}
	}
	return found
}
