package coexist

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
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
	name string // of the folder that this client subscribes to
}

func (r *run) newOurs(ctx context.Context, n int) (worker, error) {
	m, err := r.acct.Open(ctx, maildir.Inbox)
	if err != nil {
		return nil, err
	}
	return &ourClient{r: r, m: m, stop: m.Watch(), name: folderName(n)}, nil
}

func (c *ourClient) close() {
	c.stop()
	_ = c.m.Close()
}

func (c *ourClient) do(ctx context.Context, rnd *rand.Rand) error {
	switch n := rnd.IntN(100); {
	case n < 15:
		return c.r.deliver(ctx)
	case n < 25:
		return c.append(ctx)
	case n < 27:
		return c.subscribe(ctx, rnd)
	case n < 85:
		return c.change(ctx, rnd)
	case n < 90:
		return c.expunge(ctx, rnd)
	}
	return c.look(ctx)
}

func (c *ourClient) subscribe(ctx context.Context, rnd *rand.Rand) error {
	on := rnd.IntN(2) == 0
	err := c.r.acct.Subscribe(ctx, c.name, on)
	if err == nil {
		c.r.ledger.subscribed(c.name, on)
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
	if _, ok := c.m.Snapshot().Find(m.uid); !ok {
		return c.m.Sync(ctx) // none of ours yet: Store would pass it over
	}
	own := c.r.flagsOf(ours, m.id)
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
	c.r.ledger.changed(m, flag, on)
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
		c.r.ledger.died(ours, m)
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

// openStore has our store work in this process.
func (r *run) openStore(ctx context.Context) (shut func() error, err error) {
	mode := mailbox.Shared
	if r.o.RenameAfter > 0 {
		mode = mailbox.Exclusive
	}
	if r.store, err = mailbox.NewStore(mailbox.Config{FS: r.locks, IndexRoot: r.o.IndexRoot, FlushIn: r.o.RenameAfter}); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { _ = r.store.Run(ctx) })
	if r.acct, err = r.store.Account(ctx, mailbox.AccountConfig{User: r.o.User, Maildir: r.o.Maildir, Mode: mode}); err != nil {
		stop()
		background.Wait()
		return nil, err
	}
	return func() error {
		err := errors.Join(r.acct.Close(), r.store.Close(ctx))
		stop()
		background.Wait()
		return err
	}, nil
}

// inStore is all that our store shows, once it has renamed what is to be renamed.
func (r *run) inStore(ctx context.Context) (account, error) {
	m, err := r.acct.Open(ctx, maildir.Inbox)
	if err != nil {
		return account{}, err
	}
	defer m.Close()
	if err := errors.Join(m.Sync(ctx), m.Flush(ctx)); err != nil {
		return account{}, err
	}
	s := m.Snapshot()
	out := account{messages: view{}, subscribed: map[string]bool{}, validity: s.UIDValidity(), next: s.UIDNext()}
	for _, x := range s.All() {
		f, err := m.OpenMessage(ctx, x.UID)
		if err != nil {
			return account{}, err
		}
		id := identifyFile(f)
		_ = f.Close()
		r.ledger.seen(id, x.UID)
		show := shown{uid: x.UID, flags: flagNames(x.Flags)}
		for _, k := range s.KeywordNames(x) {
			show.flags[strings.ToLower(k)] = true
		}
		out.messages[id] = append(out.messages[id], show)
	}
	folders, err := r.acct.List(ctx)
	for _, f := range folders {
		if f.Subscribed {
			out.subscribed[f.Name] = true
		}
	}
	return out, err
}
