package server

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// DefaultLogout is Dovecot's default of pop3_logout_format.
const DefaultLogout = "top=%t/%p, retr=%r/%b, del=%d/%m, size=%s"

// LogoutFormat is a parsed pop3_logout_format: what the closing log line says
// of a session, in the notation of Dovecot 2.3 (%t) or 2.4 (%{top_count}).
type LogoutFormat struct {
	parts []func(Stats) string
	uidls bool
}

// ParseLogout understands a format. Invalid: an unknown variable.
func ParseLogout(format string) (*LogoutFormat, error) {
	f := &LogoutFormat{}
	for rest := format; rest != ""; {
		i := strings.IndexByte(rest, '%')
		if i != 0 {
			text := rest
			if i > 0 {
				text = rest[:i]
			}
			f.parts, rest = append(f.parts, func(Stats) string { return text }), rest[len(text):]
			continue
		}
		var name string
		switch {
		case strings.HasPrefix(rest, "%{"):
			var ok bool
			if name, rest, ok = strings.Cut(rest[2:], "}"); !ok {
				return nil, fail.New(fail.Invalid, "logout format %q: a %%{ is not closed", format)
			}
			name = strings.TrimSpace(name)
		case len(rest) > 1:
			name, rest = rest[1:2], rest[2:]
		default:
			return nil, fail.New(fail.Invalid, "logout format %q: the variable at its end has no name", format)
		}
		part := logoutVariable(name)
		if part == nil {
			return nil, fail.New(fail.Invalid, "logout format %q: there is no variable %q", format, name)
		}
		f.parts = append(f.parts, part)
		f.uidls = f.uidls || name == "u" || name == "uidl_change"
	}
	return f, nil
}

// UIDLs reports whether the format tells how the unique ids changed, so that
// Options.TrackUIDLs is needed.
func (f *LogoutFormat) UIDLs() bool { return f.uidls }

// Text is the words about a session.
func (f *LogoutFormat) Text(st Stats) string {
	var b strings.Builder
	for _, p := range f.parts {
		b.WriteString(p(st))
	}
	return b.String()
}

func logoutVariable(name string) func(Stats) string {
	number := func(get func(Stats) int64) func(Stats) string {
		return func(st Stats) string { return strconv.FormatInt(get(st), 10) }
	}
	switch name {
	case "%":
		return func(Stats) string { return "%" }
	case "t", "top_count":
		return number(func(st Stats) int64 { return int64(st.Top) })
	case "p", "top_bytes":
		return number(func(st Stats) int64 { return st.TopBytes })
	case "r", "retr_count":
		return number(func(st Stats) int64 { return int64(st.Retr) })
	case "b", "retr_bytes":
		return number(func(st Stats) int64 { return st.RetrBytes })
	case "d", "deleted_count":
		return number(func(st Stats) int64 { return int64(st.Deleted) })
	case "deleted_bytes":
		return number(func(st Stats) int64 { return st.DeletedBytes })
	case "m", "message_count":
		return number(func(st Stats) int64 { return int64(st.Messages) })
	case "s", "message_bytes":
		return number(func(st Stats) int64 { return st.Size })
	case "i", "input":
		return number(func(st Stats) int64 { return st.In })
	case "o", "output":
		return number(func(st Stats) int64 { return st.Out })
	case "u", "uidl_change":
		return func(st Stats) string { return st.UIDLs.String() }
	case "session":
		return func(st Stats) string { return st.Session }
	}
	return nil
}

// UIDLChange tells how the ids that a client was shown changed: their number
// and a checksum (the CRC-32s of all, XORed) at the start and at the end. The
// messages before the first that was retrieved count as the start: an earlier
// session left them.
type UIDLChange struct {
	Asked            bool // the client sent UIDL
	OldCount         int
	NewCount         int
	OldHash, NewHash uint32
}

// String is Dovecot's form.
func (c UIDLChange) String() string {
	switch {
	case !c.Asked:
		return ""
	case c.OldCount == c.NewCount && c.OldHash == c.NewHash:
		return fmt.Sprintf("%d/%08x", c.OldCount, c.OldHash)
	}
	return fmt.Sprintf("%d/%08x -> %d/%08x", c.OldCount, c.OldHash, c.NewCount, c.NewHash)
}
