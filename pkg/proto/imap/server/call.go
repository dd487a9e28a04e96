package server

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// call is one command of a client, from its tag to its answer.
//
// It runs with session.mu held when others may run beside it, and lets go of
// it in away, at which no line is begun. A call that is alone needs no lock:
// nobody else is there.
type call struct {
	*session
	tag     string
	verb    string // as it is shown: "UID FETCH"
	name    string // as it is counted: "unknown" for a verb that nobody knows
	uid     bool
	saved   bool // "$" is in its arguments
	spec    *spec
	cmd     runner
	refused reply   // the answer to a command that was not understood
	touches effects // with the arguments it has
	cost    int     // bytes it came in: a measure of the memory it holds
	began   time.Time
	started bool

	then func() // what happens when the answer is written
	// floor is, of a call that is telling of changes, up to which MODSEQ the
	// client knew all when it began; 0 of others.
	floor uint64

	content Content // the message being read
	scratch []byte  // reused for envelopes and structures
}

// read takes one command off the connection into c. It is false without an
// error when there was none. An error is that of the connection.
func (s *session) read(c *call) (bool, error) {
	s.r.Start()
	if err := s.r.Fill(); err != nil {
		return false, err
	}
	if b := s.r.Peek(); b == '\r' || b == '\n' {
		// An empty line between commands: clients send one after a literal.
		s.r.End()
		return false, nil
	}
	*c = call{session: s, began: s.srv.cfg.Now(), name: "unknown"}
	c.tag = s.r.Tag()
	if s.r.SP(); !s.r.Ok() {
		return true, c.misread()
	}
	if c.lookUp(); !s.r.Ok() {
		return true, c.misread()
	}
	s.p.saved = false
	c.cmd = c.spec.parse(s.p, c.uid)
	c.saved = s.p.saved
	if _, reads := c.cmd.(streams); !reads { // it reads on to the end itself
		s.r.End()
	}
	c.cost = s.r.Spent()
	return true, c.misread()
}

// lookUp finds the command, with the second word of "UID FETCH".
func (c *call) lookUp() {
	verb := c.r.Word()
	c.verb = verb
	if verb == "UID" {
		c.r.SP()
		verb, c.uid = c.r.Word(), true
		c.verb = "UID " + verb
	}
	row, found := c.srv.table[verb]
	if !found || c.uid && row.rules&uidForm == 0 {
		c.r.Fail("Unknown command")
		return
	}
	c.spec, c.name = row, c.verb
}

// misread makes the connection ready for the next command after a parse
// error, if there was one. An error is that of the connection.
func (c *call) misread() error {
	err := c.r.Err()
	if err == nil {
		return nil
	}
	var e *wire.SyntaxError
	if !errors.As(err, &e) {
		return err
	}
	c.refused = syntax(c.verb, e)
	return c.r.Recover()
}

// settle works out what the call touches, with the mailbox that is selected
// now.
func (c *call) settle() {
	if c.touches = 0; c.refused.typ != "" {
		return
	}
	c.touches = c.spec.touches
	if n, narrows := c.cmd.(narrower); narrows {
		c.touches = n.narrow(c.touches, c.view)
	}
	if len(c.denormal()) > 0 { // which mailbox it is about is not known yet
		c.touches |= alone
	}
	if c.spec.rules&uidForm != 0 && !c.uid {
		c.touches |= countsMessages
	}
	if c.spec.rules&useSeq == 0 || c.uid {
		c.touches |= expunges
	}
	if c.saved {
		c.touches |= readsSaved
	}
}

// waitsFor reports whether c may not begin before a command that was given
// earlier has ended.
func (c *call) waitsFor(earlier *call) bool {
	now, then := c.touches, earlier.touches
	switch {
	case (now|then)&alone != 0, then&expunges != 0 && now&countsMessages != 0:
		return true
	}
	clash := func(reads, writes effects) bool {
		return then&writes != 0 && now&(reads|writes) != 0 || now&writes != 0 && then&reads != 0
	}
	return clash(readsFlags, writesFlags) || clash(readsBoxes, writesBoxes) || clash(readsSaved, writesSaved)
}

// perform runs the call and answers. A panic in it ends the session.
func (c *call) perform() {
	defer func() {
		if v := recover(); v != nil {
			c.fault(v, debug.Stack())
		}
		c.closeContent()
		if c.done { // what still runs has nothing more to say
			_ = c.w.Flush()
			c.w.Stop()
		}
	}()
	c.answer()
}

func (c *call) answer() {
	if _, again := c.cmd.(*idling); !again {
		c.sum.Commands++
		if c.notify != nil { // whatever the client was told, it may know better after this
			c.notify.told = nil
		}
	}
	r := c.execute()
	if r.typ == "" {
		return // the session has ended, or goes on idling later
	}
	r = c.conclude(r)
	tag := c.tag
	if tag == "" {
		tag = "*"
	}
	c.w.Status(tag, r.typ, r.code, r.text)
	if then := c.then; then != nil {
		c.then = nil
		then()
	}
	c.srv.cfg.Command(c.name, r.result(), c.srv.cfg.Now().Sub(c.began))
	switch r.typ {
	case "BAD":
		c.countBad()
	case "OK":
		c.bad = 0
	}
}

// execute runs the command, if the state allows it.
func (c *call) execute() reply {
	if c.refused.typ != "" {
		return c.refused
	}
	if c.view == nil && c.spec.rules&authed == 0 {
		return bad("No mailbox selected.")
	}
	if _, again := c.cmd.(*idling); !again && c.lostMailbox() {
		return none()
	}
	ctx := c.patient // a command that has begun is finished
	if c.spec.rules&passive != 0 {
		ctx = c.alive
	}
	told := c.normalize(ctx)
	r := c.cmd.run(ctx, c)
	if r.typ == imap.StatusResponseTypeOK {
		told()
	}
	if r.typ == imap.StatusResponseTypeNo && c.spec.rules&passive != 0 && c.stopped(ctx) {
		return none()
	}
	if c.touches&alone != 0 && !c.r.Ok() && !c.done { // it has read from the connection
		if err := c.misread(); err != nil {
			c.lost(err)
			return none()
		}
		return c.refused
	}
	if !c.done && !c.parking {
		c.after(ctx)
	}
	return r
}

// stopped reports whether nobody waits for the answer of a passive command any
// more.
func (c *call) stopped(ctx context.Context) bool {
	switch {
	case c.ctx.Err() != nil:
		c.lost(errShutdown)
	case c.w.Err() != nil:
		c.lost(c.w.Err())
	default:
		return ctx.Err() != nil
	}
	return true
}

// after tells the client what has changed in the mailbox, where that is
// allowed: never an EXPUNGE in the answer to a command that counts messages.
func (c *call) after(ctx context.Context) {
	if c.view == nil {
		return
	}
	if c.spec.rules&look != 0 {
		var err error
		c.away(func() { err = c.view.mb.Sync(ctx) })
		if err != nil && c.view.mb.Err() == nil {
			c.logFailure(c.verb, err)
		}
	}
	if c.touches&expunges != 0 {
		c.view.sync(ctx, c, true, nil)
	}
	c.tellFresh(ctx)
}

// away runs fn, which may take long, while other commands go on. No line may
// be begun. fn may not touch the session but for what no other command
// changes: the mailbox, the account, what belongs to the call.
func (c *call) away(fn func()) {
	if c.touches&alone != 0 {
		fn()
		return
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	fn()
}

// breathe lets other commands have their turn.
func (c *call) breathe() { c.away(func() {}) }

func (c *call) closeContent() {
	if c.content != nil {
		_ = c.content.Close()
		c.content = nil
	}
}
