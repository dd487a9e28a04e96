package server

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// lull is how long a session that has just told something listens to its client
// alone: however much happens elsewhere, commands have their turn.
const lull = time.Millisecond

// await returns when the client has sent something, or when the session may be
// parked. Meanwhile it tells what NOTIFY has asked for.
func (s *session) await() (event, error) {
	if s.until.IsZero() {
		s.until = time.Now().Add(s.srv.cfg.IdleTimeout)
	}
	for {
		if s.notify != nil {
			s.notify.attend(s.view)
			if s.notify.isDue() {
				c := &call{session: s, touches: alone}
				c.announce(s.alive, false)
				if input, err := s.afterwards(); input || err != nil {
					return eventInput, err
				}
			}
		}
		switch ev, err := s.io.waitUntil(s.until); {
		case err != nil:
			return 0, err
		case ev == eventTimeout:
			return 0, os.ErrDeadlineExceeded
		case ev != eventWake: // one that came too late for its IDLE means nothing here
			return ev, nil
		}
	}
}

// afterwards sends what was told, and sees whether the client has something to
// say.
func (s *session) afterwards() (input bool, err error) {
	if s.done {
		return true, nil
	}
	if err := s.w.Release(); err != nil {
		return false, err
	}
	return s.io.lull(lull)
}

// announce tells what has happened since it last did. It is for when nothing
// else of the session runs. Where expunges may be told in any case, command is
// set.
func (c *call) announce(ctx context.Context, command bool) {
	n := c.notify
	t := n.take()
	if t.overflow {
		c.overflow()
		return
	}
	entries := c.tellFolders(ctx, &t)
	if v := c.view; v != nil && n.wants != 0 {
		v.sync(ctx, c, command || !n.delayed, nil)
		c.tellFresh(ctx)
	}
	for _, name := range slices.Sorted(maps.Keys(t.changed)) {
		if c.w.Err() != nil {
			return
		}
		c.tellStatus(ctx, entries, name, t.changed[name])
	}
	c.lostMailbox()
}

// listed is LIST's view of the folders by their names; nil: not needed.
type listed map[string]*entry

// tellFolders tells of changes of mailboxes themselves.
func (c *call) tellFolders(ctx context.Context, t *todo) listed {
	if len(t.renamed) == 0 && (len(t.changed) == 0 || !c.notify.resolves()) {
		return nil
	}
	folders, err := c.folders(ctx)
	if err != nil {
		c.logFailure("NOTIFY", err)
		return nil
	}
	entries := listed{}
	for _, e := range tree(folders, c.start.Delim) {
		entries[e.Name] = e
	}
	for _, e := range t.renamed {
		c.tellFolder(entries, e)
		if e.What&(MailboxCreated|MailboxRenamed) != 0 && !e.Own {
			t.appeared(entries, e.Mailbox, c.notify)
		}
	}
	return entries
}

// appeared has a mailbox that is new by its name, and those below it, told of
// like one in which everything has changed.
func (t *todo) appeared(entries listed, top string, n *notify) {
	for name := range entries {
		if (name == top || isBelow(name, top, n.delim)) && n.wantsChanges(name) {
			if t.changed == nil {
				t.changed = map[string]Changes{}
			}
			t.changed[name] |= MessagesNew | MessagesGone | FlagsChanged
		}
	}
}

// tellFolder writes the LIST lines of an event: RFC 5465 sections 5.4 and 5.5.
func (c *call) tellFolder(entries listed, e Event) {
	n, d := c.notify, c.start.Delim
	if e.What&MailboxRenamed != 0 {
		if v := c.view; v != nil && (v.name == e.Old || isBelow(v.name, e.Old, d)) && e.Old != "INBOX" {
			v.name = e.Mailbox + v.name[len(e.Old):]
		}
		if !e.Own && (n.wanted(e.Mailbox, entries.subscribed(e.Mailbox))|n.wanted(e.Old, entries.subscribed(e.Old)))&wantsNames != 0 {
			c.writeEntry(entries.get(e.Mailbox), e.Old)
		}
		return
	}
	if e.What&SubscriptionChanged != 0 && n.wanted(e.Mailbox, true)&wantsSubscriptions != 0 {
		c.writeEntry(entries.get(e.Mailbox), "")
	}
	if e.What&(MailboxCreated|MailboxDeleted) == 0 {
		return
	}
	names := []string{e.Mailbox}
	if cut := strings.LastIndexByte(e.Mailbox, d); cut > 0 {
		names = append(names, e.Mailbox[:cut]) // has children now, or no longer
	}
	for _, name := range names {
		if n.wanted(name, entries.subscribed(name))&wantsNames != 0 {
			c.writeEntry(entries.get(name), "")
		}
	}
}

func (l listed) subscribed(name string) bool { return l[name] != nil && l[name].Subscribed }

// get makes up an entry for what is not there.
func (l listed) get(name string) *entry {
	if e := l[name]; e != nil {
		return e
	}
	return &entry{Folder: Folder{Name: name, NonExistent: true}}
}

// tellStatus tells how a mailbox is that is not selected. What cannot be told
// now is kept.
func (c *call) tellStatus(ctx context.Context, entries listed, name string, what Changes) {
	n := c.notify
	if v := c.view; v != nil && v.name == name {
		if !v.current() {
			n.later(name, what)
		}
		return
	}
	items := c.changedItems(what, n.wanted(name, entries.subscribed(name))&aboutMessages)
	if items == 0 {
		return
	}
	st, err := c.start.Account.Status(ctx, name, false)
	switch {
	case fail.Is(err, fail.NotFound), fail.Is(err, fail.Denied):
	case err != nil:
		c.logFailure("NOTIFY", err)
		n.later(name, what)
	case !n.repeats(name, items, &st):
		c.writeStatus(name, items, &st)
	}
}

// tellFresh fetches what the client wants of new messages (RFC 5465 section
// 5.2).
func (c *call) tellFresh(ctx context.Context) {
	v := c.view
	if v == nil || len(v.fresh) == 0 {
		return
	}
	fresh := v.fresh
	v.fresh = nil
	if c.notify == nil || c.notify.fetch == nil {
		return
	}
	cmd := *c.notify.fetch
	cmd.items = slices.Clip(cmd.items)
	if c.tellsModSeq() { // RFC 7162 section 3.1: in all of them
		for _, kind := range []itemKind{itemUID, itemModSeq} {
			if !cmd.has(kind) {
				cmd.add(kind)
			}
		}
	}
	f := &fetch{fetchCmd: &cmd, ctx: ctx, s: c, snap: v.pin, pieces: make([]piece, len(cmd.items))}
	v.eachRow(fresh, true, f.one)
}

// hears reports whether the client is told of changes of that kind in the
// selected mailbox.
func (s *session) hears(w wanted) bool { return s.notify == nil || s.notify.wants&w == w }

// hearsCount is hears for messages that come and go. What a command itself has
// added or removed is told in any case: its client counts messages.
func (c *call) hearsCount() bool {
	if c.hears(wantsNew | wantsGone) {
		return true
	}
	if c.spec == nil {
		return false
	}
	switch c.spec.name {
	case "EXPUNGE", "MOVE", "REPLACE", "APPEND":
		return true
	}
	return c.spec.name == "COPY" && c.touches&alone != 0 // into the selected mailbox
}

// made notes messages that the client itself has put into a mailbox: it is not
// told what they are.
func (s *session) made(name string, uids []uint32) {
	if v := s.view; v != nil && v.name == name && s.notify != nil {
		for _, uid := range uids {
			v.own.Add(uid)
		}
	}
}
