package deliverd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/hint"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// settledAtOnce is how many folders are synced at a time for one message: most
// of those syncs can be the same work of the file system.
const settledAtOnce = 8

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
	visits  map[*disk.Volume]disk.FS // begun for this message

	tree  *maildir.Tree // of first; nil until a file was stored
	first maildir.Delivered
}

// parcel is one copy: a folder, and the recipients whose folder that is. An
// address may be given twice, and details may lead to one folder.
type parcel struct {
	tree    *maildir.Tree
	vol     *disk.Volume // what is synced as a whole; nil: file by file
	meter   *quota.Meter
	folder  string
	targets []*target
	answers []chan server.Reply // as targets

	file *maildir.Delivery // once it has its name
	done maildir.Delivered
}

func (s *session) newDelivery(tx *server.Transaction, b *body) *delivery {
	now := s.a.now()
	d := &delivery{s: s, tx: tx, b: b, started: now, visits: map[*disk.Volume]disk.FS{}}
	d.trace = s.trace(tx, s.a.cfg.Load().hostname(), now)
	d.msgID, d.qid = facts(b.head)
	return d
}

// run delivers to all targets and returns a verdict for each: first every copy
// gets its name, then the names are made durable.
func (d *delivery) run(ctx context.Context, l *letter, targets []*target) server.Result {
	parcels, each := d.sort(ctx, targets)
	l.storing = int64(len(parcels))
	d.board(parcels, d.s.a.storing.Add(l.storing))
	stored := parcels[:0]
	for _, p := range parcels {
		if err := d.store(ctx, p); err != nil {
			d.answer(ctx, p, err)
			continue
		}
		stored = append(stored, p)
	}
	d.settle(ctx, l, stored)
	return server.Result{Each: each}
}

// board decides which parcels are synced with their volume as a whole. Their
// trees write through a visit that begins now. busy is how many copies are on
// their way, these included.
func (d *delivery) board(parcels []*parcel, busy int64) {
	a := d.s.a
	for _, p := range parcels {
		v := a.volumes.find(a.cfg.Load().Sync, p.tree.Root(), busy)
		if v == nil {
			continue
		}
		if d.visits[v] == nil {
			d.visits[v] = v.Visit()
		}
		p.vol, p.tree = v, p.tree.Through(d.visits[v])
	}
}

// settle makes the names of all parcels durable and answers: one sync for all
// of a volume; file by file those side by side, each answered as it is done.
func (d *delivery) settle(ctx context.Context, l *letter, parcels []*parcel) {
	synced := map[*disk.Volume]error{}
	slots := make(chan struct{}, settledAtOnce)
	for _, p := range parcels {
		switch {
		case p.vol != nil:
			err, done := synced[p.vol]
			if !done {
				err = d.visits[p.vol].SyncDir(p.tree.Root())
				synced[p.vol] = err
			}
			if err == nil {
				p.file.Published()
			} else {
				p.file.Abort()
			}
			d.answer(ctx, p, err)
		case len(parcels) == 1:
			d.answer(ctx, p, p.file.Settle())
		default:
			d.s.start(l, func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				d.answer(ctx, p, p.file.Settle())
			}, p.answers...)
		}
	}
}

// sort makes the parcels. Targets whose folder cannot be used are answered.
func (d *delivery) sort(ctx context.Context, targets []*target) (parcels []*parcel, each []server.Verdict) {
	at := map[string]*parcel{}
	for _, t := range targets {
		answer := make(chan server.Reply, 1)
		each = append(each, server.Later(answer))
		if err := choose(ctx, t.tree, t); err != nil {
			answer <- d.failed(t, err)
			continue
		}
		key := t.tree.Root() + "\x00" + t.folder
		p := at[key]
		if p == nil {
			p = &parcel{tree: t.tree, meter: t.meter, folder: t.folder}
			at[key] = p
			parcels = append(parcels, p)
		}
		p.targets, p.answers = append(p.targets, t), append(p.answers, answer)
	}
	return parcels, each
}

// choose makes INBOX where it is missing, and falls back to it when the
// folder that the detail names is not there.
func choose(ctx context.Context, tree *maildir.Tree, t *target) error {
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

// answer tells a parcel's recipients what became of it.
func (d *delivery) answer(ctx context.Context, p *parcel, err error) {
	if err == nil {
		d.s.a.used(p.meter, p.folder, p.done.Size)
		d.stored(ctx, p.targets[0], p.done)
	}
	for i, t := range p.targets {
		if err != nil {
			p.answers[i] <- d.failed(t, err)
			continue
		}
		d.s.a.metrics.deliveries.WithLabelValues("stored").Inc()
		p.answers[i] <- server.MakeReply(250, 2, 0, 0, t.rcpt.Path()+" "+d.id(t)+" Saved")
	}
}

// store writes or links one file.
func (d *delivery) store(ctx context.Context, p *parcel) (err error) {
	meta := maildir.Meta{Date: d.started}
	if d.tree != nil {
		if err := room(ctx, p.meter, p.folder, d.first.Size); err != nil {
			return err
		}
		p.file, p.done, err = p.tree.Link(ctx, d.tree, d.first, p.folder, meta)
		if !fail.Is(err, fail.NotFound) {
			return err
		}
		// Its owner was quick to remove the first copy: write another.
	}
	p.file, p.done, err = d.write(ctx, p, meta)
	if err == nil && d.tree == nil {
		d.tree, d.first = p.tree, p.done
	}
	return err
}

// write stores the message with our fields before it.
func (d *delivery) write(ctx context.Context, p *parcel, meta maildir.Meta) (*maildir.Delivery, maildir.Delivered, error) {
	if !d.b.whole() { // what is full already need not be written to
		if err := room(ctx, p.meter, p.folder, inMemory); err != nil {
			return nil, maildir.Delivered{}, err
		}
	}
	file, err := p.tree.Begin(ctx, p.folder)
	if err != nil {
		return nil, maildir.Delivered{}, err
	}
	if _, err = file.Write(d.trace); err == nil {
		_, err = d.b.WriteTo(file)
	}
	if err == nil {
		err = room(ctx, p.meter, p.folder, file.Size())
	}
	if err != nil {
		file.Abort()
		return nil, maildir.Delivered{}, err
	}
	done, err := file.Publish(ctx, meta)
	return file, done, err
}

func (d *delivery) id(t *target) string { return d.s.id(d.tx, t.number) }

// stored logs, measures and tells imapd.
func (d *delivery) stored(ctx context.Context, t *target, got maildir.Delivered) {
	a := d.s.a
	took := a.now().Sub(d.started)
	a.metrics.seconds.Observe(took.Seconds())
	a.log.Log(saved{a.pid, *t, d.id(t), d.msgID, d.qid, got.Size, took})
	if a.hints == nil {
		return
	}
	h := hint.Hint{User: t.user, Mailbox: t.folder, File: got.Base, Size: got.Size, VSize: got.VSize, Received: got.Date}
	if err := a.hints.Send(ctx, h); err != nil {
		a.log.Debug("hint was not sent", slog.String(obs.KeyUser, t.user), obs.Err(err))
	}
}

// failed logs the cause and answers: what the user can see is in the reply,
// what only the operator should see is in the log. All of it but a full mailbox
// is temporary: nothing that can be wrong with our disk is the sender's fault.
func (d *delivery) failed(t *target, err error) server.Reply {
	if void(err) {
		return server.Reply{} // the engine has its own
	}
	a := d.s.a
	a.metrics.deliveries.WithLabelValues("deferred").Inc()
	a.log.Log(saveFailed{a.pid, *t, d.id(t), d.msgID, d.qid, err})
	if quota.IsOver(err) {
		return a.fullReply(t)
	}
	if fail.Is(err, fail.Full) {
		return server.MakeReply(452, 4, 2, 2, t.rcpt.Path()+" Insufficient storage")
	}
	return server.MakeReply(451, 4, 2, 0, t.rcpt.Path()+" Temporary internal error")
}

// void reports whether the message itself ended before its time.
func void(err error) bool {
	return errors.Is(err, server.ErrAborted) || errors.Is(err, server.ErrTooBig) || errors.Is(err, server.ErrBareLF)
}
