package digest

import (
	"slices"
	"strings"
)

const (
	// maxReferences caps the ancestors of one message. Longer lists are those
	// of endless threads: their first message and the nearest ones count.
	maxReferences = 100
	maxMessageID  = 998 // RFC 5322 section 2.1.1: what a line may hold
)

// collectIDs returns what of makes of the message ids
// in the value of a References field: at most maxReferences, the first and the
// last ones.
func collectIDs[T any](value string, of func(id string) T) (dst []T) {
	oldest := 1 // of those that may go
	for {
		id, rest := nextID(value)
		switch {
		case id == "":
			if len(dst) < maxReferences {
				return dst
			}
			return slices.Concat(dst[:1], dst[oldest:], dst[1:oldest])
		case len(dst) < maxReferences:
			dst = append(dst, of(id))
		default:
			dst[oldest] = of(id)
			oldest = max(1, (oldest+1)%maxReferences)
		}
		value = rest
	}
}

// nextID returns the next message id of a list in the form that is compared
// (RFC 5256 section 3, REFERENCES): without the angle brackets, with quotes
// undone and white space left out. What is no id is skipped.
//
//	msg-id = "<" id-left "@" id-right ">"
func nextID(s string) (id, rest string) {
	for {
		start := strings.IndexByte(s, '<')
		if start < 0 {
			return "", ""
		}
		s = s[start+1:]
		end := strings.IndexAny(s, "<>\" \t\r\n")
		if end < 0 {
			return "", ""
		}
		id, rest = s[:end], s[end:]
		if s[end] == '>' {
			rest = rest[1:]
		} else {
			id, rest = oddID(s, end)
		}
		if at := strings.IndexByte(id, '@'); at >= 0 && len(id) > 1 && len(id) <= maxMessageID {
			return id, rest
		}
		s = rest
	}
}

// oddID reads an id that is not in its plain form, from where that is seen.
// It returns "" and where to go on when it is none.
func oddID(s string, from int) (id, rest string) {
	out := []byte(s[:from])
	for i := from; i < len(s); i++ {
		switch c := s[i]; {
		case c == '>':
			return string(out), s[i+1:]
		case c == '<': // a new one begins before this one has ended
			return "", s[i:]
		case isSpace(c):
		case c == '"':
			text, n, ended := unquote(s[i:])
			if !ended {
				return "", s[i+n:]
			}
			out = append(out, text...)
			i += n - 1
		default:
			out = append(out, c)
		}
	}
	return "", ""
}

// unquote reads a quoted string and returns how much was read. It gives up on
// one that does not end within the length of an id.
func unquote(s string) (text []byte, n int, ended bool) {
	n = min(len(s), maxMessageID)
	for i := 1; i < n; i++ {
		switch s[i] {
		case '"':
			return text, i + 1, true
		case '\\':
			if i++; i == n {
				return nil, n, false
			}
		}
		text = append(text, s[i])
	}
	return nil, n, false
}
