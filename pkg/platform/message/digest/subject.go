package digest

import "strings"

// BaseSubject takes what replies, forwards and mailing lists put around a
// subject off it (RFC 5256 section 2.1, steps 1 to 7). subject has its encoded
// words decoded. reply reports whether something was there that makes the
// message a reply or a forward. The work is linear in the length: however
// brackets and prefixes are nested, no byte is looked at more than a few times.
func BaseSubject(subject string) (base string, reply bool) {
	s := subjectText{s: packSpaces(subject)}
	for {
		s.dropTrailers()
		s.dropLeaders()
		if !s.dropForward() {
			return s.s, s.reply
		}
	}
}

// packSpaces is step 1: every run of white space becomes one space. A subject
// without one to change is not copied.
func packSpaces(s string) string {
	i := 0
	for ; i < len(s); i++ {
		if isControl(s[i]) || s[i] == ' ' && i+1 < len(s) && isSpace(s[i+1]) {
			break
		}
	}
	if i == len(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		switch {
		case !isSpace(s[i]):
			out = append(out, s[i])
		case len(out) == 0 || out[len(out)-1] != ' ':
			out = append(out, ' ')
		}
	}
	return string(out)
}

func isControl(c byte) bool { return c == '\t' || c == '\r' || c == '\n' }

func isSpace(c byte) bool { return c == ' ' || isControl(c) }

// subjectText is what is left of a subject.
type subjectText struct {
	s     string
	reply bool
}

// dropTrailers is step 2.
//
//	subj-trailer = "(fwd)" / WSP
func (t *subjectText) dropTrailers() {
	for {
		n := len(t.s)
		switch {
		case n > 0 && t.s[n-1] == ' ':
			t.s = t.s[:n-1]
		case n >= 5 && strings.EqualFold(t.s[n-5:], "(fwd)"):
			t.s, t.reply = t.s[:n-5], true
		default:
			return
		}
	}
}

// dropLeaders is steps 3 to 5.
//
//	subj-leader = (*subj-blob subj-refwd) / WSP
//
// Blobs in front are either part of a leader, or all but the last go in step
// 4 when nothing stands behind them: so the whole run of them is read once.
func (t *subjectText) dropLeaders() {
	for t.s != "" {
		if t.s[0] == ' ' {
			t.s = t.s[1:]
			continue
		}
		rest, last := t.s, t.s
		for {
			next, isBlob := blob(rest)
			if !isBlob {
				break
			}
			rest, last = next, rest
		}
		if next, isRefwd := refwd(rest); isRefwd {
			t.s, t.reply = next, true
			continue
		}
		if rest == "" {
			rest = last // step 4: a blob that is all there is stays
		}
		if len(rest) == len(t.s) {
			return
		}
		t.s = rest
	}
}

// dropForward is step 6.
//
//	subj-fwd-hdr = "[fwd:"   subj-fwd-trl = "]"
func (t *subjectText) dropForward() bool {
	const hdr = "[fwd:"
	n := len(t.s)
	if n <= len(hdr) || !strings.EqualFold(t.s[:len(hdr)], hdr) || t.s[n-1] != ']' {
		return false
	}
	t.s, t.reply = t.s[len(hdr):n-1], true
	return true
}

// blob takes a blob off the front of s.
//
//	subj-blob = "[" *BLOBCHAR "]" *WSP
func blob(s string) (rest string, found bool) {
	if s == "" || s[0] != '[' {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]") + 1
	if end == 0 || s[end] != ']' {
		return s, false
	}
	return strings.TrimPrefix(s[end+1:], " "), true
}

// refwd takes a mark of a reply or a forward off the front of s.
//
//	subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
func refwd(s string) (rest string, found bool) {
	switch {
	case hasPrefixFold(s, "re"):
		rest = s[2:]
	case hasPrefixFold(s, "fwd"):
		rest = s[3:]
	case hasPrefixFold(s, "fw"):
		rest = s[2:]
	default:
		return s, false
	}
	rest, _ = blob(strings.TrimPrefix(rest, " "))
	return strings.CutPrefix(rest, ":")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
