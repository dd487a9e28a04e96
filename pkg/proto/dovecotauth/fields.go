package dovecotauth

import (
	"bytes"
	"strconv"
	"strings"
)

// Field is one parameter of the form key or key=value.
type Field struct {
	Key   string
	Value string
	Flag  bool // written without "="
}

// Fields keeps parameters in wire order. Where a key is repeated the first wins.
type Fields []Field

func parseFields(params []string) Fields {
	fs := make(Fields, 0, len(params))
	for _, p := range params {
		if p == "" { // Dovecot 2.3 ends OK lines with an empty parameter
			continue
		}
		k, v, found := strings.Cut(p, "=")
		fs = append(fs, Field{Key: k, Value: v, Flag: !found})
	}
	return fs
}

// Lookup returns the value of key and whether the key is there at all.
func (fs Fields) Lookup(key string) (string, bool) {
	for _, f := range fs {
		if f.Key == key {
			return f.Value, true
		}
	}
	return "", false
}

// Get returns the value of key, or "".
func (fs Fields) Get(key string) string {
	v, _ := fs.Lookup(key)
	return v
}

// Has reports whether key is present, with or without a value.
func (fs Fields) Has(key string) bool {
	_, ok := fs.Lookup(key)
	return ok
}

// Add appends key=value.
func (fs Fields) Add(key, value string) Fields {
	return append(fs, Field{Key: key, Value: value})
}

// AddFlag appends a bare key.
func (fs Fields) AddFlag(key string) Fields {
	return append(fs, Field{Key: key, Flag: true})
}

// Params renders the fields as parameters for AppendLine.
func (fs Fields) Params() []string {
	out := make([]string, 0, len(fs))
	for _, f := range fs {
		if f.Flag {
			out = append(out, f.Key)
		} else {
			out = append(out, f.Key+"="+f.Value)
		}
	}
	return out
}

// AppendField appends TAB and key=value, the value escaped.
func AppendField(dst []byte, key, value string) []byte {
	dst = append(dst, '\t')
	dst = append(dst, key...)
	dst = append(dst, '=')
	return AppendEscaped(dst, value)
}

// AppendTo appends each field after a TAB.
func (fs Fields) AppendTo(dst []byte) []byte {
	for _, f := range fs {
		dst = append(dst, '\t')
		dst = AppendEscaped(dst, f.Key)
		if !f.Flag {
			dst = append(dst, '=')
			dst = AppendEscaped(dst, f.Value)
		}
	}
	return dst
}

// CutField splits a parameter of the form key or key=value.
func CutField(param []byte) (key, value []byte, flag bool) {
	key, value, found := bytes.Cut(param, []byte{'='})
	return key, value, !found
}

// PackFields makes one value of many fields, as forward_fields carries them:
// TAB between them, each escaped on its own. On the wire the value is escaped
// once more.
func PackFields(fs Fields) string {
	var b []byte
	for i, p := range fs.Params() {
		if i > 0 {
			b = append(b, '\t')
		}
		b = AppendEscaped(b, p)
	}
	return string(b)
}

// UnpackFields is the inverse of PackFields. Fields after the first MaxParams
// are dropped.
func UnpackFields(s string) Fields {
	if s == "" {
		return nil
	}
	parts := strings.SplitN(s, "\t", MaxParams+1)
	if len(parts) > MaxParams {
		parts = parts[:MaxParams]
	}
	for i := range parts {
		parts[i] = Unescape(parts[i])
	}
	return parseFields(parts)
}

// ParseID reads a request id or a client pid: decimal, 1 to 2^32-1. Zero is
// never a valid id in either protocol.
func ParseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, false
	}
	return uint32(n), true
}

// FormatID is the inverse of ParseID.
func FormatID(id uint32) string { return strconv.FormatUint(uint64(id), 10) }
