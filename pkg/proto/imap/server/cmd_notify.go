package server

import (
	"context"
	"slices"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// Caps of one NOTIFY: each group is asked for each change of the account.
const (
	maxGroups      = 64
	maxNotifyNames = 1024
)

const (
	codeBadEvent = "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)"
	codeOverflow = "NOTIFICATIONOVERFLOW"
)

// NOTIFY: RFC 5465.
//
//	notify      = "NOTIFY" SP ("NONE" / "SET" [SP "STATUS"] SP event-group *(SP event-group))
//	event-group = "(" filter SP events ")"
//	filter      = "selected" / "selected-delayed" / "inboxes" / "personal" / "subscribed" /
//	              ("subtree" / "mailboxes") SP (mailbox / "(" mailbox *(SP mailbox) ")")
//	events      = "(" event *(SP event) ")" / "NONE"
func parseNotify(p *parser, _ bool) runner {
	c := &notifyCmd{}
	p.SP()
	switch p.Word() {
	case "NONE":
		return c
	case "SET":
	default:
		p.Fail("SET or NONE expected")
	}
	p.SP()
	if p.Ok() && p.Peek() != '(' {
		if c.status = p.Word() == "STATUS"; !c.status {
			p.Fail("STATUS expected")
		}
		p.SP()
	}
	for p.Ok() {
		c.group(p)
		if !p.More() {
			break
		}
	}
	return c
}

type notifyCmd struct {
	status   bool
	named    int // mailboxes
	selected *listening
	groups   []interest
}

func (c *notifyCmd) names() (list []*string) {
	for i := range c.groups {
		for k := range c.groups[i].names {
			list = append(list, &c.groups[i].names[k])
		}
	}
	return list
}

func (c *notifyCmd) group(p *parser) {
	p.Byte('(')
	var l listening
	g := interest{}
	word := p.Word()
	switch word {
	case "SELECTED", "SELECTED-DELAYED":
		if c.selected != nil {
			p.Fail("SELECTED can be given once")
		}
		l.delayed = word == "SELECTED-DELAYED"
	case "INBOXES", "PERSONAL": // a delivery may go to any mailbox: RFC 5465 section 6.3
		g.filter = everywhere
	case "SUBSCRIBED":
		g.filter = subscribed
	case "SUBTREE", "MAILBOXES":
		g.filter = map[string]filter{"SUBTREE": subtree, "MAILBOXES": exactly}[word]
		c.mailboxes(p, &g)
	default:
		p.Fail("Unknown mailbox filter")
	}
	p.SP()
	l.events(p)
	p.Byte(')')
	if g.filter == 0 {
		if l.wants&^aboutMessages != 0 {
			p.Fail("These events cannot be had of the selected mailbox alone")
		}
		c.selected = &l
		return
	}
	if l.fetch != nil {
		p.Fail("Fetch items are for the selected mailbox")
	}
	if g.wants = l.wants; len(c.groups) == maxGroups {
		p.refuseNotify()
	}
	c.groups = append(c.groups, g)
}

func (p *parser) refuseNotify() {
	p.Refuse(&wire.SyntaxError{No: true, Code: codeOverflow, Text: "Too many mailboxes"})
}

// mailboxes reads one name, or a list of them.
func (c *notifyCmd) mailboxes(p *parser, g *interest) {
	one := func() {
		if c.named++; c.named > maxNotifyNames {
			p.refuseNotify()
			return
		}
		g.names = append(g.names, p.canonical(p.Mailbox(p.utf8)))
	}
	if p.SP(); p.Peek() == '(' {
		p.List(one)
		return
	}
	one()
}

// events reads the events of a group. The examples of RFC 5465 leave out the
// parentheses around them, and so may clients.
func (l *listening) events(p *parser) {
	list := p.Take('(')
	for p.Ok() {
		name := p.Word()
		more := p.Take(' ')
		if name == "NONE" && l.wants == 0 && !list {
			break
		}
		if name == "MESSAGENEW" && more && p.Peek() == '(' {
			l.items(p)
			more = p.Take(' ')
		}
		if l.event(p, name); !more {
			break
		}
	}
	if list {
		p.Byte(')')
	}
	both := l.wants & (wantsNew | wantsGone)
	switch {
	case both != 0 && both != wantsNew|wantsGone:
		p.Fail("MessageNew and MessageExpunge go together")
	case l.wants&wantsFlags != 0 && both == 0:
		p.Fail("FlagChange needs MessageNew and MessageExpunge")
	}
}

func (l *listening) event(p *parser, name string) {
	switch name {
	case "MESSAGENEW":
		l.wants |= wantsNew
	case "MESSAGEEXPUNGE":
		l.wants |= wantsGone
	case "FLAGCHANGE":
		l.wants |= wantsFlags
	case "MAILBOXNAME":
		l.wants |= wantsNames
	case "SUBSCRIPTIONCHANGE":
		l.wants |= wantsSubscriptions
	default:
		if p.Ok() {
			p.Refuse(&wire.SyntaxError{No: true, Code: codeBadEvent, Text: "Unsupported event"})
		}
	}
}

// items reads what is fetched of new messages. None of it marks them \Seen,
// whatever the client writes: nobody has looked at them.
func (l *listening) items(p *parser) {
	l.fetch = &fetchCmd{uid: true}
	p.List(func() { l.fetch.item(p, p.Item()) })
	l.fetch.seen = false
	if p.Ok() && len(l.fetch.items) == 0 {
		p.Fail("No fetch items are given")
	}
}

func (c *notifyCmd) run(ctx context.Context, s *call) reply {
	// What has happened so far is told in any case (RFC 5465 section 3.1).
	s.notify.end()
	s.notify = nil
	if s.view != nil {
		if err := s.view.mb.Sync(ctx); err != nil && s.view.mb.Err() == nil {
			s.logFailure("NOTIFY", err)
		}
		s.view.sync(ctx, s, true, nil)
	}
	n := &notify{wake: s.io.wake, delim: s.start.Delim, groups: c.groups}
	if c.selected != nil {
		n.listening = *c.selected
	}
	s.notify = n
	if f, can := s.start.Account.(Follower); can && n.follows() {
		n.stop = f.Follow(ctx, n.wantsChanges, n.tell)
	}
	if n.fetch != nil && n.fetch.has(itemModSeq) {
		s.becomeAware()
	}
	if c.status {
		if err := c.tellStatuses(ctx, s); err != nil {
			return s.failed("NOTIFY", "", err)
		}
	}
	return ok("NOTIFY completed.")
}

// tellStatuses says how each mailbox is of which messages are to be told.
func (c *notifyCmd) tellStatuses(ctx context.Context, s *call) error {
	folders, err := s.folders(ctx)
	if err != nil {
		return err
	}
	for _, e := range tree(folders, s.start.Delim) {
		wants := s.notify.wanted(e.Name, e.Subscribed) & aboutMessages
		selected := s.view != nil && s.view.name == e.Name
		if wants == 0 || e.NonExistent || e.NoSelect || selected || s.w.Err() != nil {
			continue
		}
		st, err := s.start.Account.Status(ctx, e.Name, false)
		switch {
		case fail.Is(err, fail.NotFound): // since the list was made
		case fail.Is(err, fail.Denied):
			s.w.Raw("* LIST (\\NoAccess) \"" + string(rune(s.start.Delim)) + "\" ")
			s.w.Mailbox(e.Name)
			s.w.CRLF()
		case err != nil:
			s.logFailure("NOTIFY", err)
		default:
			s.writeStatus(e.Name, s.initialItems(wants), &st)
		}
	}
	return nil
}

// initialItems are those of RFC 5465 section 3.1, and what later STATUS lines
// may have.
func (s *session) initialItems(wants wanted) statusItems {
	items := s.changedItems(MessagesNew|MessagesGone|FlagsChanged, wants)
	if wants&wantsFlags != 0 && s.keepsModSeq() {
		items |= statusHighest
	}
	return items
}

// changedItems are what a STATUS says of changes of messages.
func (s *session) changedItems(what Changes, wants wanted) statusItems {
	var items statusItems
	set := func(names ...string) {
		for i, row := range statusTable() {
			if slices.Contains(names, row.name) {
				items |= 1 << i
			}
		}
	}
	if what&(MessagesNew|MessagesGone) != 0 && wants&wantsNew != 0 {
		set("MESSAGES", "UIDNEXT", "UIDVALIDITY")
		what |= FlagsChanged // how many are unseen may be another number, too
	}
	if what&FlagsChanged != 0 && wants&wantsFlags != 0 {
		set("UIDVALIDITY", "UNSEEN")
	}
	if items != 0 && s.aware && s.keepsModSeq() {
		set("HIGHESTMODSEQ")
	}
	return items
}

// overflow gives up (RFC 5465 section 5.8).
func (s *session) overflow() {
	s.notify.end()
	s.notify = &notify{wake: s.io.wake}
	s.w.Status("*", imap.StatusResponseTypeOK, codeOverflow, "Too much happens, notifications are off.")
}
