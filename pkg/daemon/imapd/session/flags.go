package session

import (
	"strings"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// names pairs the store's flags with IMAP's.
func names() []struct {
	store mailbox.Flags
	imap  imap.Flag
	row   server.System
} {
	return []struct {
		store mailbox.Flags
		imap  imap.Flag
		row   server.System
	}{
		{mailbox.Answered, imap.FlagAnswered, server.Answered},
		{mailbox.Flagged, imap.FlagFlagged, server.Flagged},
		{mailbox.Deleted, imap.FlagDeleted, server.Deleted},
		{mailbox.Seen, imap.FlagSeen, server.Seen},
		{mailbox.Draft, imap.FlagDraft, server.Draft},
	}
}

// split sorts IMAP flags into the store's flags and keywords. \Recent is not
// a client's to set.
func split(flags []imap.Flag) (system mailbox.Flags, keywords []string) {
next:
	for _, f := range flags {
		for _, n := range names() {
			if strings.EqualFold(string(f), string(n.imap)) {
				system |= n.store
				continue next
			}
		}
		if !strings.HasPrefix(string(f), `\`) {
			keywords = append(keywords, string(f))
		}
	}
	return system, keywords
}

// system is the engine's form of the store's flags. It is called for each
// message of a FETCH, hence the plain tests.
func system(f mailbox.Flags) server.System {
	var s server.System
	if f&mailbox.Answered != 0 {
		s |= server.Answered
	}
	if f&mailbox.Flagged != 0 {
		s |= server.Flagged
	}
	if f&mailbox.Deleted != 0 {
		s |= server.Deleted
	}
	if f&mailbox.Seen != 0 {
		s |= server.Seen
	}
	if f&mailbox.Draft != 0 {
		s |= server.Draft
	}
	return s
}

// set converts a resolved set: "*" was replaced by the engine.
func set(uids imap.UIDSet) mailbox.Set {
	s := make(mailbox.Set, 0, len(uids))
	for _, r := range uids {
		first, last := uint32(r.Start), uint32(r.Stop)
		if last != 0 && first > last {
			first, last = last, first
		}
		if last == 0 {
			last = ^uint32(0)
		}
		if first == 0 {
			first = last
		}
		s = append(s, mailbox.Range{First: first, Last: last})
	}
	return s.Normalize()
}
