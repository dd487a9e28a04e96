package mtad

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/daemon/mtad/edge"
	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/rewrite"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// submission is a session's part of a transaction: nothing before the first
// recipient that is taken.
type submission struct{ msg *queue.Message }

// begin gives the message its queue id, once: with the first recipient, as
// Postfix does, so that the refusals of further ones carry it. Checks of
// several recipients may come here side by side.
func (s *session) begin(ctx context.Context, tx *server.Transaction) error {
	s.beginning.Lock()
	defer s.beginning.Unlock()
	if tx.Value != nil {
		return nil
	}
	msg, err := s.d.queue.Begin(ctx, tx.Options.Size)
	if err != nil {
		return err
	}
	tx.Value = &submission{msg: msg}
	if s.d.log.Echoes() {
		s.d.log.Log(messageStarted{client: s.who, QID: msg.ID().String(), Sender: tx.From, source: s.source(tx)})
	}
	return nil
}

// qid is the queue id of the transaction's message; "" before its first
// recipient.
func (s *session) qid(tx *server.Transaction) string {
	s.beginning.Lock()
	defer s.beginning.Unlock()
	if sub, ok := tx.Value.(*submission); ok {
		return sub.msg.ID().String()
	}
	return ""
}

// Data refuses the message when there is no room.
func (s *session) Data(ctx context.Context, tx *server.Transaction) server.Verdict {
	if r := s.ask(ctx, gate.Data, tx); !r.IsZero() {
		return server.Say(r)
	}
	if err := s.begin(ctx, tx); err != nil {
		return server.Say(s.notStored("DATA", tx, "", err))
	}
	return server.Verdict{}
}

func (s *session) source(tx *server.Transaction) source {
	src := source{Method: s.c.Mech, User: s.c.User, For: s.c.Forward}
	if tx.Options.Auth != nil {
		src.As = string(wire.AppendPrintable(nil, *tx.Options.Auth))
	}
	return src
}

// notStored is the reply to a message that the queue could not take.
func (s *session) notStored(stage string, tx *server.Transaction, qid string, err error) server.Reply {
	v := gate.Verdict{Action: gate.Defer, Code: 451, Enhanced: smtp.EnhancedCode{4, 3, 0}, Text: "Error: queue file write error", Cause: err}
	switch {
	case errors.Is(err, rewrite.ErrExpansion):
		v.Enhanced, v.Text = smtp.EnhancedCode{4, 6, 0}, "Alias expansion error"
	case fail.Is(err, fail.Full):
		v = gate.Verdict{Action: gate.Defer, Code: 452, Enhanced: smtp.EnhancedCode{4, 3, 1}, Text: "Insufficient system storage", Cause: err}
	}
	return s.refuse(stage, tx, nil, qid, v)
}

// usualTrace is room for our Received field.
const usualTrace = 256

// endOfMessage is Postfix's name of the stage behind the final dot.
const endOfMessage = "END-OF-MESSAGE"

// Message streams the content into the queue and answers 250 only when it is
// durable there.
func (s *session) Message(ctx context.Context, tx *server.Transaction, content io.Reader) server.Result {
	sub, ok := tx.Value.(*submission)
	if !ok {
		return server.Result{} // Data was refused; the engine does not come here
	}
	msg := sub.msg
	defer msg.Abort()
	qid, now := msg.ID().String(), s.d.now()
	ctx = explain.Nobody(ctx)
	say := func(r server.Reply) server.Result { return server.Result{Verdict: server.Say(r)} }

	edit := s.d.editors.Get(s.headerRules(ctx, tx.From, qid, now))
	defer s.d.editors.Put(edit)
	in := &receiving{msg: msg, edit: edit}
	in.strip, in.reject = s.st.rewriter.Unwanted()
	if tx.Options.UTF8 || s.detects() {
		in.wide = new(header.Wide)
	}
	_, err := io.Copy(in, content) // the engine's reader hands over its own buffer
	switch {
	case in.err != nil:
		return say(s.notStored(endOfMessage, tx, qid, in.err))
	case err != nil:
		return server.Result{} // the message is void, and the engine knows why
	}
	found := edit.Finish()
	if found.Err != nil {
		return say(s.notStored(endOfMessage, tx, qid, found.Err))
	}
	if in.refused {
		return say(s.refuse(endOfMessage, tx, nil, qid, disallowed))
	}
	if v := checkHeader(found); v.Refused() {
		return say(s.refuse(endOfMessage, tx, nil, qid, v))
	}
	env, err := s.envelope(ctx, tx, now)
	if err != nil {
		return say(s.notStored(endOfMessage, tx, qid, err))
	}
	env.SMTPUTF8 = in.wide != nil && needsUTF8(in.wide, env, tx.Options.UTF8)
	trace := s.trace(tx, qid, now).Append(make([]byte, 0, usualTrace+len(found.Block)))
	if found.Edited {
		msg.SetHeaders(append(trace, found.Block...), found.Skip)
	} else {
		msg.SetHeaders(trace, 0)
	}
	size := msg.Size()
	if s.who.Local { // before it can have left
		s.d.local.Queued(s.who.UID, msg.ID())
	}
	if err := msg.Commit(ctx, env); err != nil {
		s.d.local.Removed(msg.ID())
		return say(s.notStored(endOfMessage, tx, qid, err))
	}
	s.taken(tx, qid, found, size)
	if tx.BDAT {
		return say(server.MakeReply(250, 2, 0, 0, "Ok: "+strconv.FormatInt(size, 10)+" bytes queued as "+qid))
	}
	return say(server.MakeReply(250, 2, 0, 0, "Ok: queued as "+qid))
}

// taken logs and counts a message that is durable.
func (s *session) taken(tx *server.Transaction, qid string, found header.Found, size int64) {
	s.l.accepted.Inc()
	s.l.bytes.Add(float64(size))
	if found.ResentID != "" && s.d.log.Echoes() {
		s.d.log.Log(messageResent{s.who, qid, found.ResentID})
	}
	s.d.log.Log(&messageAccepted{
		client: s.who, QID: qid, MsgID: found.MessageID, ResentID: found.ResentID, Sender: tx.From, source: s.source(tx), Size: size, Rcpts: len(tx.Rcpts),
	})
}

// receiving is where the content of a message goes: into the queue, and past
// the header editor.
type receiving struct {
	msg  io.Writer
	edit *header.Editor
	wide *header.Wide // nil: SMTPUTF8 is of no interest
	err  error        // of the queue

	strip, reject *header.Bytes
	refused       bool // a byte of reject has come
}

func (r *receiving) Write(p []byte) (int, error) {
	n := len(p)
	r.refused = r.refused || r.reject.In(p)
	p = r.strip.Without(p)
	if _, r.err = r.msg.Write(p); r.err != nil {
		return 0, r.err
	}
	if r.wide != nil {
		_, _ = r.wide.Write(p) // never fails
	}
	_, _ = r.edit.Write(p) // never fails
	return n, nil
}

// disallowed is the answer to a byte of message_reject_characters.
var disallowed = gate.Verdict{Action: gate.Reject, Code: 550, Enhanced: smtp.EnhancedCode{5, 7, 1}, Text: "disallowed character"}

// detects reports whether it is looked for what a client does not say: local
// programs know nothing of SMTPUTF8.
func (s *session) detects() bool {
	return s.who.Local && s.st.cfg.UTF8 && slices.Contains(s.st.cfg.DetectUTF8, DetectSendmail)
}

// needsUTF8 reports whether who takes the message next must offer SMTPUTF8. A
// client that asks for it need not have used it; where it did not ask, a header
// that is not UTF-8 goes as it is.
func needsUTF8(wide *header.Wide, env *queue.Envelope, asked bool) bool {
	if wide.UTF8() || asked && wide.Needed() || env.Sender.NeedsUTF8() {
		return true
	}
	return slices.ContainsFunc(env.Recipients, func(r queue.Recipient) bool { return r.Addr.NeedsUTF8() })
}

func checkHeader(found header.Found) gate.Verdict {
	switch {
	case found.Hops >= gate.HopLimit:
		return gate.TooManyHops()
	case found.TooLarge:
		return gate.Verdict{Action: gate.Reject, Code: 552, Enhanced: smtp.EnhancedCode{5, 3, 4}, Text: "Error: message header is too large"}
	}
	return gate.Verdict{}
}

// submitted reports whether the message is a user's own, rather than one that
// another server passes on.
func (s *session) submitted() bool { return s.c.User != "" || s.who.Local }

func (s *session) headerRules(ctx context.Context, from addr.Address, qid string, now time.Time) header.Rules {
	cfg := &s.st.cfg.Rewrite
	field := s.st.rewriter.FieldFor(s.home()) // nil leaves the header alone
	rules := header.Rules{Limit: int(s.st.cfg.Limits.Header), Drop: cfg.Drop, AddMissing: cfg.AddMissing || s.submitted() || field != nil, Date: now, Undisclosed: cfg.Undisclosed}
	if rules.AddMissing {
		rules.Sender = func() (addr.Address, error) { return s.st.rewriter.Sender(ctx, from) }
		rules.MessageID = "<" + now.UTC().Format("20060102150405") + "." + qid + "@" + s.st.hostname + ">"
	}
	if field != nil {
		rules.Rewrite = func(name, value string) (string, bool, error) { return field(ctx, name, value) }
		rules.Touches = rewrite.HasAddresses
	}
	return rules
}

func (s *session) trace(tx *server.Transaction, qid string, now time.Time) header.Trace {
	t := header.Trace{
		Helo: s.c.Helo, Name: s.who.Name, Peer: s.who.IP, Local: s.who.Local, UID: s.who.UID,
		By: s.st.hostname, With: s.c.Protocol(tx.Options.UTF8), QID: qid, Date: now,
	}
	if t.Hide = s.l.spec.HideClient; !t.Hide {
		s.st.cfg.Smtpd.Tell(&t, s.c, s.l.asksCert)
	}
	if len(tx.Rcpts) == 1 {
		t.For = tx.Rcpts[0].To
	}
	return t
}

// envelope is what the queue keeps. Recipients that mean the same mailbox
// appear once.
func (s *session) envelope(ctx context.Context, tx *server.Transaction, now time.Time) (env *queue.Envelope, err error) {
	env = &queue.Envelope{
		Arrival: now, EnvID: tx.Options.EnvelopeID, Return: returnOf(tx.Options.Return),
		EightBit: tx.Options.Body == smtp.Body8BitMIME, RequireTLS: tx.Options.RequireTLS,
		SASLUser: s.c.User, SASLMethod: s.c.Mech, Origin: s.l.label,
		Client: queue.Client{Name: s.who.Name, Helo: s.c.Helo, Proto: s.c.Protocol(tx.Options.UTF8)},
	}
	if s.remote.IsValid() {
		env.Client.Addr, env.Client.Port = s.address, s.remote.Port()
	}
	if s.who.Local {
		env.Client.Name = ""
	}
	if s.c.Forward != nil {
		env.Client = passedOn(s.c.Forward)
	}
	if env.Sender, err = s.st.rewriter.Sender(ctx, tx.From); err != nil {
		return nil, err
	}
	env.Recipients, err = s.recipients(ctx, env.Sender, tx.Rcpts)
	return env, err
}

// passedOn is the client of a message that a filter brings back: what is told
// of it to whom comes next, and to programs.
func passedOn(f *server.Forward) queue.Client {
	port, _ := strconv.ParseUint(f.Port, 10, 16)
	return queue.Client{Name: cmp.Or(f.Name, edge.Unknown), Addr: f.Addr, Port: uint16(port), Helo: f.Helo, Proto: f.Proto, Ident: f.Ident}
}

// recipients rewrites the recipients of a message.
func (s *session) recipients(ctx context.Context, sender addr.Address, given []server.Recipient) ([]queue.Recipient, error) {
	list := make([]addr.Address, len(given))
	for i, r := range given {
		var err error
		if list[i], err = s.st.routes.Resolve(ctx, r.To); err != nil {
			return nil, err
		}
	}
	to, err := s.st.rewriter.Recipients(ctx, sender, list)
	if err != nil {
		return nil, err
	}
	out := make([]queue.Recipient, 0, len(to))
	for len(to) > 0 {
		n := 1
		for n < len(to) && to[n].Given == to[0].Given {
			n++
		}
		same := make([]addr.Address, n)
		for i, t := range to[:n] {
			same[i] = t.Addr
		}
		if g := to[0].Given; g >= 0 {
			out = append(out, queue.Expand(recipientFrom(given[g]), same)...)
		} else {
			for _, a := range same {
				// A blind copy is none of the sender's business.
				out = append(out, queue.Recipient{Addr: a, Notify: queue.NotifyNever})
			}
		}
		to = to[n:]
	}
	return out, nil
}

// recipientFrom is a recipient as it was given.
func recipientFrom(r server.Recipient) queue.Recipient {
	q := queue.Recipient{Addr: r.To, Notify: notifyOf(r.Options.Notify)}
	if r.Options.OriginalRecipient != "" {
		q.ORCPT = string(r.Options.OriginalRecipientType) + ";" + r.Options.OriginalRecipient
	}
	return q
}

func returnOf(r smtp.DSNReturn) queue.Return {
	switch r {
	case smtp.DSNReturnFull:
		return queue.ReturnFull
	case smtp.DSNReturnHeaders:
		return queue.ReturnHeaders
	}
	return queue.ReturnUnset
}

func notifyOf(list []smtp.DSNNotify) queue.Notify {
	var n queue.Notify
	for _, w := range list {
		switch w {
		case smtp.DSNNotifyNever:
			n |= queue.NotifyNever
		case smtp.DSNNotifySuccess:
			n |= queue.NotifySuccess
		case smtp.DSNNotifyFailure:
			n |= queue.NotifyFailure
		case smtp.DSNNotifyDelayed:
			n |= queue.NotifyDelay
		}
	}
	return n
}
