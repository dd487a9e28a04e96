package deliverd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// session is one LMTP connection.
type session struct {
	a    *agent
	conn *server.Conn
}

// target is one proposed recipient: who it is and where the mail goes.
type target struct {
	rcpt   addr.Address
	number int    // of the RCPT command
	user   string // canonical; set while it counts in agent.busy
	tree   *maildir.Tree
	meter  *quota.Meter
	folder string
}

// letter is the transaction's own state. The engine waits for every verdict
// before it asks for the next thing, so that nothing here needs a lock.
type letter struct {
	targets []*target
	body    *body          // of a message for several recipients
	storing int64          // counted in agent.storing
	work    sync.WaitGroup // lookups and deliveries that run by themselves
}

// Helo implements server.Session, as the methods below do.
func (s *session) Helo(context.Context) server.Reply { return server.Reply{} }

// Mail begins a transaction.
func (s *session) Mail(_ context.Context, tx *server.Transaction) server.Verdict {
	tx.Value = &letter{}
	return server.Verdict{}
}

// Rcpt looks the user up while the next RCPT is read.
func (s *session) Rcpt(ctx context.Context, tx *server.Transaction, r server.Recipient) server.Verdict {
	l := tx.Value.(*letter)
	t := &target{rcpt: r.To, number: r.Number}
	l.targets = append(l.targets, t)
	verdict := make(chan server.Reply, 1)
	s.start(l, func() { verdict <- s.lookup(ctx, t) }, verdict)
	return server.Later(verdict)
}

// start runs work beside the session and closes its channels. A panic ends
// the work, not the daemon; what was not answered is 451 then.
func (s *session) start(l *letter, work func(), verdicts ...chan server.Reply) {
	l.work.Add(1)
	go func() {
		defer l.work.Done()
		defer func() {
			if v := recover(); v != nil {
				s.a.note("panic in a delivery", fail.New(fail.Temporary, "%v", v), slog.String("stack", string(debug.Stack())))
			}
			for _, ch := range verdicts {
				close(ch)
			}
		}()
		work()
	}()
}

// lookup answers one RCPT (texts: Dovecot's).
func (s *session) lookup(ctx context.Context, t *target) server.Reply {
	cfg := s.a.cfg.Load()
	name := t.rcpt.Base(cfg.Delimiter).String()
	rec, err := s.a.users.User(ctx, name, "lmtp")
	switch {
	case fail.Is(err, fail.NotFound):
		return server.MakeReply(550, 5, 1, 1, t.rcpt.Path()+" User doesn't exist: "+name)
	case err != nil:
		s.a.note("user lookup failed", err)
		return temporary(t)
	}
	t.folder = maildir.Inbox
	if _, detail := t.rcpt.Split(cfg.Delimiter); cfg.SaveToDetail && detail != "" {
		t.folder = detail
	}
	if err := s.a.home(t, rec); err != nil {
		s.a.note("user cannot be delivered to", err)
		return temporary(t)
	}
	if rec.Quota == "full" {
		return s.a.fullReply(t)
	}
	if cfg.Quota.CheckRcpt {
		switch err := room(ctx, t.meter, t.folder, 1); {
		case fail.Is(err, fail.Full):
			return s.a.fullReply(t)
		case err != nil:
			s.a.note("quota could not be looked up", err)
			return temporary(t)
		}
	}
	if !s.a.busy.Take(rec.User, cfg.Limits.UserConcurrency) {
		return server.MakeReply(451, 4, 3, 0, t.rcpt.Path()+" Too many concurrent deliveries for user")
	}
	t.user = rec.User
	return server.Reply{}
}

func temporary(t *target) server.Reply {
	return server.MakeReply(451, 4, 3, 0, t.rcpt.Path()+" Temporary internal error")
}

// Data lets the content in.
func (s *session) Data(context.Context, *server.Transaction) server.Verdict { return server.Verdict{} }

// Message stores the content for each accepted recipient.
func (s *session) Message(ctx context.Context, tx *server.Transaction, content io.Reader) server.Result {
	l := tx.Value.(*letter)
	b, err := s.a.readBody(content, len(tx.Rcpts) > 1)
	if err != nil {
		if !void(err) {
			s.a.note("message could not be kept", err)
		}
		return server.Result{Verdict: server.Say(bodyReply(err))}
	}
	l.body = b
	return s.newDelivery(tx, b).run(ctx, l, accepted(tx))
}

// accepted are the targets behind the accepted recipients, in order.
func accepted(tx *server.Transaction) []*target {
	byNumber := map[int]*target{}
	for _, t := range tx.Value.(*letter).targets {
		byNumber[t.number] = t
	}
	var list []*target
	for _, r := range tx.Rcpts {
		list = append(list, byNumber[r.Number])
	}
	return list
}

func bodyReply(err error) server.Reply {
	if fail.Is(err, fail.Full) {
		return server.MakeReply(452, 4, 3, 1, "Insufficient system storage")
	}
	return server.MakeReply(451, 4, 3, 0, "Temporary internal error")
}

// Reset gives the users back to others, and the body's memory.
func (s *session) Reset(tx *server.Transaction) {
	l, ok := tx.Value.(*letter)
	if !ok {
		return
	}
	l.work.Wait()
	s.a.storing.Add(-l.storing)
	l.storing = 0
	if l.body != nil {
		l.body.close()
	}
	for _, t := range l.targets {
		if t.user != "" {
			s.a.busy.Give(t.user)
			t.user = ""
		}
	}
}

// Event implements server.Session. What the engine refuses by itself is in
// the sender's log.
func (s *session) Event(server.Event) {}

// Close logs the end.
func (s *session) Close(sum server.Summary) {
	s.a.log.Log(disconnected{s.a.pid, peerName(s.conn), s.conn.ID, sum})
}

// id names a delivery in replies and logs as Dovecot does: the session's id,
// :T2 for its second transaction, :R2 for the second recipient.
func (s *session) id(tx *server.Transaction, rcpt int) string {
	id := s.conn.ID
	if tx.Number > 1 {
		id += fmt.Sprintf(":T%d", tx.Number)
	}
	if rcpt > 1 {
		id += fmt.Sprintf(":R%d", rcpt)
	}
	return id
}
