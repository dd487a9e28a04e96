package digest

import "strings"

// BaseSubject takes from a decoded subject what replies and forwards add to it
// (RFC 5256 section 2.1). reply is true when it took away a mark of either.
func BaseSubject(s string) (base string, reply bool) {
	s = oneSpace(s)
	for {
		s, reply = cutTrailers(s, reply)
		s, reply = cutLeaders(s, reply)
		inner, ok := cutForward(s)
		if !ok {
			return s, reply
		}
		s, reply = inner, true
	}
}

// oneSpace makes every run of white space one space. Long subjects are cut:
// the rest takes no part in an order, and the rules below look at a prefix
// more than once.
func oneSpace(s string) string {
	const most = 2 * MaxKey
	var b strings.Builder
	space := false
	for i := 0; i < len(s) && b.Len() < most; i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
			space = true
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteByte(c)
		}
	}
	if space {
		b.WriteByte(' ')
	}
	return strings.ToValidUTF8(b.String(), "")
}

// cutTrailers removes "(fwd)" and white space from the end.
func cutTrailers(s string, reply bool) (string, bool) {
	for {
		s = strings.TrimRight(s, " ")
		n := len(s) - len("(fwd)")
		if n < 0 || !strings.EqualFold(s[n:], "(fwd)") {
			return s, reply
		}
		s, reply = s[:n], true
	}
}

// cutLeaders removes white space, "Re:" and the like, and "[list]" where
// something else is left.
func cutLeaders(s string, reply bool) (string, bool) {
	for {
		s = strings.TrimLeft(s, " ")
		if rest, ok := cutReply(s); ok {
			s, reply = rest, true
			continue
		}
		rest, ok := cutBlob(s)
		if !ok || rest == "" {
			return s, reply
		}
		s = rest
	}
}

// cutReply removes subj-leader: any number of blobs, then "re", "fw" or "fwd",
// perhaps another blob, and a colon.
func cutReply(s string) (string, bool) {
	for {
		rest, ok := cutBlob(s)
		if !ok {
			break
		}
		s = rest
	}
	n := 0
	for _, word := range []string{"fwd", "fw", "re"} {
		if len(s) >= len(word) && strings.EqualFold(s[:len(word)], word) {
			n = len(word)
			break
		}
	}
	if n == 0 {
		return s, false
	}
	s = strings.TrimLeft(s[n:], " ")
	if rest, ok := cutBlob(s); ok {
		s = rest
	}
	return strings.CutPrefix(s, ":")
}

// cutBlob removes "[text]" and the white space behind it.
func cutBlob(s string) (string, bool) {
	if s == "" || s[0] != '[' {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[2+end:], " "), true
}

// cutForward opens "[fwd: text]".
func cutForward(s string) (string, bool) {
	const head = "[fwd:"
	if len(s) <= len(head) || !strings.EqualFold(s[:len(head)], head) || s[len(s)-1] != ']' {
		return s, false
	}
	return s[len(head) : len(s)-1], true
}
