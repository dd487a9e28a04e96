package conf

import (
	"bytes"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Key is one key of a configuration, for the reference manual.
type Key struct {
	Path    string   // "tls.cert_file", "listen[].mode", "tables[NAME].file"
	Type    string   // "duration", "size", "string", "list of listener", "section", ...
	Default string   // on one line; empty for a section
	Doc     string   // the doc tag
	Allowed []string // values of a oneof
	Min     string
	Max     string
	Example string
	Reload  bool // SIGHUP applies a change
	Depth   int  // 0 for top-level keys
}

// Reference lists every key of cfg in file order; a section comes before its
// keys, a list or map of sections before the keys of an entry.
func Reference(cfg any) []Key {
	v := reflect.Indirect(reflect.ValueOf(cfg))
	return reference(nil, v, "", 0, false)
}

func reference(keys []Key, v reflect.Value, path string, depth int, reload bool) []Key {
	if depth > maxSearchDepth {
		return keys
	}
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		k := Key{
			Path: join(path, f.key), Type: typeName(f.typ), Doc: f.doc, Allowed: f.allowed,
			Min: f.limit.min, Max: f.limit.max, Example: f.example, Reload: reload || f.reload, Depth: depth,
		}
		if k.Type != "section" {
			k.Default = flow(fv)
		}
		keys = append(keys, k)
		if inner, suffix, ok := inside(fv); ok {
			keys = reference(keys, inner, k.Path+suffix, depth+1, k.Reload)
		}
	}
	return keys
}

// inside finds the section behind a field: itself, what it points to, or an
// entry of a list or map. A Listen explains itself in the manual's text.
func inside(v reflect.Value) (section reflect.Value, suffix string, ok bool) {
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		if t = t.Elem(); !v.IsNil() {
			return v.Elem(), "", isSection(t)
		}
		return newEntry(t), "", isSection(t)
	}
	switch {
	case isSection(t):
		return v, "", true
	case t.Kind() == reflect.Slice && isSection(t.Elem()):
		return newEntry(t.Elem()), "[]", true
	case t.Kind() == reflect.Map && isSection(t.Elem()):
		return newEntry(t.Elem()), "[NAME]", true
	}
	return v, "", false
}

// CheckDocs finds documentation that does not hold: a key without a doc, an
// example that does not load, defaults that do not load back. Rules of
// Validators are left out, since defaults may well lack what only the
// operator knows. Each daemon's tests call it on its Config.
func CheckDocs(cfg any) error {
	v := reflect.Indirect(reflect.ValueOf(cfg))
	if err := checkSchema(v.Type()); err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := WriteDefaults(&buf, cfg); err != nil {
		return err
	}
	back := reflect.New(v.Type())
	if err := parseOnly(buf.Bytes(), back.Elem(), field{}); err != nil {
		return fail.Wrap(fail.Permanent, err, "the defaults do not load")
	}
	if a, b := flow(v), flow(back.Elem()); a != b {
		return fail.New(fail.Permanent, "the defaults load back differently:\n%s\n%s", a, b)
	}
	return checkSectionDocs(v, "", 0)
}

func checkSectionDocs(v reflect.Value, path string, depth int) error {
	if depth > maxSearchDepth {
		return nil
	}
	for _, f := range fieldsOf(v.Type()) {
		at := join(path, f.key)
		if !strings.HasSuffix(f.doc, ".") {
			return fail.New(fail.Permanent, "key %s needs a doc tag of one or more sentences", at)
		}
		if f.example != "" {
			if err := parseOnly([]byte(f.example), reflect.New(f.typ).Elem(), f); err != nil {
				return fail.Wrap(fail.Permanent, err, "key %s: the example does not load", at)
			}
		}
		if inner, suffix, ok := inside(v.FieldByIndex(f.index)); ok {
			if err := checkSectionDocs(inner, at+suffix, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseOnly reads YAML into v without calling Validators.
func parseOnly(data []byte, v reflect.Value, f field) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return err
	}
	s := &sink{lines: map[string]int{}}
	if len(doc.Content) == 1 {
		(&decoder{sink: s, root: structOf(v.Type())}).value(doc.Content[0], v, f, "")
	}
	if len(s.problems) > 0 {
		return s.problems
	}
	return nil
}
