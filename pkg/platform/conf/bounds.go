package conf

import (
	"encoding"
	"reflect"
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// bounds are the tags min and max as written; an empty one does not bind.
type bounds struct{ min, max string }

// measure is what bounds compare: a number itself, or the length of a list,
// map or string.
func measure(v reflect.Value) (n float64, what string, ok bool) {
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return float64(v.Int()), "", true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return float64(v.Uint()), "", true
	case reflect.Float64:
		return v.Float(), "", true
	case reflect.Slice, reflect.Map:
		return float64(v.Len()), " entries", true
	case reflect.String:
		return float64(v.Len()), " bytes", true
	default:
		return 0, "", false
	}
}

// read turns the text of a bound into the number that measure yields for t.
func (bounds) read(text string, t reflect.Type) (float64, error) {
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
	default:
		if isText(t) {
			v := reflect.New(t)
			if err := v.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
				return 0, err
			}
			n, _, _ := measure(v.Elem())
			return n, nil
		}
	}
	return strconv.ParseFloat(text, 64)
}

// check reports bounds that cannot be read for t.
func (b bounds) check(t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for _, text := range []string{b.min, b.max} {
		if text == "" {
			continue
		}
		if _, _, ok := measure(reflect.New(t).Elem()); !ok {
			return fail.New(fail.Permanent, "a %s cannot have min or max", t)
		}
		if _, err := b.read(text, t); err != nil {
			return fail.Wrap(fail.Permanent, err, "bound %q", text)
		}
	}
	return nil
}

// broken says how v breaks the bounds, "" when it does not.
func (b bounds) broken(v reflect.Value) string {
	n, what, ok := measure(v)
	if !ok {
		return ""
	}
	if low, err := b.read(b.min, v.Type()); err == nil && n < low {
		return "is below the minimum of " + b.min + what
	}
	if high, err := b.read(b.max, v.Type()); err == nil && n > high {
		return "is above the maximum of " + b.max + what
	}
	return ""
}

// hint tells the allowed range.
func (b bounds) hint() string {
	switch {
	case b.min != "" && b.max != "":
		return "allowed: " + b.min + " to " + b.max
	case b.min != "":
		return "allowed: " + b.min + " and above"
	default:
		return "allowed: up to " + b.max
	}
}
