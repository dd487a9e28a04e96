package conf

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// decoder turns nodes into values and collects every mistake on the way. A
// value with a mistake keeps its default.
type decoder struct {
	*sink
	root reflect.Type
}

// presetter is implemented by entries of lists and maps that do not start
// out as the zero value.
type presetter interface{ Preset() }

func (d *decoder) value(n *yaml.Node, v reflect.Value, f field, path string) {
	d.lines[path] = n.Line
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.add(n.Line, path, "write the value out", "anchors and aliases are not supported")
	case v.Kind() == reflect.Pointer:
		d.pointer(n, v, f, path)
	case isText(v.Type()) && (n.Kind == yaml.ScalarNode || !isStruct(v)):
		d.text(n, v, f, path)
	case v.Kind() == reflect.Struct:
		d.section(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, f, path)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, f, path)
	default:
		d.scalar(n, v, f, path)
	}
}

func isStruct(v reflect.Value) bool { return v.Kind() == reflect.Struct }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (d *decoder) pointer(n *yaml.Node, v reflect.Value, f field, path string) {
	if isNull(n) {
		v.SetZero()
		return
	}
	target := v
	if v.IsNil() {
		target = newEntry(v.Type().Elem()).Addr()
	}
	d.value(n, target.Elem(), f, path)
	v.Set(target)
}

// section reads the keys of a struct; keys that are absent keep their default.
func (d *decoder) section(n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) {
		return // all keys below are commented out
	}
	if n.Kind != yaml.MappingNode {
		d.wrongKind(n, path, "a section with keys of its own", "")
		return
	}
	if v.Type() == reflect.TypeFor[Listen]() {
		// Mode, group and allow go with the address: a file that names another
		// one does not inherit those of the default.
		v.SetZero()
	}
	fields := fieldsOf(v.Type())
	d.pairs(n, path, func(key string, k, val *yaml.Node) {
		f, ok := findField(fields, key)
		if !ok {
			d.add(k.Line, join(path, key), unknownKeyHint(d.root, key, fields), "unknown key")
			return
		}
		d.value(val, v.FieldByIndex(f.index), f, join(path, key))
		d.lines[join(path, key)] = k.Line
	})
}

// pairs visits the keys of a mapping, each once.
func (d *decoder) pairs(n *yaml.Node, path string, visit func(key string, k, val *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		switch line := first[k.Value]; {
		case k.Kind != yaml.ScalarNode || k.Anchor != "":
			d.add(k.Line, path, "", "a key must be a plain word")
		case k.Tag == "!!merge":
			d.add(k.Line, path, "write the keys out", "merge keys are not supported")
		case line > 0:
			d.add(k.Line, join(path, k.Value), "", "key is repeated, first seen in line %d", line)
		default:
			first[k.Value] = k.Line
			visit(k.Value, k, val)
		}
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f field, path string) {
	if n.Kind != yaml.SequenceNode {
		hint := `write "[]" for an empty list`
		if n.Kind == yaml.ScalarNode && !isNull(n) {
			hint = "write [" + quote(n.Value) + "]"
		}
		d.wrongKind(n, path, "a list", hint)
		return
	}
	entries := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	entry := f
	entry.limit = bounds{}
	for i, item := range n.Content {
		e := newEntry(v.Type().Elem())
		d.value(item, e, entry, path+"["+strconv.Itoa(i)+"]")
		entries = reflect.Append(entries, e)
	}
	d.set(n, v, entries, f, path)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, f field, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrongKind(n, path, "a mapping", `write "{}" for an empty one`)
		return
	}
	entries := reflect.MakeMap(v.Type())
	entry := f
	entry.limit = bounds{}
	d.pairs(n, path, func(key string, k, val *yaml.Node) {
		e := newEntry(v.Type().Elem())
		d.value(val, e, entry, path+"["+key+"]")
		d.lines[path+"["+key+"]"] = k.Line
		entries.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e)
	})
	d.set(n, v, entries, f, path)
}

// newEntry is a settable value, preset when its type knows how.
func newEntry(t reflect.Type) reflect.Value {
	e := reflect.New(t)
	if p, ok := e.Interface().(presetter); ok {
		p.Preset()
	}
	return e.Elem()
}

// text reads a type that parses itself.
func (d *decoder) text(n *yaml.Node, v reflect.Value, f field, path string) {
	s, ok := d.plain(n, path, typeName(v.Type()))
	if !ok {
		return
	}
	parsed := reflect.New(v.Type())
	if err := parsed.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		d.add(n.Line, path, grammarHint(v.Type()), "%s", strings.TrimSpace(err.Error()))
		return
	}
	d.set(n, v, parsed.Elem(), f, path)
}

// grammarHint shows how values of a type are written.
func grammarHint(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return durationHint
	case reflect.TypeFor[Size]():
		return sizeHint
	case reflect.TypeFor[FileMode]():
		return modeHint
	case reflect.TypeFor[Listen]():
		return listenHint
	}
	return ""
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, f field, path string) {
	s, ok := d.plain(n, path, typeName(v.Type()))
	if !ok {
		return
	}
	parsed := reflect.New(v.Type()).Elem()
	var err error
	switch v.Kind() {
	case reflect.String:
		parsed.SetString(s)
	case reflect.Bool:
		if n.Tag != "!!bool" || (s != "true" && s != "false") {
			d.add(n.Line, path, "write true or false", "%q is neither true nor false", s)
			return
		}
		parsed.SetBool(s == "true")
	case reflect.Float64:
		var x float64
		x, err = strconv.ParseFloat(s, 64)
		parsed.SetFloat(x)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var x uint64
		x, err = strconv.ParseUint(s, 10, v.Type().Bits())
		parsed.SetUint(x)
	default:
		var x int64
		x, err = strconv.ParseInt(s, 10, v.Type().Bits())
		parsed.SetInt(x)
	}
	if err != nil {
		d.add(n.Line, path, "", "%q is not a %s", s, numberName(v.Type()))
		return
	}
	d.set(n, v, parsed, f, path)
}

// numberName adds what a too small Go type would reject without a word.
func numberName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "whole number of zero or above, with at most " + strconv.Itoa(t.Bits()) + " bits"
	case reflect.Float64:
		return "number"
	default:
		return "whole number with at most " + strconv.Itoa(t.Bits()) + " bits"
	}
}

// plain is the text of a scalar as it stands in the file. Numbers in place of
// strings are taken (mode: 0660), booleans are not: they are mostly a word
// whose author did not know that YAML has a use for it.
func (d *decoder) plain(n *yaml.Node, path, want string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.wrongKind(n, path, "a single value ("+want+")", "")
		return "", false
	case isNull(n):
		d.add(n.Line, path, `give it a value, remove the key, or write "" for empty text`, "has no value")
		return "", false
	case n.Tag == "!!bool" && want != "true or false":
		d.add(n.Line, path, "put quotes around it if the word is meant", "expects a %s, not %s", want, n.Value)
		return "", false
	case n.Tag == "!!binary":
		d.add(n.Line, path, "", "binary values are not supported")
		return "", false
	}
	return n.Value, true
}

// set stores a value that kept its grammar, if it keeps its bounds too.
func (d *decoder) set(n *yaml.Node, v, parsed reflect.Value, f field, path string) {
	if f.allowed != nil && parsed.Kind() == reflect.String && !slices.Contains(f.allowed, parsed.String()) {
		d.add(n.Line, path, allowedHint(parsed.String(), f.allowed), "%q is not allowed", parsed.String())
		return
	}
	if broken := f.limit.broken(parsed); broken != "" {
		d.add(n.Line, path, f.limit.hint(), "%s %s", shown(n), broken)
		return
	}
	v.Set(parsed)
}

func shown(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return "it"
}

func (d *decoder) wrongKind(n *yaml.Node, path, want, hint string) {
	got := "a single value"
	switch {
	case isNull(n):
		got = "nothing"
	case n.Kind == yaml.SequenceNode:
		got = "a list"
	case n.Kind == yaml.MappingNode:
		got = "a mapping"
	}
	d.add(n.Line, path, hint, "expects %s, found %s", want, got)
}
