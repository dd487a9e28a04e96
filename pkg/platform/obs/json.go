package obs

import (
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// jsonStyle is one object per line: time, level, daemon, event, then the
// facts in the order the event gives them. Spans are seconds.
type jsonStyle struct {
	program
	syslog bool      // lines go to /dev/log and need its header
	facts  sync.Pool // of *[]slog.Attr
}

func (s *jsonStyle) line(dst []byte, e Event, at time.Time) []byte {
	if s.syslog {
		dst = appendSyslogHeader(dst, e.Level(), at)
		dst = append(dst, s.daemon...)
		dst = append(dst, '[')
		dst = append(dst, s.pid...)
		dst = append(dst, "]: "...)
	}
	dst = append(dst, `{"time":"`...)
	dst = appendTime(dst, at.UTC())
	dst = append(dst, `","level":"`...)
	dst = append(dst, levelName(e.Level())...)
	dst = append(dst, `","daemon":`...)
	dst = appendJSONString(dst, s.daemon)
	dst = append(dst, `,"event":`...)
	dst = appendJSONString(dst, e.Event())
	frequent, ok := e.(Frequent)
	if !ok {
		return append(appendJSONFacts(dst, e.Attrs()), '}')
	}
	list, _ := s.facts.Get().(*[]slog.Attr)
	if list == nil {
		list = new([]slog.Attr)
	}
	*list = frequent.AppendAttrs((*list)[:0])
	dst = appendJSONFacts(dst, *list)
	s.facts.Put(list)
	return append(dst, '}')
}

// appendJSONFacts writes what fits; what is left out are facts, never the end
// of the object. Most are texts and numbers, which need no look at groups.
func appendJSONFacts(dst []byte, facts []slog.Attr) []byte {
	for i := range facts {
		f := &facts[i]
		if len(dst) > maxLine {
			break
		}
		switch kind := f.Value.Kind(); {
		case f.Key == "" || kind != slog.KindString && kind != slog.KindInt64:
			dst = appendJSONOther(dst, facts[i:i+1])
		case kind == slog.KindString:
			dst = append(appendJSONString(append(dst, ','), f.Key), ':')
			dst = appendJSONString(dst, f.Value.String())
		default:
			dst = append(appendJSONString(append(dst, ','), f.Key), ':')
			dst = strconv.AppendInt(dst, f.Value.Int64(), 10)
		}
	}
	return dst
}

func appendJSONOther(dst []byte, facts []slog.Attr) []byte {
	eachFact(facts, "", func(key string, v slog.Value) {
		if len(dst) > maxLine {
			return
		}
		dst = append(appendJSONString(append(dst, ','), key), ':')
		dst = appendJSONValue(dst, v)
	})
	return dst
}

// appendTime is the layout 2006-01-02T15:04:05.000000Z, for years of four
// digits. Reading a layout takes as long as all the rest of a short line.
func appendTime(dst []byte, at time.Time) []byte {
	year, month, day := at.Date()
	hour, minute, second := at.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), at.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

// appendDigits writes the last n digits of v.
func appendDigits(dst []byte, v, n int) []byte {
	var b [6]byte
	for i := n - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, b[:n]...)
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARN"
	default:
		return "ERROR"
	}
}

func appendJSONValue(dst []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindInt64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(dst, v.Uint64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case slog.KindDuration:
		return appendSeconds(dst, v.Duration())
	case slog.KindFloat64:
		if f := v.Float64(); f-f == 0 { // JSON has no infinities and no NaN
			return strconv.AppendFloat(dst, f, 'g', -1, 64)
		}
	case slog.KindAny:
		switch list := v.Any().(type) {
		case nil:
			return append(dst, "null"...)
		case []string:
			return appendJSONList(dst, list)
		}
	}
	return appendJSONString(dst, plainText(v))
}

func appendJSONList(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if len(dst) > maxLine {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, s)
	}
	return append(dst, ']')
}

// appendJSONString quotes s, escapes control characters and replaces what is
// no UTF-8. RFC 8259 section 7.
func appendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	s, shortened := cut(s)
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		plain := i
		for i < len(s) && s[i]-0x20 < 0x5f && s[i] != '"' && s[i] != '\\' {
			i++
		}
		dst = append(dst, s[plain:i]...)
		if i == len(s) {
			break
		}
		if c := s[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == utf8.RuneError && n == 1:
			dst = append(dst, `\ufffd`...)
		case control(r):
			dst = append(dst, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
		default:
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	if shortened {
		dst = append(dst, "..."...)
	}
	return append(dst, '"')
}
