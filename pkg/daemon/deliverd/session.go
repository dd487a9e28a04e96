package deliverd

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// session is one LMTP connection.
type session struct {
	a    *agent
	conn *server.Conn
}

// target is one accepted recipient: who it is and where the mail goes.
type target struct {
	rcpt   addr.Address
	number int // of the RCPT command
	user   string
	root   string // of the Maildir
	folder string
}

// letter is the transaction's own state. A lookup may outlive its transaction
// when the connection breaks, hence the lock.
type letter struct {
	mu      sync.Mutex
	over    bool
	targets []*target
}

// take counts a delivery for the user of t, unless the transaction is over or
// the user has too many.
func (l *letter) take(busy *netx.Tally[string], t *target, user string, limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || !busy.Take(user, limit) {
		return false
	}
	t.user = user
	return true
}

// end gives every user back.
func (l *letter) end(busy *netx.Tally[string]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, t := range l.targets {
		if t.user != "" {
			busy.Give(t.user)
			t.user = ""
		}
	}
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
	l.mu.Lock()
	l.targets = append(l.targets, t)
	l.mu.Unlock()
	verdict := make(chan server.Reply, 1)
	go func() { verdict <- s.lookup(ctx, l, t) }()
	return server.Later(verdict)
}

// lookup answers one RCPT (texts: Dovecot's).
func (s *session) lookup(ctx context.Context, l *letter, t *target) server.Reply {
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
	if t.root, err = rec.Maildir(); err != nil {
		s.a.note("user cannot be delivered to", err)
		return temporary(t)
	}
	if rec.Quota == "full" {
		return server.MakeReply(552, 5, 2, 2, t.rcpt.Path()+" Quota exceeded (mailbox for user is full)")
	}
	t.folder = "INBOX"
	if _, detail := t.rcpt.Split(cfg.Delimiter); cfg.SaveToDetail && detail != "" {
		t.folder = detail
	}
	if !l.take(&s.a.busy, t, rec.User, cfg.Limits.UserConcurrency) {
		return server.MakeReply(451, 4, 3, 0, t.rcpt.Path()+" Too many concurrent deliveries for user")
	}
	return server.Reply{}
}

func temporary(t *target) server.Reply {
	return server.MakeReply(451, 4, 3, 0, t.rcpt.Path()+" Temporary internal error")
}

// Data lets the content in.
func (s *session) Data(context.Context, *server.Transaction) server.Verdict { return server.Verdict{} }

// Message stores the content for each accepted recipient.
func (s *session) Message(ctx context.Context, tx *server.Transaction, content io.Reader) server.Result {
	b, err := readBody(content, s.a.cfg.Load().TempDir, len(tx.Rcpts) > 1)
	if err != nil {
		s.a.note("message could not be read", err)
		return server.Result{Verdict: server.Say(bodyReply(err))}
	}
	defer b.close()
	d := s.newDelivery(tx, b)
	var each []server.Verdict
	for _, t := range accepted(tx) {
		each = append(each, server.Say(d.deliver(ctx, t)))
	}
	return server.Result{Each: each}
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

// Reset gives the users back to others.
func (s *session) Reset(tx *server.Transaction) {
	if l, ok := tx.Value.(*letter); ok {
		l.end(&s.a.busy)
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
