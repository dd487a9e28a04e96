package mtad

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/daemon/mtad/edge"
	"github.com/postcote/postcote/pkg/daemon/mtad/errormail"
	"github.com/postcote/postcote/pkg/daemon/mtad/localmail"
	"github.com/postcote/postcote/pkg/mta/explain"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/gate/rate"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// session joins one SMTP connection to the gate and the queue. The engine
// calls it from one goroutine.
type session struct {
	d      *daemon
	st     *state
	l      *listening
	c      *server.Conn
	who    client
	policy *gate.Policy

	words   server.Words          // what the listener announces to anybody
	remote  netip.AddrPort        // of the client; invalid on the submit socket
	address string                // its text, without the port
	record  *errormail.Transcript // nil: nobody wants one
	shakes  bool                  // the client has made more TLS sessions than it may
	slow    int                   // number of the transaction in which a recipient's check was slow

	beginning sync.Mutex // of a message, where recipients are checked side by side
}

// accept begins a session: who is it, and may it talk to us at all.
func (d *daemon) accept(ctx context.Context, l *listening, c *server.Conn) (server.Session, server.Reply) {
	st := d.state.Load()
	s := &session{d: d, st: st, l: l, c: c, policy: l.policy, words: c.Policy.Words}
	c.Policy.Limits.MessageSize = st.cfg.MessageSize.Int64()
	d.metrics.open.WithLabelValues(l.label).Inc()
	d.sessions.Store(c, s)
	if l.local {
		return s, s.acceptLocal(ctx)
	}
	s.identify(ctx)
	d.log.Log(clientConnected{s.who})
	if len(st.errors.On) > 0 {
		s.record = new(errormail.Transcript)
		c.Policy.Record = s.record
	}
	if s.tooMany(rate.Connections) {
		return s, server.MakeReply(421, 4, 7, 0, st.hostname+" Error: too many connections from "+s.address)
	}
	return s, s.ask(ctx, gate.Connect, nil)
}

// identify finds out who the client is, and what it may use.
func (s *session) identify(ctx context.Context) {
	s.remote, s.address = netx.AddrPort(s.c.Remote), ""
	if s.remote.IsValid() {
		s.address = s.remote.Addr().String()
	}
	s.who = client{Service: s.l.label, Conn: s.c.ID, Name: edge.Unknown, IP: s.remote.Addr()}
	switch {
	case s.c.Name != "":
		s.who.Name = s.c.Name
	case s.st.cfg.ClientNames && s.who.IP.IsValid():
		var claimed string
		s.who.Name, claimed = edge.Name(ctx, s.d.parts.Resolver, s.who.IP, s.st.cfg.Timeouts.DNS.Std())
		if claimed != "" {
			s.d.log.Log(nameMismatch{s.who, claimed})
		}
	}
	if s.st.cfg.Smtpd.LogPorts {
		s.who.Port = s.remote.Port()
	}
	s.who.text, s.who.peer = s.who.String(), s.who.ip()
	s.st.cfg.Smtpd.Apply(&s.c.Policy, s.words, s.who.IP)
}

// acceptLocal begins a session of the submit socket.
func (s *session) acceptLocal(ctx context.Context) server.Reply {
	s.who = client{Service: s.l.label, Conn: s.c.ID, Name: edge.Unknown, Local: true}
	uid, err := submitter(s.c.Net)
	if err != nil {
		s.d.log.Error("a peer of the submit socket cannot be told", obs.Err(err))
		return server.MakeReply(421, 4, 3, 0, "Error: cannot tell who is there")
	}
	s.who.UID = uid
	s.who.text = s.who.String()
	s.d.log.Log(clientConnected{s.who})
	if _, dropped := localmail.UIDOf(s.c.Net); dropped {
		// It was accepted when it was left there: nobody can send less, or be
		// told to.
		limits := &s.c.Policy.Limits
		limits.Recipients, limits.SoftErrors, limits.HardErrors = 0, 0, 0
	}
	if v := s.d.local.Connect(uid); v.Refused() {
		return s.refuse(gate.Connect.String(), nil, nil, "", v)
	}
	return s.ask(ctx, gate.Connect, nil)
}

// overridden begins anew for the client that a proxy has named by XCLIENT.
func (d *daemon) overridden(ctx context.Context, c *server.Conn) server.Reply {
	v, ok := d.sessions.Load(c)
	if !ok {
		return server.MakeReply(421, 4, 3, 0, "Error: internal error")
	}
	s := v.(*session)
	s.identify(ctx)
	return s.ask(ctx, gate.Connect, nil)
}

// etrn has the mail for a domain tried again. One request runs at a time,
// since each looks through the queue.
func (d *daemon) etrn(ctx context.Context, c *server.Conn, domain string) server.Reply {
	cfg := &d.state.Load().cfg
	if !cfg.Smtpd.Flushes(domain, cfg.Domains.Relay) {
		d.log.Log(etrnRefused{d.clientOf(c), domain})
		return server.Reply{Code: 459, Text: "<" + domain + ">: service unavailable"}
	}
	d.flushing.Lock()
	defer d.flushing.Unlock()
	if _, err := d.queue.Flush(ctx, queue.Selection{Destination: domain, KeepDown: true}); err != nil {
		d.log.Error("mail cannot be sent on request", slog.String("domain", domain), obs.Err(err))
		return server.Reply{Code: 458, Text: "Unable to queue messages"}
	}
	return server.Reply{Code: 250, Text: "Queuing started"}
}

// submitter is the user at the other end of the submit socket, or the one who
// has left a message in the drop.
func submitter(c net.Conn) (uid int, err error) {
	if uid, ok := localmail.UIDOf(c); ok {
		return uid, nil
	}
	cred, err := netx.Peer(c)
	return int(cred.UID), err
}

// clientOf is the peer of a connection that accept has seen.
func (d *daemon) clientOf(c *server.Conn) client {
	if v, ok := d.sessions.Load(c); ok {
		return v.(*session).who
	}
	return client{Service: c.Listener, Conn: c.ID, Name: edge.Unknown, IP: netx.AddrPort(c.Remote).Addr()}
}

func (s *session) facts(tx *server.Transaction) gate.Facts {
	f := gate.Facts{
		Peer: s.who.IP, Name: s.who.Name, Local: s.who.Local,
		TLS: s.c.TLS != nil, User: s.c.User, Helo: s.c.Helo, Prints: s.st.cfg.Smtpd.Prints(s.c.TLS),
	}
	if tx != nil {
		f.Sender = s.whole(context.Background(), tx.From)
	}
	return f
}

// whole is an address as it will be used: completed. A bare one means a user
// here to this site's own clients; to strangers it means nothing.
func (s *session) whole(ctx context.Context, a addr.Address) addr.Address {
	if a.Domain == "" && !s.home() {
		return a
	}
	return s.st.rewriter.Complete(ctx, a)
}

// home reports whether the client is one of this site's own. Of mail that a
// filter brings back it is the filter that knows.
func (s *session) home() bool {
	if f := s.c.Forward; f != nil && (f.Local || f.Remote) {
		return f.Local
	}
	return s.st.rewriter.Home(s.who.Local, s.c.User, s.who.IP)
}

// ask runs a stage that needs no recipient; zero means go on.
func (s *session) ask(ctx context.Context, stage gate.Stage, tx *server.Transaction) server.Reply {
	v := s.st.gate.Check(ctx, s.policy, stage, s.facts(tx))
	if !v.Refused() {
		return server.Reply{}
	}
	qid := ""
	if tx != nil {
		qid = s.qid(tx)
	}
	return s.refuse(stage.String(), tx, nil, qid, v)
}

// refuse logs and counts a refusal and words it. With soft_bounce none is for
// good.
func (s *session) refuse(stage string, tx *server.Transaction, rcpt *addr.Address, qid string, v gate.Verdict) server.Reply {
	s.record.Note(errormail.Of(v))
	if (s.st.cfg.Queue.SoftBounce || s.l.spec.SoftBounce) && v.Code >= 500 {
		v.Action, v.Code, v.Enhanced[0] = gate.Defer, v.Code-100, 4
	}
	e := rejected{client: s.who, QID: qid, Stage: stage, Reply: v.String(), Rcpt: rcpt, Proto: s.proto(), Helo: s.c.Helo, Cause: v.Cause}
	if tx != nil {
		from := tx.From
		e.Sender = &from
	}
	s.d.log.Log(e)
	s.d.metrics.rejects.WithLabelValues(stage, fmt.Sprintf("%dxx", v.Code/100), v.Reason()).Inc()
	return server.Reply{Code: v.Code, Enhanced: v.Enhanced, Text: v.Text}
}

// proto is Postfix's proto=, which does not tell about TLS or AUTH.
func (s *session) proto() string {
	if s.c.ESMTP() {
		return "ESMTP"
	}
	return "SMTP"
}

// Helo implements server.Session, as the methods below do.
func (s *session) Helo(ctx context.Context) server.Reply {
	if s.shakes {
		return server.MakeReply(421, 4, 7, 0, s.st.hostname+" Error: too many new TLS sessions from "+s.who.String())
	}
	return s.ask(ctx, gate.Helo, nil)
}

// Mail begins a transaction.
func (s *session) Mail(ctx context.Context, tx *server.Transaction) server.Verdict {
	if s.tooMany(rate.Messages) {
		return server.Say(server.MakeReply(450, 4, 7, 1, "Error: too much mail from "+s.address))
	}
	if err := s.d.queue.Room(tx.Options.Size); err != nil {
		return server.Say(s.notStored(gate.Mail.String(), tx, "", err))
	}
	if r := s.ask(ctx, gate.Mail, tx); !r.IsZero() || !s.who.Local {
		return server.Say(r)
	}
	if v := s.d.local.Mail(s.who.UID, tx.From); v.Refused() {
		return server.Say(s.refuse(gate.Mail.String(), tx, nil, "", v))
	}
	return server.Verdict{}
}

// tooMany counts what the client does, and reports whether that is more of it
// than it may do in a unit of time.
func (s *session) tooMany(k rate.Kind) bool {
	if s.who.Local || !s.st.rates.Limited(k) {
		return false
	}
	n := s.l.rates.Count(&s.st.rates, k, s.who.IP, s.d.now())
	if n == 0 {
		return false
	}
	s.record.Note(errormail.Policy)
	s.d.log.Log(rateExceeded{s.who, k, n})
	s.d.metrics.rejects.WithLabelValues("RATE", "4xx", "rate").Inc()
	return true
}

// slowCheck is how long the check of a recipient takes when somebody had to be
// asked. One that finds its answers in memory takes some microseconds.
const slowCheck = 500 * time.Microsecond

// Rcpt checks a recipient. Once a check in a transaction was slow, those of
// further pipelined recipients run side by side; the engine keeps the order of
// the replies. The last one is looked up here: a goroutine for it would only be
// waited for.
func (s *session) Rcpt(ctx context.Context, tx *server.Transaction, rcpt server.Recipient) server.Verdict {
	if s.tooMany(rate.Recipients) {
		return server.Say(server.MakeReply(450, 4, 7, 1, "Error: too many recipients from "+s.address))
	}
	if s.slow == tx.Number && tx.More {
		f := s.candidate(ctx, tx, rcpt)
		answer := make(chan server.Reply, 1)
		go func() { answer <- s.judge(ctx, tx, f) }()
		return server.Later(answer)
	}
	began := time.Now()
	reply := s.judge(ctx, tx, s.candidate(ctx, tx, rcpt))
	if time.Since(began) > slowCheck {
		s.slow = tx.Number
	}
	return server.Say(reply)
}

func (s *session) candidate(ctx context.Context, tx *server.Transaction, rcpt server.Recipient) gate.Facts {
	f := s.facts(tx)
	f.Rcpt = s.whole(ctx, rcpt.To)
	return f
}

// judge is the reply to a recipient.
func (s *session) judge(ctx context.Context, tx *server.Transaction, f gate.Facts) (reply server.Reply) {
	reply = s.l.undecided // stands if the check panics
	defer s.survive("RCPT")
	v := s.st.gate.Check(explain.Nobody(ctx), s.policy, gate.Rcpt, f)
	if !v.Refused() {
		_ = s.begin(ctx, tx) // what is wrong with it Data will say
		return s.l.rcptOK
	}
	return s.refuse(gate.Rcpt.String(), &server.Transaction{From: f.Sender}, &f.Rcpt, s.qid(tx), v)
}

// survive keeps a panic in a check from ending more than the check.
func (s *session) survive(where string) {
	if v := recover(); v != nil {
		s.d.log.Error("panic while checking a command", slog.String("cmd", where), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	}
}

// Reset forgets the transaction. A message that was committed is not touched.
func (s *session) Reset(tx *server.Transaction) {
	if sub, ok := tx.Value.(*submission); ok {
		sub.msg.Abort()
	}
}

// Event logs what the engine did by itself.
func (s *session) Event(e server.Event) {
	switch e.Kind {
	case server.EventTLS:
		s.shakes = s.tooMany(rate.Handshakes)
		if t := s.c.TLS; t != nil && s.st.cfg.Smtpd.TLSLog > 0 {
			s.d.log.Log(tlsEstablished{s.who, tlsx.Brief(*t), s.d.keeper.Summary(*t), edge.Trust(s.c), edge.Asked(t)})
		}
	case server.EventTLSFailed:
		s.d.log.Log(tlsFailed{s.who, e.Err})
	case server.EventPipelining:
		s.record.Note(errormail.Protocol)
		s.d.log.Log(sessionBroken{s.who, "improper command pipelining", e.Verb, e.Input})
	case server.EventForbidden:
		s.record.Note(errormail.Protocol)
		s.d.log.Log(foreignProtocol{s.who, e.Input})
	case server.EventAuthFailed:
		if e.Own {
			s.d.log.Log(authFailed{client: s.who, Mech: e.Mech, Reason: e.Err.Error()})
			s.d.metrics.logins.WithLabelValues(s.l.label, "invalid").Inc()
		}
	case server.EventAuthAborted:
		s.d.log.Log(authAborted{s.who, e.Mech})
	case server.EventRefused:
		s.refusedByEngine(e)
	}
}

// refusedByEngine logs a refusal that no check of ours has made.
func (s *session) refusedByEngine(e server.Event) {
	s.record.Note(errormail.OfEngine(e))
	switch e.Why {
	case server.Unwanted:
		s.unwanted(e)
	case server.BadAddress:
		s.d.log.Log(commandRefused{s.who, "Illegal address syntax from " + s.who.String() + " in " + e.Verb + " command: " + e.Input, e.Reply})
	case server.BadChunk:
		s.d.log.Log(commandRefused{s.who, "BDAT request from " + s.who.String() + " refused: " + e.Reply.String(), e.Reply})
	case server.TooLong:
		limit := s.c.Policy.Limits.Line
		if e.Reply.Enhanced == (smtp.EnhancedCode{5, 5, 6}) { // a response
			limit = s.c.Policy.Limits.AuthResponse
		}
		s.d.log.Log(commandRefused{s.who, fmt.Sprintf("%s: request longer than %d", s.who, limit), e.Reply})
	default:
		s.d.log.Debug("command refused by the protocol", slog.String("conn", s.c.ID), slog.String("cmd", e.Verb), slog.String("reply", e.Reply.String()))
	}
}

// unwanted logs what the policy of the engine has refused, as one of our own.
func (s *session) unwanted(e server.Event) {
	r := rejected{client: s.who, Stage: cmp.Or(e.Verb, "UNKNOWN"), Reply: e.Reply.String(), Proto: s.proto(), Helo: s.c.Helo}
	if tx := e.Tx; tx != nil {
		r.Sender = &tx.From
		if n := len(tx.Rcpts); n > 0 {
			r.Rcpt = &tx.Rcpts[n-1].To
		}
		r.QID = s.qid(tx)
	}
	s.d.log.Log(r)
	s.d.metrics.rejects.WithLabelValues(r.Stage, fmt.Sprintf("%dxx", e.Reply.Code/100), gate.Verdict{Code: e.Reply.Code, Enhanced: e.Reply.Enhanced}.Reason()).Inc()
}

// Close says how the session ended.
func (s *session) Close(sum server.Summary) {
	s.d.sessions.Delete(s.c)
	what := ""
	switch sum.End {
	case server.Lost, server.TLSFailed:
		if sum.After != endOfMessage { // many never say QUIT
			what = "lost connection"
		}
	case server.TimedOut:
		what = "timeout"
	case server.TooManyErrors:
		what = "too many errors"
	}
	if what != "" {
		after := strings.ToUpper(sum.After)
		if sum.Inside {
			after += fmt.Sprintf(" (%d bytes)", sum.Bytes)
		}
		s.d.log.Log(sessionBroken{s.who, what, after, ""})
	}
	s.d.log.Log(clientDisconnected{s.who, sum.String(), s.d.now().Sub(s.c.Start)})
	if err := s.d.letters.Send(context.Background(), s.record, errormail.Server, s.who.String(), s.st.errors); err != nil {
		s.d.log.Error("the transcript of a session could not be queued", obs.Err(err))
	}
	s.d.metrics.ended(s.l.label, sum)
}
