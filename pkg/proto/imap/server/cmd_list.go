package server

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// The caps of one LIST: a pattern is matched with every folder.
const (
	maxPatterns = 64
	maxPattern  = 1024
)

// LIST: RFC 3501 section 6.3.8, extended by RFC 5258 (LIST-EXTENDED), RFC
// 5819 (LIST-STATUS) and RFC 6154 (SPECIAL-USE).
//
//	list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat
//	       [SP list-return-opts]
func parseList(p *parser, _ bool) runner {
	c := &listCmd{}
	p.SP()
	if p.Peek() == '(' {
		c.extended = true
		p.List(func() { c.selectOption(p) })
		if c.recursive && !c.subscribed && !c.specialUse {
			p.Fail("RECURSIVEMATCH needs a selection option beside it")
		}
		p.SP()
	}
	c.ref = p.canonical(p.Mailbox(p.utf8))
	p.SP()
	if p.Peek() == '(' {
		c.extended = true
		p.List(func() { c.pattern(p) })
	} else {
		c.pattern(p)
	}
	if !p.More() {
		return c
	}
	if p.Word() != "RETURN" {
		p.Fail("RETURN expected")
	}
	p.SP()
	c.extended = true
	p.List(func() { c.returnOption(p) })
	return c
}

type listCmd struct {
	ref      string
	patterns []string
	extended bool // any syntax of RFC 5258 was used

	subscribed, specialUse, recursive bool        // selection options
	returnSubscribed                  bool        // return options
	status                            statusItems // of LIST-STATUS, 0: none
}

func (c *listCmd) selectOption(p *parser) {
	switch p.Word() {
	case "SUBSCRIBED":
		c.subscribed, c.returnSubscribed = true, true
	case "RECURSIVEMATCH":
		c.recursive = true
	case "SPECIAL-USE":
		c.specialUse = true
	case "REMOTE": // there are no remote mailboxes
	default:
		p.Fail("Unknown select options")
	}
}

func (c *listCmd) returnOption(p *parser) {
	switch p.Word() {
	case "SUBSCRIBED":
		c.returnSubscribed = true
	case "CHILDREN", "SPECIAL-USE": // always returned
	case "STATUS":
		p.SP()
		c.status = parseStatusItems(p)
	default:
		p.Fail("Unknown return options")
	}
}

func (c *listCmd) pattern(p *parser) {
	pat := p.Pattern(p.utf8)
	if c.extended && pat == "" {
		return // RFC 9051 section 6.3.9: it has no meaning there
	}
	if len(c.patterns) == maxPatterns || len(pat) > maxPattern || len(c.ref) > maxPattern {
		p.Fail("Too long list of patterns")
	}
	c.patterns = append(c.patterns, pat)
}

// narrow: only STATUS looks at flags.
func (c *listCmd) narrow(e effects, _ *view) effects {
	if c.status == 0 {
		e &^= readsFlags
	}
	return e
}

func (c *listCmd) run(ctx context.Context, s *call) reply {
	if !c.extended && c.patterns[0] == "" { // the basic syntax has one pattern
		return s.listDelimiter(c.ref)
	}
	folders, err := s.folders(ctx)
	if err != nil {
		return s.failed("LIST", c.ref, err)
	}
	entries := tree(folders, s.start.Delim)
	c.choose(s.session, entries)
	for _, e := range entries {
		if !c.shown(e) {
			continue
		}
		if s.stopped(ctx) {
			return none()
		}
		c.tell(ctx, s, e)
	}
	return ok("List completed.")
}

// tell writes an entry and its STATUS, which is asked for first: a mailbox
// that turns out to be none cannot be selected (RFC 5819 section 2). One that
// is shown only for those below it has no STATUS (section 3).
func (c *listCmd) tell(ctx context.Context, s *call, e *entry) {
	if c.status == 0 || e.NonExistent || e.NoSelect || !e.chosen {
		c.write(s.session, e)
		return
	}
	st, err := s.status(ctx, e.Name, c.status)
	if fail.Is(err, fail.NotFound) || fail.Is(err, fail.Denied) {
		e.NoSelect = true
	}
	c.write(s.session, e)
	if err != nil {
		s.logFailure("LIST", err)
		return
	}
	s.writeStatus(e.Name, c.status, &st)
}

// listDelimiter answers the pattern "": RFC 3501 section 6.3.8 makes it the
// question what the delimiter is.
func (s *session) listDelimiter(ref string) reply {
	root := ""
	if i := strings.IndexByte(ref, s.start.Delim); i >= 0 {
		root = ref[:i+1]
	}
	s.w.Raw("* LIST (\\Noselect) \"")
	s.w.Raw(string(rune(s.start.Delim)))
	s.w.Raw("\" ")
	s.w.Mailbox(root)
	s.w.CRLF()
	return ok("List completed.")
}

// choose marks what matches a pattern and what meets the selection criteria,
// and counts the latter at every level above.
func (c *listCmd) choose(s *session, entries []*entry) {
	ms := make([]matcher, len(c.patterns))
	for i, p := range c.patterns {
		ms[i] = newMatcher(c.ref, p, s.start.Delim)
	}
	for _, e := range entries {
		for i := 0; i < len(ms) && !e.matched; i++ {
			e.matched = ms[i].match(e.Name)
		}
		e.chosen = (!c.subscribed || e.Subscribed) && (!c.specialUse || len(e.SpecialUse) > 0)
		if !c.subscribed && !c.specialUse {
			e.chosen = !e.NonExistent || e.isParent()
		}
	}
	for _, e := range entries {
		if !e.chosen {
			continue
		}
		for up := e.up; up != nil; up = up.up {
			up.below++
			up.unmatched += btoi(!e.matched)
		}
	}
}

// shown: RFC 5258 section 3.3. A name that is not chosen itself is shown for
// those below it only when they are not all shown themselves (section 3.5).
func (c *listCmd) shown(e *entry) bool {
	return e.matched && (e.chosen || c.recursive && e.unmatched > 0)
}

func (c *listCmd) write(s *session, e *entry) {
	s.w.Raw("* LIST ")
	s.writeAttrs(e, c.extended, c.returnSubscribed)
	s.w.Mailbox(e.Name)
	if c.recursive && e.below > 0 {
		s.w.Raw(" (\"CHILDINFO\" (")
		switch {
		case c.subscribed && c.specialUse:
			s.w.Raw("\"SUBSCRIBED\" \"SPECIAL-USE\"")
		case c.subscribed:
			s.w.Raw("\"SUBSCRIBED\"")
		default:
			s.w.Raw("\"SPECIAL-USE\"")
		}
		s.w.Raw("))")
	}
	s.w.CRLF()
}
