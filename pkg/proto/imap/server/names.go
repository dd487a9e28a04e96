package server

import (
	"context"
	"slices"
	"strings"

	imap "github.com/emersion/go-imap/v2"
	"golang.org/x/text/unicode/norm"
)

// mailbox reads SP and a mailbox name.
func (p *parser) mailbox() string {
	p.SP()
	return p.canonical(p.Mailbox(p.utf8))
}

// canonical writes INBOX in upper case where it is the first level of a name,
// so that "inbox.x" and "INBOX.x" are one mailbox.
func (p *parser) canonical(name string) string {
	if len(name) > 5 && name[5] == p.delim && strings.EqualFold(name[:5], "INBOX") {
		return "INBOX" + name[5:]
	}
	return name
}

// namer is a runner with mailbox names in its arguments.
type namer interface{ names() []*string }

// denormal returns the names of a command that are no Net-Unicode (RFC 9051
// section 5.1): a client that speaks UTF-8 may write a letter in several ways.
func (c *call) denormal() []*string {
	n, named := c.cmd.(namer)
	if !named || !c.p.utf8 {
		return nil
	}
	return slices.DeleteFunc(n.names(), func(name *string) bool { return norm.NFC.IsNormalString(*name) })
}

// normalize replaces such names by their normal form, except those of
// mailboxes that others have made. done tells the client under which names to
// look for them (section 6.3.9.7).
func (c *call) normalize(ctx context.Context) (done func()) {
	list := c.denormal()
	if len(list) == 0 {
		return func() {}
	}
	folders, err := c.folders(ctx)
	if err != nil {
		return func() {} // the command itself will find the same
	}
	type change struct{ old, new string }
	var changes []change
	for _, name := range list {
		if old := *name; !slices.ContainsFunc(folders, func(f Folder) bool { return f.Name == old }) {
			*name = norm.NFC.String(old)
			changes = append(changes, change{old, *name})
		}
	}
	return func() {
		folders, err := c.folders(ctx)
		if err != nil {
			return
		}
		entries := tree(folders, c.start.Delim)
		for _, ch := range changes {
			if i := slices.IndexFunc(entries, func(e *entry) bool { return e.Name == ch.new }); i >= 0 {
				c.writeEntry(entries[i], ch.old)
			}
		}
	}
}

// writeEntry writes a LIST line outside of LIST, old being another name of
// the mailbox, or empty.
func (s *session) writeEntry(e *entry, old string) {
	s.w.Raw("* LIST ")
	s.writeAttrs(e, true, true)
	s.w.Mailbox(e.Name)
	if old != "" {
		s.w.Raw(" (\"OLDNAME\" (")
		s.w.Mailbox(old)
		s.w.Raw("))")
	}
	s.w.CRLF()
}

// subscribable is a name as it is subscribed.
func (s *session) subscribable(name string) string {
	if s.works(TBExtraMailboxSep) {
		name = strings.TrimSuffix(name, string(rune(s.start.Delim)))
	}
	return name
}

// checkName refuses names that no mailbox can have, before the store is asked:
// empty ones, empty levels, and the characters that RFC 6855 section 3
// forbids: controls, and the separators of lines and paragraphs.
func (s *session) checkName(name string) (reply, bool) {
	d := string(rune(s.start.Delim))
	switch {
	case name == "":
		return no(imap.ResponseCodeCannot, "Invalid mailbox name: Name is empty"), true
	case strings.HasPrefix(name, d) || strings.HasSuffix(name, d):
		return no(imap.ResponseCodeCannot, "Invalid mailbox name: Begins or ends with a hierarchy separator"), true
	case strings.Contains(name, d+d):
		return no(imap.ResponseCodeCannot, "Invalid mailbox name: Has adjacent hierarchy separators"), true
	case strings.ContainsFunc(name, func(c rune) bool {
		return c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029'
	}):
		return no(imap.ResponseCodeCannot, "Invalid mailbox name: Has control characters"), true
	}
	return reply{}, false
}

// matcher decides whether a mailbox name fits a pattern of LIST: "*" stands
// for anything, "%" for anything within one level (RFC 3501 section 6.3.8).
// The work is linear in pattern times name, whatever the pattern.
type matcher struct {
	pattern string
	delim   byte
}

// newMatcher joins the reference and the pattern.
func newMatcher(ref, pattern string, delim byte) matcher {
	full := ref + pattern
	if len(full) >= 5 && strings.EqualFold(full[:5], "INBOX") && (len(full) == 5 || strings.IndexByte("*%"+string(rune(delim)), full[5]) >= 0) {
		full = "INBOX" + full[5:]
	}
	return matcher{full, delim}
}

// match reports whether name fits. It keeps the set of positions in the
// pattern that the name so far can have reached.
func (m matcher) match(name string) bool {
	n := len(m.pattern)
	buf := make([]bool, 2*n+2)
	cur, next := buf[:n+1], buf[n+1:]
	m.enter(cur, 0)
	for i := range len(name) {
		clear(next)
		alive := false
		for j := range n {
			if !cur[j] {
				continue
			}
			switch c := m.pattern[j]; {
			case c == '*', c == '%' && name[i] != m.delim:
				m.enter(next, j)
				alive = true
			case c == name[i]:
				m.enter(next, j+1)
				alive = true
			}
		}
		if !alive {
			return false
		}
		cur, next = next, cur
	}
	return cur[n]
}

// enter marks a position and those reached from it without a character.
func (m matcher) enter(set []bool, j int) {
	for !set[j] {
		set[j] = true
		if j == len(m.pattern) || m.pattern[j] != '*' && m.pattern[j] != '%' {
			return
		}
		j++
	}
}
