package coexist

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// ourClient is one session of our store.
type ourClient struct {
	r    *run
	m    *mailbox.Mailbox
	stop func()
	read uint32 // messages below this UID have been looked at
}

func (r *run) newOurs(ctx context.Context) (worker, error) {
	m, err := r.acct.Open(ctx, maildir.Inbox)
	if err != nil {
		return nil, err
	}
	return &ourClient{r: r, m: m, stop: m.Watch()}, nil
}

func (c *ourClient) close() {
	c.stop()
	_ = c.m.Close()
}

func (c *ourClient) do(ctx context.Context, rnd *rand.Rand) error {
	switch n := rnd.IntN(100); {
	case n < 15:
		return c.deliver(ctx)
	case n < 25:
		return c.append(ctx)
	case n < 85:
		return c.change(ctx, rnd)
	case n < 90:
		return c.expunge(ctx, rnd)
	}
	return c.look(ctx)
}

// deliver is what deliverd does: a file in new/ that nobody has numbered.
func (c *ourClient) deliver(ctx context.Context) error {
	id := c.r.ledger.begin()
	_, err := c.r.tree.Deliver(ctx, maildir.Inbox, maildir.Meta{}, strings.NewReader(letter(id)))
	if err == nil {
		c.r.ledger.stored(id, 0)
	}
	return err
}

func (c *ourClient) append(ctx context.Context) error {
	id := c.r.ledger.begin()
	a, err := c.r.acct.Append(ctx, maildir.Inbox)
	if err != nil {
		return err
	}
	if err := a.Add(ctx, mailbox.Incoming{Flags: maildir.Flagged, Keywords: []string{"Ours"}}, strings.NewReader(letter(id))); err != nil {
		return err
	}
	_, uids, err := a.Commit(ctx)
	if err == nil {
		c.r.ledger.stored(id, uids[0], `\flagged`, "ours")
	}
	return err
}

func (c *ourClient) change(ctx context.Context, rnd *rand.Rand) error {
	m := c.r.ledger.pick(ours, rnd)
	if m == nil {
		return nil
	}
	defer c.r.ledger.give(ours, m)
	own := flagsOf(ours, m.id)
	flag, on := own[rnd.IntN(len(own))], rnd.IntN(2) == 0
	change := mailbox.Change{Op: mailbox.Remove, UnchangedSince: mailbox.NoCondition}
	if on {
		change.Op = mailbox.Add
	}
	if isKeyword(flag) {
		change.Keywords = []string{"Ours"}
	} else {
		change.Flags = flagBits()[flag]
	}
	began := time.Now()
	if _, err := c.m.Store(ctx, mailbox.SetOf(m.uid), change); err != nil {
		return err
	}
	c.r.stores.add(time.Since(began))
	if _, ok := c.m.Snapshot().Find(m.uid); ok { // else it was none of ours yet
		c.r.ledger.changed(m, flag, on)
	}
	return nil
}

func (c *ourClient) expunge(ctx context.Context, rnd *rand.Rand) error {
	m := c.r.ledger.pick(ours, rnd)
	if m == nil {
		return nil
	}
	defer c.r.ledger.give(ours, m)
	c.r.ledger.dies(m)
	gone, err := c.m.Remove(ctx, mailbox.SetOf(m.uid))
	if err == nil && gone.Contains(m.uid) {
		c.r.ledger.died(m)
	}
	return err
}

// look reads the messages that this session has not seen yet.
func (c *ourClient) look(ctx context.Context) error {
	if err := c.m.Sync(ctx); err != nil {
		return err
	}
	s := c.m.Snapshot()
	for i, _ := s.Find(c.read + 1); i < s.Len(); i++ {
		uid := s.UID(i)
		f, err := c.m.OpenMessage(ctx, uid)
		if err != nil {
			continue // expunged meanwhile
		}
		c.r.ledger.seen(identifyFile(f), uid)
		_ = f.Close()
		c.read = uid
	}
	return nil
}

// ourView is all that our store shows.
func (r *run) ourView(ctx context.Context, m *mailbox.Mailbox) (view, error) {
	out := view{}
	s := m.Snapshot()
	for _, x := range s.All() {
		f, err := m.OpenMessage(ctx, x.UID)
		if err != nil {
			return nil, err
		}
		id := identifyFile(f)
		_ = f.Close()
		r.ledger.seen(id, x.UID)
		show := shown{uid: x.UID, flags: flagNames(x.Flags)}
		for _, k := range s.KeywordNames(x) {
			show.flags[strings.ToLower(k)] = true
		}
		out[id] = append(out[id], show)
	}
	return out, nil
}
