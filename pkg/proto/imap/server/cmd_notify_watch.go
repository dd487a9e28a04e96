package server

import (
	"slices"
	"strings"
	"sync"
)

// The caps of what waits for a client that does not read: it is told that there
// was too much then (RFC 5465 section 5.8).
const (
	maxChanged = 1024 // mailboxes with changes
	maxRenamed = 256  // changes of mailboxes themselves
)

// wanted is a set of events.
type wanted uint8

const (
	wantsNew wanted = 1 << iota
	wantsGone
	wantsFlags
	wantsNames
	wantsSubscriptions

	aboutMessages = wantsNew | wantsGone | wantsFlags
)

// filter says which mailboxes a group is about.
type filter uint8

const (
	everywhere filter = iota + 1
	subscribed
	subtree
	exactly
)

// interest is a group of NOTIFY that is about mailboxes by their names.
type interest struct {
	filter filter
	names  []string
	wants  wanted
}

// listening is what NOTIFY has asked for of the selected mailbox.
type listening struct {
	wants   wanted
	delayed bool      // expunges wait for a command
	fetch   *fetchCmd // of new messages; nil: nothing
}

// notify is what a client has asked for with NOTIFY, and what it is still to be
// told. A session without it has never used NOTIFY. It holds nothing for a
// mailbox of which there is nothing to tell.
type notify struct {
	listening
	groups []interest
	delim  byte
	wake   func()
	stop   func() // ends the account's telling; nil when it has not begun

	// Of the session's own goroutine.
	view    *view // selected and watched
	unwatch func()
	told    []toldStatus // since the last command, the last ones

	mu       sync.Mutex
	due      bool // there is something to tell, and the session knows
	changed  map[string]Changes
	renamed  []Event // and created, deleted, subscribed
	overflow bool
}

// toldStatus is a STATUS that was sent: looking at a mailbox may find the
// change of which we were told, and tell us again.
type toldStatus struct {
	name   string
	items  statusItems
	status Status
}

const maxTold = 8

// follows reports whether anything but the selected mailbox matters.
func (n *notify) follows() bool {
	return slices.ContainsFunc(n.groups, func(g interest) bool { return g.wants != 0 })
}

// wanted is what is wanted of a mailbox: several groups add up (RFC 5465
// section 6).
func (n *notify) wanted(name string, isSubscribed bool) (w wanted) {
	for i := range n.groups {
		g := &n.groups[i]
		if g.filter == subscribed && isSubscribed || g.filter != subscribed && g.matches(name, n.delim) {
			w |= g.wants
		}
	}
	return w
}

func (g *interest) matches(name string, delim byte) bool {
	return g.filter == everywhere || slices.ContainsFunc(g.names, func(top string) bool {
		return name == top || g.filter == subtree && isBelow(name, top, delim)
	})
}

func isBelow(name, top string, delim byte) bool {
	return len(name) > len(top) && name[len(top)] == delim && strings.HasPrefix(name, top)
}

// wantsChanges is for Follow. What is subscribed is not known here.
func (n *notify) wantsChanges(name string) bool { return n.wanted(name, true)&aboutMessages != 0 }

// resolves reports whether it matters what is subscribed.
func (n *notify) resolves() bool {
	return slices.ContainsFunc(n.groups, func(g interest) bool { return g.filter == subscribed })
}

// tell takes note of an event, from any goroutine.
func (n *notify) tell(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.overflow && n.note(e) {
		n.rouse()
	}
}

// rouse wakes the session, once for all that there is to tell; mu is held.
func (n *notify) rouse() {
	if !n.due {
		n.due = true
		n.wake()
	}
}

// note keeps what is to be told of an event; it reports whether anything is.
func (n *notify) note(e Event) bool {
	const messages = MessagesNew | MessagesGone | FlagsChanged
	wants := n.wanted(e.Mailbox, true)
	about := e.What & messages
	if about != 0 && !e.Own && wants&aboutMessages != 0 {
		n.change(e.Mailbox, about)
		return true
	}
	if e.What&^messages == 0 {
		return false
	}
	if e.What&MailboxRenamed != 0 {
		n.move(e.Old, e.Mailbox)
	} else if e.Own {
		return false
	}
	if len(n.renamed) == maxRenamed {
		n.overflow = true
		return true
	}
	n.renamed = append(n.renamed, e)
	return true
}

// change marks a mailbox; mu is held.
func (n *notify) change(name string, what Changes) {
	if n.changed == nil {
		n.changed = map[string]Changes{}
	}
	n.changed[name] |= what
	n.overflow = n.overflow || len(n.changed) > maxChanged
}

// move has what is to be told of mailboxes follow them to other names.
func (n *notify) move(old, name string) {
	for was, what := range n.changed {
		if was == old || isBelow(was, old, n.delim) {
			delete(n.changed, was)
			n.changed[name+was[len(old):]] |= what
		}
	}
}

// todo is what is to be told now.
type todo struct {
	changed  map[string]Changes
	renamed  []Event
	overflow bool
}

func (n *notify) take() todo {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := todo{n.changed, n.renamed, n.overflow}
	n.due, n.changed, n.renamed = false, nil, nil
	return t
}

// later keeps what cannot be told now until there is something else to tell.
func (n *notify) later(name string, what Changes) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.change(name, what)
}

// isDue reports whether there is something to tell.
func (n *notify) isDue() bool {
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.due
}

// attend watches the mailbox that is selected now, if that matters.
func (n *notify) attend(v *view) {
	if n == nil || n.view == v {
		return
	}
	n.leave()
	if v == nil || n.wants == 0 {
		return
	}
	n.view = v
	woken := func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.rouse()
	}
	n.unwatch = v.mb.Watch(woken)
	woken() // for what was before
}

// leave ends the watch of the selected mailbox. What was to be told of it is
// told as of any other from now on.
func (n *notify) leave() {
	if n == nil {
		return
	}
	if n.unwatch != nil {
		n.unwatch()
	}
	n.view, n.unwatch = nil, nil
	n.mu.Lock()
	defer n.mu.Unlock()
	n.due = n.due || len(n.changed) > 0
}

// end ends all telling.
func (n *notify) end() {
	if n == nil {
		return
	}
	n.leave()
	if n.stop != nil {
		n.stop()
	}
}

// repeats reports whether the client has just been told the same, and notes
// that it is.
func (n *notify) repeats(name string, items statusItems, st *Status) bool {
	at := slices.IndexFunc(n.told, func(t toldStatus) bool { return t.name == name })
	if at >= 0 {
		t := n.told[at]
		if t.items&items == items && same(items, &t.status, st) {
			return true
		}
		n.told = slices.Delete(n.told, at, at+1)
	} else if len(n.told) == maxTold {
		n.told = slices.Delete(n.told, 0, 1)
	}
	n.told = append(n.told, toldStatus{name, items, *st})
	return false
}

func same(items statusItems, a, b *Status) bool {
	for i, row := range statusTable() {
		if items&(1<<i) != 0 && row.value(a) != row.value(b) {
			return false
		}
	}
	return true
}
