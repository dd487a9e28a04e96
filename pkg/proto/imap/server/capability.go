package server

import (
	"strconv"
	"strings"
)

// feature is a set of what a client has turned on with ENABLE (RFC 5161).
type feature uint16

const (
	featureRev2 feature = 1 << iota // IMAP4rev2: RFC 9051
	featureUTF8                     // UTF8=ACCEPT: RFC 6855
	featureCondstore
	featureQresync
)

// capability is one row of what a session can announce.
type capability struct {
	name string
	rfc  int
	// when says on what the announcement depends; nil: on nothing.
	when func(s *session) bool
	// needs names further capabilities without which this one is not served
	// whole: it is announced when they are.
	needs string
	// value follows the name and "=" in the announcement.
	value func(s *session) string
	// enables is what ENABLE with this name turns on.
	enables feature
}

// capabilityTable is what a session can do after login, in the order of the
// announcement; at most 64. A row is here only when all of its RFC is served; docs/imap.md
// says the same in words, and a test holds the two together.
func capabilityTable() []capability {
	return []capability{
		{name: "IMAP4rev1", rfc: 3501},
		{name: "IMAP4rev2", rfc: 9051, needs: rev2Needs, enables: featureRev2},
		{name: "LITERAL+", rfc: 7888, when: func(s *session) bool { return !s.srv.cfg.LiteralMinus }},
		{name: "LITERAL-", rfc: 7888, when: func(s *session) bool { return s.srv.cfg.LiteralMinus }},
		{name: "SASL-IR", rfc: 4959}, // for clients that never ask again
		{name: "ID", rfc: 2971},
		{name: "ENABLE", rfc: 5161},
		{name: "IDLE", rfc: 2177},
		{name: "NAMESPACE", rfc: 2342},
		{name: "UIDPLUS", rfc: 4315},
		{name: "UNSELECT", rfc: 3691},
		{name: "CHILDREN", rfc: 3348},
		{name: "ESEARCH", rfc: 4731},
		{name: "SEARCHRES", rfc: 5182},
		{name: "WITHIN", rfc: 5032},
		{name: "SORT", rfc: 5256},
		{name: "SORT=DISPLAY", rfc: 5957, needs: "SORT"},
		{name: "ESORT", rfc: 5267, needs: "SORT"},
		{name: "THREAD=ORDEREDSUBJECT", rfc: 5256},
		{name: "THREAD=REFERENCES", rfc: 5256},
		{name: "THREAD=REFS", rfc: 5256}, // draft-ietf-morg-inthread
		{name: "I18NLEVEL=1", rfc: 5255},
		{name: "INPROGRESS", rfc: 9585},
		{name: "LIST-EXTENDED", rfc: 5258},
		{name: "LIST-STATUS", rfc: 5819},
		{name: "STATUS=SIZE", rfc: 8438},
		{name: "SPECIAL-USE", rfc: 6154},
		{name: "CREATE-SPECIAL-USE", rfc: 6154},
		{name: "MOVE", rfc: 6851},
		{name: "MULTIAPPEND", rfc: 3502},
		{name: "REPLACE", rfc: 8508},
		{name: "UTF8=ACCEPT", rfc: 6855, when: speaksUTF8, enables: featureUTF8},
		{name: "COMPRESS=DEFLATE", rfc: 4978, when: uncompressed},
		{name: "BINARY", rfc: 3516},
		{name: "PREVIEW", rfc: 8970},
		{name: "SAVEDATE", rfc: 8514},
		{name: "OBJECTID", rfc: 8474},
		{name: "APPENDLIMIT", rfc: 7889, value: func(s *session) string { return strconv.FormatInt(s.srv.cfg.MaxMessage, 10) }},
		{name: "UNAUTHENTICATE", rfc: 8437, when: returnable},
		{name: "QUOTA", rfc: 9208, when: limited},
		{name: "QUOTA=RES-STORAGE", rfc: 9208, when: limited},
		{name: "QUOTA=RES-MESSAGE", rfc: 9208, when: limited},
		{name: "NOTIFY", rfc: 5465, when: follows},
		{name: "CONDSTORE", rfc: 7162, when: exclusive, enables: featureCondstore},
		{name: "QRESYNC", rfc: 7162, needs: "CONDSTORE ENABLE", enables: featureCondstore | featureQresync},
	}
}

// rev2Needs is what RFC 9051 has folded in (appendix E) and others serve.
const rev2Needs = "SASL-IR ENABLE IDLE NAMESPACE UIDPLUS UNSELECT ESEARCH SEARCHRES LIST-EXTENDED LIST-STATUS STATUS=SIZE SPECIAL-USE MOVE BINARY"

// Capabilities are the names of all that can be announced.
func Capabilities() []string {
	var names []string
	for _, c := range capabilityTable() {
		names = append(names, c.name)
	}
	return names
}

// follows: the account tells of changes in all its mailboxes.
func follows(s *session) bool {
	_, tells := s.start.Account.(Follower)
	return tells
}

// exclusive: nobody else writes the mail at the same time.
func exclusive(s *session) bool { return !s.start.Shared }

// uncompressed: DEFLATE runs once, and Go's TLS has no compression.
func uncompressed(s *session) bool { return s.io.inflate == nil }

// speaksUTF8: where UTF8=ACCEPT is announced, clients without it may not put
// UTF-8 into a header any more, which is for the operator to decide.
func speaksUTF8(s *session) bool { return s.srv.cfg.UTF8 }

// announced returns the row of a capability that this session announces now,
// nil when it does not.
func (s *session) announced(name string) *capability {
	for i := range s.srv.caps {
		if c := &s.srv.caps[i]; c.name == name && s.announces(c) {
			return c
		}
	}
	return nil
}

func (s *session) announces(c *capability) bool {
	if c.when != nil && !c.when(s) {
		return false
	}
	for _, name := range strings.Fields(c.needs) {
		if s.announced(name) == nil {
			return false
		}
	}
	return true
}

// capabilities is what follows "CAPABILITY ". Most sessions of a server say the
// same, so it is put together once for each set of conditions that hold.
func (s *session) capabilities() string {
	var holds uint64
	for i := range s.srv.caps {
		if when := s.srv.caps[i].when; when == nil || when(s) {
			holds |= 1 << i
		}
	}
	if known, ok := s.srv.announcements.Load(holds); ok {
		return known.(string)
	}
	line := s.announcement()
	s.srv.announcements.Store(holds, line)
	return line
}

func (s *session) announcement() string {
	names := make([]string, 0, len(s.srv.caps))
	for i := range s.srv.caps {
		switch c := &s.srv.caps[i]; {
		case !s.announces(c):
		case c.value != nil:
			names = append(names, c.name+"="+c.value(s))
		default:
			names = append(names, c.name)
		}
	}
	return strings.Join(names, " ")
}

// without removes the rows that are not to be announced.
func without(rows []capability, names []string) []capability {
	kept := rows[:0]
	for _, c := range rows {
		off := c.name != "IMAP4rev1" && containsFold(names, c.name)
		if !off {
			kept = append(kept, c)
		}
	}
	return kept
}

func containsFold(list []string, name string) bool {
	for _, s := range list {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}
