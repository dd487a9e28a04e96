package conf

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// validate calls every Validator in v, innermost first. A mistake it reports
// at a key that could not even be read says nothing new and is dropped, as is
// one that an embedding reports a second time.
func (s *sink) validate(v reflect.Value) {
	unread := s.problems
	s.problems = nil
	s.visit(v, "")
	found := s.problems
	s.problems = unread
	for i, p := range found {
		if !covered(unread, p) && !slices.Contains(found[:i], p) {
			s.problems = append(s.problems, p)
		}
	}
}

// covered reports a mistake in a part of the file that has one of the others.
func covered(others Problems, p Problem) bool {
	return slices.ContainsFunc(others, func(q Problem) bool {
		return q.Path != "" && (q.Path == p.Path || below(q.Path, p.Path) || below(p.Path, q.Path))
	})
}

// below reports whether key path a lies under b.
func below(a, b string) bool {
	rest, ok := strings.CutPrefix(a, b)
	return ok && b != "" && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

func (s *sink) visit(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			s.visit(v.Elem(), path)
		}
		return
	case reflect.Struct:
		s.visitFields(v, path)
	case reflect.Slice:
		for i := range v.Len() {
			s.visit(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		for _, k := range sortedKeys(v) {
			entry := reflect.New(v.Type().Elem()).Elem()
			entry.Set(v.MapIndex(k))
			s.visit(entry, path+"["+k.String()+"]")
		}
	}
	if !v.CanAddr() {
		return
	}
	if val, ok := v.Addr().Interface().(Validator); ok {
		val.Validate(&Reporter{sink: s, path: path})
	}
}

// visitFields goes through the keys of a section; an inlined struct is visited
// as a whole too, since it may be a Validator.
func (s *sink) visitFields(v reflect.Value, path string) {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		key, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if !sf.IsExported() || key == "-" || (key == "" && options != "inline") {
			continue
		}
		s.visit(v.Field(i), join(path, key))
	}
}

func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	return keys
}
