package deliverd

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/hint"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// delivery is one message on its way to its recipients. The first file that
// was stored is linked for the others: their copies are the same.
type delivery struct {
	s       *session
	tx      *server.Transaction
	b       *body
	trace   []byte
	msgID   string
	qid     string
	started time.Time

	tree  *maildir.Tree // of first
	first maildir.Delivered
	done  map[string]bool // root and folder: an address may be given twice
}

func (s *session) newDelivery(tx *server.Transaction, b *body) *delivery {
	now := s.a.now()
	d := &delivery{s: s, tx: tx, b: b, started: now, done: map[string]bool{}}
	d.trace = s.trace(tx, s.a.cfg.Load().hostname(), now)
	d.msgID, d.qid = facts(b.head)
	return d
}

// deliver stores the message for one recipient and returns its reply.
func (d *delivery) deliver(ctx context.Context, t *target) server.Reply {
	id := d.s.id(d.tx, t.number)
	tree := maildir.NewTree(d.s.a.fs, t.root, maildir.Options{Namer: d.s.a.namer, Now: d.s.a.now})
	if err := d.choose(ctx, tree, t); err != nil {
		return d.failed(t, id, err)
	}
	key := t.root + "\x00" + t.folder
	if !d.done[key] {
		got, err := d.store(ctx, tree, t)
		if err != nil {
			return d.failed(t, id, err)
		}
		d.done[key] = true
		d.stored(ctx, t, id, got)
	}
	return server.MakeReply(250, 2, 0, 0, t.rcpt.Path()+" "+id+" Saved")
}

// store writes or links one file.
func (d *delivery) store(ctx context.Context, tree *maildir.Tree, t *target) (maildir.Delivered, error) {
	meta := maildir.Meta{Date: d.started}
	if d.tree != nil {
		return tree.Link(ctx, d.tree, d.first, t.folder, meta)
	}
	got, err := tree.Deliver(ctx, t.folder, meta, io.MultiReader(bytes.NewReader(d.trace), d.b.reader()))
	if err == nil && len(d.tx.Rcpts) > 1 {
		d.tree, d.first = tree, got
	}
	return got, err
}

// choose makes INBOX where it is missing, and falls back to it when the
// folder that the detail names is not there.
func (d *delivery) choose(ctx context.Context, tree *maildir.Tree, t *target) error {
	if t.folder != "INBOX" {
		if ok, err := tree.Exists(ctx, t.folder); err == nil && ok {
			return nil
		} else if err != nil && !fail.Is(err, fail.Invalid) && !fail.Is(err, fail.NotFound) {
			return err
		}
		t.folder = "INBOX"
	}
	return tree.Ensure(ctx, "INBOX")
}

// stored logs, counts and tells imapd.
func (d *delivery) stored(ctx context.Context, t *target, id string, got maildir.Delivered) {
	a := d.s.a
	a.metrics.deliveries.WithLabelValues("stored").Inc()
	a.metrics.seconds.Observe(a.now().Sub(d.started).Seconds())
	a.log.Log(saved{a.pid, *t, id, d.msgID, d.qid, got.Size, a.now().Sub(d.started)})
	if a.hints == nil {
		return
	}
	h := hint.Hint{User: t.user, Mailbox: t.folder, File: got.Base, Size: got.Size, VSize: got.VSize, Received: got.Date}
	if err := a.hints.Send(ctx, h); err != nil {
		a.log.Debug("hint was not sent", slog.String(obs.KeyUser, t.user), obs.Err(err))
	}
}

// failed logs the cause and answers: what the user can see is in the reply,
// what only the operator should see is in the log.
func (d *delivery) failed(t *target, id string, err error) server.Reply {
	a := d.s.a
	reply := server.MakeReply(451, 4, 2, 0, t.rcpt.Path()+" Temporary internal error")
	result := "deferred"
	switch fail.KindOf(err) {
	case fail.Full:
		reply = server.MakeReply(452, 4, 2, 2, t.rcpt.Path()+" Insufficient storage")
	case fail.Invalid:
		reply = server.MakeReply(451, 4, 3, 0, t.rcpt.Path()+" Temporary internal error")
	}
	a.metrics.deliveries.WithLabelValues(result).Inc()
	a.log.Log(saveFailed{a.pid, *t, id, d.msgID, d.qid, err})
	return reply
}
