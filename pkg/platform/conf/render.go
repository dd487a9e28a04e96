package conf

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// quote writes a string as a YAML scalar, plain when nobody can mistake it.
func quote(s string) string {
	if plainWord(s) {
		return s
	}
	return strconv.Quote(s) // Go's escapes are a part of YAML's
}

// quantity is a number with a unit, such as 1h30m or 50MiB.
func quantity(s string) bool {
	return regexp.MustCompile(`^[0-9]+[A-Za-z][0-9A-Za-z]*$`).MatchString(s)
}

func plainWord(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '/'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789_.@%+=:-", rune(c))) {
			return false
		}
	}
	return s != "" && s[len(s)-1] != ':'
}

// quoteFlow is quote inside [] and {}, where a colon is better quoted.
func quoteFlow(s string) string {
	if strings.ContainsRune(s, ':') {
		return strconv.Quote(s)
	}
	return quote(s)
}

// textOf is the scalar form of v before quoting; ok is false for lists, maps
// and sections.
func textOf(v reflect.Value) (text string, quoted, ok bool) {
	if l, isListen := v.Interface().(Listen); isListen {
		return l.Address, true, l.Mode == 0 && l.Group == "" && len(l.Allow) == 0
	}
	if isText(v.Type()) {
		if m, can := v.Interface().(encoding.TextMarshaler); can {
			b, err := m.MarshalText()
			text = string(b)
			return text, !quantity(text), err == nil
		}
		return fmt.Sprint(v.Interface()), true, v.Kind() != reflect.Struct
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), true, true
	case reflect.Bool, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprint(v.Interface()), false, true
	default:
		return "", false, false
	}
}

// scalar renders a value that fits on one line in block style.
func scalar(v reflect.Value) (string, bool) {
	text, quoted, ok := textOf(v)
	switch {
	case ok && quoted:
		return quote(text), true
	case ok:
		return text, true
	case v.Kind() == reflect.Pointer && v.IsNil():
		return "null", true
	case v.Kind() == reflect.Pointer:
		return scalar(v.Elem())
	case v.Kind() == reflect.Slice && v.Len() == 0:
		return "[]", true
	case v.Kind() == reflect.Map && v.Len() == 0:
		return "{}", true
	default:
		return "", false
	}
}

// flow renders any value on one line.
func flow(v reflect.Value) string {
	if text, quoted, ok := textOf(v); ok {
		if quoted {
			return quoteFlow(text)
		}
		return text
	}
	var parts []string
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return flow(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			parts = append(parts, flow(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		for _, k := range sortedKeys(v) {
			parts = append(parts, quoteFlow(k.String())+": "+flow(v.MapIndex(k)))
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			// An absent key of a Listen is its zero value, elsewhere maybe not.
			if fv := v.FieldByIndex(f.index); v.Type() != reflect.TypeFor[Listen]() || !emptyForm(fv) {
				parts = append(parts, f.key+": "+flow(fv))
			}
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// wrap breaks text into lines of at most width bytes, at spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
