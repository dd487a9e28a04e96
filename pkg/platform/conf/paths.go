package conf

import (
	"fmt"
	"reflect"
	"strings"
)

// Use is how a daemon uses a path.
type Use string

// The values of the tag `path`.
const (
	UseRead    Use = "read"    // a file, or a directory of files, that is read
	UseWrite   Use = "write"   // a file that is written and may have to be created
	UseDir     Use = "dir"     // a directory in which files are created
	UseSocket  Use = "socket"  // a Unix socket this daemon creates
	UseConnect Use = "connect" // a Unix socket of somebody else
)

// PathUse is one path in a configuration.
type PathUse struct {
	Key  string // dotted key path
	Path string
	Use  Use
}

// Paths lists every path in cfg and how it is used. A SecretFile is read, a
// Listen on "unix:" is a socket; other fields say it with the tag `path`.
// Values like "unix:/run/x" count without the prefix; unset ones and values
// that are no absolute paths (host:port) are left out.
func Paths(cfg any) []PathUse {
	c := &pathCollector{}
	c.visit(reflect.Indirect(reflect.ValueOf(cfg)), "", "")
	return c.found
}

type pathCollector struct{ found []PathUse }

func (c *pathCollector) visit(v reflect.Value, key string, use Use) {
	switch x := v.Interface().(type) {
	case SecretFile:
		use = UseRead
	case Listen:
		if use == "" {
			use = UseSocket
		}
		c.add(key, x.Address, use)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.visit(v.Elem(), key, use)
		}
	case reflect.String:
		c.add(key, v.String(), use)
	case reflect.Slice:
		for i := range v.Len() {
			c.visit(v.Index(i), fmt.Sprintf("%s[%d]", key, i), use)
		}
	case reflect.Map:
		for _, k := range sortedKeys(v) {
			c.visit(v.MapIndex(k), key+"["+k.String()+"]", use)
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			inner := f.use
			if inner == "" {
				inner = use
			}
			c.visit(v.FieldByIndex(f.index), join(key, f.key), inner)
		}
	}
}

func (c *pathCollector) add(key, value string, use Use) {
	path := strings.TrimPrefix(value, "unix:")
	if use != "" && strings.HasPrefix(path, "/") {
		c.found = append(c.found, PathUse{Key: key, Path: path, Use: use})
	}
}
