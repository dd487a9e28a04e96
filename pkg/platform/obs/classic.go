package obs

import (
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// facilityMail is the syslog facility of mail programs, RFC 5424 section 6.2.1.
const facilityMail = 2

// severity is the syslog severity of a level.
func severity(l slog.Level) int {
	switch {
	case l < slog.LevelInfo:
		return 7
	case l < slog.LevelWarn:
		return 6
	case l < slog.LevelError:
		return 4
	default:
		return 3
	}
}

// appendSyslogHeader writes what /dev/log expects before the tag, RFC 3164
// section 4.1 without the host name.
func appendSyslogHeader(dst []byte, l slog.Level, at time.Time) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(facilityMail<<3|severity(l)), 10)
	dst = append(dst, '>')
	dst = at.AppendFormat(dst, time.Stamp)
	return append(dst, ' ')
}

// maxClassic caps the text: rsyslog and syslog-ng take 8 KiB by default.
const maxClassic = 8000

// classicStyle is the text of Postfix and Dovecot, for /dev/log or as a
// syslog daemon would have written it to a file.
type classicStyle struct {
	program
	syslog bool
	host   string
}

func (s *classicStyle) line(dst []byte, e Event, at time.Time) []byte {
	tag, text := e.Classic()
	if l, ok := e.(Line); ok {
		tag, text = "postcote/"+s.daemon, lineText(l)
	}
	if tag == "" {
		return dst
	}
	if s.syslog {
		dst = appendSyslogHeader(dst, e.Level(), at)
	} else {
		dst = at.AppendFormat(dst, time.Stamp)
		dst = append(dst, ' ')
		dst = append(dst, s.host...)
		dst = append(dst, ' ')
	}
	dst = s.appendTag(dst, tag)
	if len(text) > maxClassic {
		text = text[:maxClassic]
	}
	return appendMasked(dst, text)
}

// appendTag writes "postfix/smtpd[pid]: ", "dovecot: " or "dovecot: tag: ".
func (s *classicStyle) appendTag(dst []byte, tag string) []byte {
	ident, rest := splitTag(tag)
	dst = appendMasked(dst, ident)
	if ident != "dovecot" {
		dst = append(dst, '[')
		dst = append(dst, s.pid...)
		dst = append(dst, ']')
	}
	dst = append(dst, ": "...)
	return appendMasked(dst, rest)
}

// splitTag parts the tag of an event into the syslog identifier and what
// comes before the text. Dovecot's processes log through one of them, which
// has the identifier dovecot, shows no pid and puts their name before the text.
func splitTag(tag string) (ident, rest string) {
	switch {
	case tag == "dovecot":
		return tag, ""
	case strings.Contains(tag, "/") && !strings.ContainsAny(tag, "(<"):
		return tag, ""
	default:
		return "dovecot", tag + ": "
	}
}

// lineText is an untyped line as Postfix words such lines, facts behind it.
func lineText(l Line) string {
	var b strings.Builder
	switch {
	case l.Severity >= slog.LevelError:
		b.WriteString("error: ")
	case l.Severity >= slog.LevelWarn:
		b.WriteString("warning: ")
	}
	b.WriteString(l.Text)
	writeFacts(&b, l.Facts)
	return b.String()
}

// writeFacts adds " key=value" for each fact, values in quotes where needed.
func writeFacts(b *strings.Builder, attrs []slog.Attr) {
	eachFact(attrs, "", func(key string, v slog.Value) {
		text, shortened := cut(plainText(v))
		if shortened {
			text += "..."
		}
		if text == "" || strings.ContainsAny(text, " \"=\\,") || strings.ContainsFunc(text, control) {
			text = strconv.Quote(text)
		}
		b.WriteString(" " + key + "=" + text)
	})
}
