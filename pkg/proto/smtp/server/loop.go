package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"time"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// said marks the reply of a handler that has written, or queued, by itself.
const said = -1

// engine runs one connection.
type engine struct {
	srv   *Server
	cfg   *Config
	ctx   context.Context // ends when the server stops
	work  context.Context // of a transaction's hooks: ends with the connection
	pub   Conn            // what hooks see
	hooks Session

	in  *wire.Reader
	src input
	out output

	state   state
	tx      *Transaction
	txCount int
	rcpts   int      // RCPT commands in this transaction
	beyond  int      // of them, those behind Limits.Recipients
	queue   []queued // RCPT replies that wait for their turn
	swallow bool     // BDAT failed: drop chunks until LAST
	stash   []byte   // a command that ended a BDAT message, to be run next
	secret  bool     // an AUTH came, and no command since
	stashed bool
	body    body

	errors int
	junk   int
	then   func() // to be done after the reply was sent

	over    bool
	sum     Summary
	counts  [unknown + 1]tally
	current int // index of the command at hand
}

type tally struct{ ok, total int }

// loop reads commands until the session is over.
func (e *engine) loop() {
	for !e.over {
		if line, ok := e.next(); ok {
			e.execute(line)
		}
	}
}

// next returns the next command line. ok is false when there is none because
// something was wrong with it, or the session is over.
func (e *engine) next() (line []byte, ok bool) {
	if e.stashed {
		e.stashed = false
		return e.stash, true
	}
	if !e.in.HasLine() {
		e.settle()
		e.out.flush()
		if e.out.err != nil {
			e.end(Lost, e.out.err)
			return nil, false
		}
	}
	if e.tooManyErrors() {
		e.hangUp(TooManyErrors, 4, 7, 0, "Error: too many errors")
		return nil, false
	}
	e.src.command(e.cfg.Timeouts.Command, e.tx == nil)
	if e.tx == nil && e.ctx.Err() != nil {
		e.hangUp(Shutdown, 4, 3, 2, "Service shutting down")
		return nil, false
	}
	line, err := e.in.ReadLine(e.lineLimit())
	if err != nil {
		e.unreadable(err)
		return nil, false
	}
	return line, true
}

// lineLimit lets an AUTH command be as long as its response may be (RFC 4954
// section 4).
func (e *engine) lineLimit() int {
	l := &e.pub.Policy.Limits
	if e.cfg.Auth != nil {
		return max(l.Line, l.AuthResponse)
	}
	return l.Line
}

// unreadable handles what ReadLine gives in place of a line.
func (e *engine) unreadable(err error) {
	switch {
	case errors.Is(err, wire.ErrLineTooLong):
		e.begin(unknown)
		e.finish(e.tooLong(""))
	case errors.Is(err, wire.ErrFlood):
		e.begin(unknown)
		e.tooLong("")
		e.hangUp(Refused, 4, 7, 0, "Error: command line too long")
	default:
		e.lost(err)
	}
}

// lost ends the session because of a read error.
func (e *engine) lost(err error) {
	switch {
	case errors.Is(err, errDrain):
		e.hangUp(Shutdown, 4, 3, 2, "Service shutting down")
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.hangUp(TimedOut, 4, 4, 2, "Error: timeout exceeded")
	default:
		e.end(Lost, err)
	}
}

// execute runs one command line and sends its reply.
func (e *engine) execute(line []byte) {
	verb, args := wire.Split(line)
	i := e.srv.table.lookup(verb, e.cfg.Mode)
	e.record(i, line)
	if i == unknown || !e.srv.table[i].joins {
		e.settle()
		if e.over {
			return
		}
	}
	if e.current = unknown; len(verb) > 0 { // a line without a word is no command
		e.begin(i)
	}
	reply := e.check(i, line, verb)
	if reply.IsZero() {
		reply = e.srv.table[i].handler(e, args)
	} else {
		e.settle() // replies stay in order
		if i == bdatIndex {
			e.end(Refused, nil) // the octets that follow must not be read as commands
		}
	}
	e.finish(reply)
	if then := e.then; then != nil {
		e.then = nil
		e.out.flush()
		then()
	}
}

// record tells a command to whom keeps a transcript. What is no command behind
// an AUTH that was refused may be the password.
func (e *engine) record(i int, line []byte) {
	rec := e.out.record
	if rec == nil {
		return
	}
	login := i != unknown && e.srv.table[i].name == "AUTH"
	words := bytes.Fields(line)
	switch {
	case login && len(words) > 2:
		rec.In(string(words[0]) + " " + string(words[1]) + " " + hidden)
	case i == unknown && e.secret:
		e.hide()
	default:
		rec.In(string(line))
	}
	e.secret = login || i == unknown && e.secret
}

// hidden stands in transcripts for what is sent to log in.
const hidden = "[hidden]"

// hide tells that something was sent to log in.
func (e *engine) hide() {
	if e.out.record != nil {
		e.out.record.In(hidden)
	}
}

// begin counts a command.
func (e *engine) begin(i int) {
	e.current = i
	e.counts[i].total++
	e.sum.Total++
	e.sum.After = "UNKNOWN"
	if i != unknown {
		e.sum.After = e.srv.table[i].name
	}
}

// finish accounts for a reply and sends it.
func (e *engine) finish(r Reply) {
	if r.Code == said || e.over && e.sum.End == Lost {
		return
	}
	e.account(e.current, r)
	e.say(r)
}

// account counts a command's outcome. Only what the client caused counts as
// an error of its own, and that is every refusal (as in Postfix).
func (e *engine) account(i int, r Reply) {
	if r.Code < 400 {
		e.counts[i].ok++
		e.sum.OK++
		return
	}
	e.errors++
}

// say sends a reply, slowly to clients that make many errors. After 421 and
// 521 the session is over.
func (e *engine) say(r Reply) {
	if soft := e.pub.Policy.Limits.SoftErrors; soft > 0 && e.errors >= soft {
		e.pause(e.cfg.Timeouts.ErrorDelay)
	}
	e.send(r)
	if r.Code == 421 || r.Code == 521 {
		e.end(Refused, nil)
	}
}

// send writes a reply, with the footer where it is a refusal.
func (e *engine) send(r Reply) {
	if r.Code >= 400 && e.cfg.Footer != nil {
		r = e.cfg.Footer(&e.pub, r)
	}
	e.out.reply(r)
}

func (e *engine) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	e.out.flush()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-e.ctx.Done():
	}
}

// hangUp says 421 and ends the session.
func (e *engine) hangUp(why End, class, subject, detail int, text string) {
	e.send(MakeReply(421, class, subject, detail, e.cfg.Hostname+" "+text))
	e.end(why, nil)
}

// end makes this command the last one.
func (e *engine) end(why End, err error) {
	if e.over {
		return
	}
	e.over = true
	e.sum.End, e.sum.Err = why, err
}

// tooManyErrors reports whether the client has made enough of them.
func (e *engine) tooManyErrors() bool {
	hard := e.pub.Policy.Limits.HardErrors
	return hard > 0 && e.errors >= hard
}

// check refuses a command before its handler sees it.
func (e *engine) check(i int, line, verb []byte) Reply {
	if i == unknown {
		return e.checkUnknown(line, verb)
	}
	c := &e.srv.table[i]
	switch {
	case e.bareLF():
		return e.bareCommand(c.name, line)
	case len(line) > e.pub.Policy.Limits.Line && c.name != "AUTH":
		return e.tooLong(c.name)
	case !e.clean(line, c.name):
		return e.refused(c.name, e.cfg.Replies.BadLine, line)
	case e.pub.Policy.RequireTLS && e.pub.TLS == nil && !c.clear:
		return e.refused(c.name, MakeReply(530, 5, 7, 0, "Must issue a STARTTLS command first"), line)
	case e.outOfSync(c):
		return e.tooEager(c.name)
	}
	if c.junk {
		if e.junk > e.pub.Policy.Limits.Junk {
			e.errors++
		}
		e.junk++
	}
	if c.states&e.state == 0 {
		return e.refused(c.name, e.outOfState(c), line)
	}
	return Reply{}
}

func (e *engine) checkUnknown(line, verb []byte) Reply {
	switch {
	case e.cfg.foreign(verb):
		e.hooks.Event(Event{Kind: EventForbidden, Input: escaped(line)})
		e.end(Refused, nil)
		e.out.reply(MakeReply(221, 2, 7, 0, "Error: this is a mail server and speaks SMTP only"))
		return Reply{Code: said}
	case e.bareLF():
		return e.bareCommand("", line)
	case len(line) > e.pub.Policy.Limits.Line:
		return e.tooLong("")
	case !e.clean(line, ""):
		return e.refused("", e.cfg.Replies.BadLine, line)
	case e.state == stateRefused:
		return e.refused("", e.outOfState(&command{}), line)
	case len(verb) == 0:
		return e.refused("", MakeReply(500, 5, 5, 2, "Error: bad syntax"), line)
	}
	return e.refused("", e.cfg.Replies.Unknown, line)
}

// bareLF reports whether the line at hand ends in an LF without CR, from a
// client that may not do that.
func (e *engine) bareLF() bool {
	return e.pub.Policy.BareLF == wire.RejectBareLF && e.in.BareLF()
}

// bareCommand ends the session of a client whose commands end in a bare LF: what
// follows may be content that somebody else wants to be commands.
func (e *engine) bareCommand(verb string, line []byte) Reply {
	e.end(Refused, nil)
	return e.refusedFor(Unwanted, verb, e.cfg.Replies.BareLF, line)
}

// outOfSync reports whether input waits behind a command that must end its
// group, or behind any command of a client that may not pipeline at all. A
// QUIT with something behind it harms nobody.
func (e *engine) outOfSync(c *command) bool {
	if !e.pub.Policy.StrictSync || e.in.Buffered() == 0 || c.name == "QUIT" {
		return false
	}
	return c.last || !e.pub.ESMTP() && !e.pub.Early
}

// tooEager ends the session of a client that did not wait for a reply.
func (e *engine) tooEager(after string) Reply {
	e.hooks.Event(Event{Kind: EventPipelining, Verb: after, Input: escaped(e.in.Peek())})
	e.end(Refused, nil)
	return MakeReply(554, 5, 5, 0, "Error: SMTP protocol synchronization")
}

// clean: commands hold no control characters, and 8-bit only where an
// address or a name of a host may stand and SMTPUTF8 is offered (RFC 6531
// section 3.3). No client may greet so, but some hosts have such names.
func (e *engine) clean(line []byte, verb string) bool {
	wide := false
	for _, c := range line {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
		wide = wide || c >= 0x80
	}
	if !wide {
		return true
	}
	switch verb {
	case "MAIL", "RCPT", "VRFY", "HELO", "EHLO", "LHLO":
		return e.pub.Policy.Words.SMTPUTF8 && utf8.Valid(line)
	}
	return false
}

// outOfState is the reply to a command in the wrong place.
func (e *engine) outOfState(c *command) Reply {
	r := &e.cfg.Replies
	switch e.state {
	case stateStart:
		return r.NeedHelo
	case stateRefused:
		return MakeReply(503, 5, 5, 1, "Error: access denied, only QUIT is possible")
	case stateChunk:
		return MakeReply(503, 5, 5, 1, "Error: "+c.name+" after BDAT")
	case stateReady:
		if c.name == "DATA" || c.name == "BDAT" {
			return r.NeedRcpt
		}
		return r.NeedMail
	}
	switch {
	case c.states&(stateMail|stateRcpt) == 0 && c.name != "MAIL":
		return MakeReply(503, 5, 5, 1, "Error: MAIL transaction in progress")
	case c.name == "MAIL":
		return r.NestedMail
	}
	return r.NoRcpts
}

// refused reports that the engine refuses a command that is out of place or
// malformed, and returns its reply.
func (e *engine) refused(verb string, r Reply, line []byte) Reply {
	return e.refusedFor(Misuse, verb, r, line)
}

// refusedFor is refused for other reasons.
func (e *engine) refusedFor(why Why, verb string, r Reply, line []byte) Reply {
	e.hooks.Event(Event{Kind: EventRefused, Why: why, Verb: verb, Reply: r, Input: printable(line), Tx: e.tx})
	return r
}

func (e *engine) tooLong(verb string) Reply {
	return e.refusedFor(TooLong, verb, e.cfg.Replies.LineTooLong, nil)
}
