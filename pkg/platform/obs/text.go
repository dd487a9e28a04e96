package obs

import (
	"encoding"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// program is what every line says about its origin.
type program struct {
	daemon string
	pid    string
}

// eachFact calls visit for every fact of e, with groups flattened to
// "group.key" and the kind of an error beside the error.
func eachFact(attrs []slog.Attr, prefix string, visit func(key string, v slog.Value)) {
	for _, a := range attrs {
		v := a.Value.Resolve()
		key := a.Key
		if prefix != "" {
			key = prefix + "." + key
		}
		if v.Kind() == slog.KindGroup {
			if a.Key == "" {
				key = prefix
			}
			eachFact(v.Group(), key, visit)
			continue
		}
		if key == "" {
			continue
		}
		visit(key, v)
		if a.Key == KeyErr && v.Kind() == slog.KindAny {
			if err, ok := v.Any().(error); ok && err != nil {
				visit(KeyKind, slog.StringValue(fail.KindOf(err).String()))
			}
		}
	}
}

// appendSeconds writes a span as seconds, to the microsecond.
func appendSeconds(dst []byte, d time.Duration) []byte {
	return strconv.AppendFloat(dst, math.Round(d.Seconds()*1e6)/1e6, 'f', -1, 64)
}

// plainText is the text of any value, not yet escaped.
func plainText(v slog.Value) string {
	switch v.Kind() {
	case slog.KindString:
		return v.String()
	case slog.KindDuration:
		return string(appendSeconds(nil, v.Duration()))
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
		return anyText(v.Any())
	default:
		return v.String()
	}
}

// anyText never panics, whatever stands behind the interface.
func anyText(x any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("%T", x)
		}
	}()
	switch x := x.(type) {
	case nil:
		return ""
	case error:
		return x.Error()
	case fmt.Stringer:
		return x.String()
	case encoding.TextMarshaler:
		if b, err := x.MarshalText(); err == nil {
			return string(b)
		}
	}
	return fmt.Sprint(x)
}

// cut shortens s to maxValue bytes at a character's border.
func cut(s string) (short string, shortened bool) {
	if len(s) <= maxValue {
		return s, false
	}
	end := maxValue
	for end > maxValue-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end], true
}

// control reports characters that could break a line or drive a terminal:
// C0, DEL, C1 and the Unicode line ends.
func control(r rune) bool {
	return r < 0x20 || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029
}

// appendMasked writes text as Postfix does: a question mark for every byte of
// a control character and of what is no UTF-8.
func appendMasked(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c >= 0x20 && c < 0x7f {
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if control(r) || (r == utf8.RuneError && n == 1) {
			dst = append(dst, '?')
		} else {
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst
}
