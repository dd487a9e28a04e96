package conf

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// field is one key of a struct, with the tags that stand on it.
type field struct {
	key     string
	index   []int // for reflect.Value.FieldByIndex
	typ     reflect.Type
	doc     string
	allowed []string
	limit   bounds
	example string
	use     Use
	reload  bool
}

// fieldsOf lists the keys of a struct in order, keys of inlined structs in
// the place of the embedding.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if !sf.IsExported() || name == "-" {
			continue
		}
		if options == "inline" {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				all = append(all, f)
			}
			continue
		}
		f := field{
			key:     name,
			index:   []int{i},
			typ:     sf.Type,
			doc:     sf.Tag.Get("doc"),
			limit:   bounds{sf.Tag.Get("min"), sf.Tag.Get("max")},
			example: exampleOf(sf),
			use:     Use(sf.Tag.Get("path")),
			reload:  sf.Tag.Get("reload") == "true",
		}
		if oneof, ok := sf.Tag.Lookup("oneof"); ok {
			f.allowed = strings.Split(oneof, "|")
		}
		all = append(all, f)
	}
	return all
}

// exampleOf is the tag example as YAML. The one of a list may show a single
// entry, and text needs no quotes in the tag.
func exampleOf(sf reflect.StructField) string {
	text := sf.Tag.Get("example")
	single := sf.Type.Kind() == reflect.String || isText(sf.Type)
	switch {
	case text == "" || strings.HasPrefix(text, `"`):
		return text
	case single && !strings.HasPrefix(text, "{") && text[0] != '\n':
		return quoteExample(text)
	case sf.Type.Kind() != reflect.Slice || single || strings.HasPrefix(text, "[") || strings.HasPrefix(text, "- "):
		return text
	case strings.HasPrefix(text, "{"):
		return "[" + text + "]"
	}
	return "[" + quoteFlow(text) + "]"
}

// quoteExample keeps values with a unit, such as 30s, plain.
func quoteExample(text string) string {
	if quantity(text) {
		return text
	}
	return quote(text)
}

func findField(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func keysOf(fields []field) []string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	return keys
}

// isText reports whether values of t are written as one string by t itself.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// isSection reports whether t is shown as a group of keys of its own.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

// checkSchema finds programming mistakes in a configuration type: a field
// without a key, a type that has no grammar here, a tag that cannot be read.
func checkSchema(t reflect.Type) error {
	return (&schemaChecker{seen: map[reflect.Type]bool{}}).check(t, t.Name())
}

type schemaChecker struct{ seen map[reflect.Type]bool }

func (c *schemaChecker) check(t reflect.Type, at string) error {
	if c.seen[t] {
		return nil
	}
	c.seen[t] = true
	if t == reflect.TypeFor[time.Duration]() {
		return fail.New(fail.Permanent, "configuration type %s: use conf.Duration instead of time.Duration", at)
	}
	if isText(t) && t.Kind() != reflect.Struct {
		return nil
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	case reflect.Pointer, reflect.Slice:
		return c.check(t.Elem(), at)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fail.New(fail.Permanent, "configuration type %s: keys of a map must be strings", at)
		}
		return c.check(t.Elem(), at)
	case reflect.Struct:
		return c.checkStruct(t, at)
	default:
		return fail.New(fail.Permanent, "configuration type %s: %s has no form in YAML here", at, t)
	}
}

func (c *schemaChecker) checkStruct(t reflect.Type, at string) error {
	seen := map[string]bool{}
	for _, f := range fieldsOf(t) {
		where := at + "." + f.key
		if f.key == "" || seen[f.key] {
			return fail.New(fail.Permanent, "configuration type %s: field %v needs a key of its own in tag yaml", at, t.FieldByIndex(f.index).Name)
		}
		seen[f.key] = true
		if err := f.limit.check(f.typ); err != nil {
			return fail.Wrap(fail.Permanent, err, "configuration type %s", where)
		}
		switch f.use {
		case "", UseRead, UseWrite, UseDir, UseSocket, UseConnect:
		default:
			return fail.New(fail.Permanent, "configuration type %s: unknown path tag %q", where, f.use)
		}
		// A type written as text (netip.Prefix and the like) hides its fields.
		if isText(f.typ) && len(fieldsOf(structOf(f.typ))) == 0 {
			continue
		}
		if err := c.check(f.typ, where); err != nil {
			return err
		}
	}
	return nil
}

// structOf is t when it is a struct, else the empty struct.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Struct {
		return t
	}
	return reflect.TypeFor[struct{}]()
}

// typeName is how the manual calls a type.
func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[FileMode]():
		return "file mode"
	case reflect.TypeFor[Listen]():
		return "listener"
	case reflect.TypeFor[SecretFile]():
		return "secret file"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		if isText(t) {
			return "string"
		}
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "map of " + typeName(t.Elem())
	case reflect.Struct:
		if isText(t) {
			return "string"
		}
		return "section"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if isText(t) {
			return "string"
		}
		return "whole number"
	default:
		return "string"
	}
}
