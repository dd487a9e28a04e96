package obs

import (
	"log/slog"
	"strings"
	"time"
)

// journalStyle is a datagram of systemd's native journal protocol: one
// FIELD=value per line. Values keep no line ends, so that the protocol's
// second, length-counted form is never needed.
type journalStyle struct{ program }

func (s *journalStyle) line(dst []byte, e Event, _ time.Time) []byte {
	ident, message := s.daemon, ""
	if tag, text := e.Classic(); tag != "" {
		var rest string
		ident, rest = splitTag(tag)
		message = rest + text
	} else {
		var b strings.Builder
		b.WriteString(e.Event())
		writeFacts(&b, e.Attrs())
		message = b.String()
	}
	dst = appendField(dst, "MESSAGE", message)
	dst = append(dst, "PRIORITY="...)
	dst = append(dst, byte('0'+severity(e.Level())), '\n')
	dst = append(dst, "SYSLOG_FACILITY=2\n"...)
	dst = appendField(dst, "SYSLOG_IDENTIFIER", ident)
	dst = appendField(dst, "SYSLOG_PID", s.pid)
	dst = appendField(dst, "DAEMON", s.daemon)
	dst = appendField(dst, "EVENT", e.Event())
	eachFact(e.Attrs(), "", func(key string, v slog.Value) {
		if len(dst) < maxLine {
			dst = appendField(dst, fieldName(key), plainText(v))
		}
	})
	return dst
}

// fieldName makes a journal field of a key: upper-case letters, digits and
// underscores, not beginning with an underscore or digit, at most 64 bytes
// (systemd.journal-fields(7)).
func fieldName(key string) string {
	name := strings.TrimLeft(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9'):
			return r
		default:
			return '_'
		}
	}, key), "_")
	if name == "" || (name[0] >= '0' && name[0] <= '9') {
		name = "X_" + name
	}
	return name[:min(len(name), 64)]
}

func appendField(dst []byte, name, value string) []byte {
	value, shortened := cut(value)
	dst = append(dst, name...)
	dst = append(dst, '=')
	dst = appendMasked(dst, value)
	if shortened {
		dst = append(dst, "..."...)
	}
	return append(dst, '\n')
}
