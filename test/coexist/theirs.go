package coexist

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// theirClient is one IMAP session at Dovecot.
type theirClient struct {
	r *run
	c *imapclient.Client
}

func (r *run) newTheirs(context.Context) (worker, error) { return r.dial() }

func (r *run) dial() (*theirClient, error) {
	c, err := imapclient.DialInsecure(r.o.IMAP, nil)
	if err != nil {
		return nil, err
	}
	if err = c.Login(r.o.User, r.o.Password).Wait(); err == nil {
		_, err = c.Select("INBOX", nil).Wait()
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("opening INBOX at Dovecot: %w", err)
	}
	return &theirClient{r: r, c: c}, nil
}

func (c *theirClient) close() {
	_ = c.c.Logout().Wait()
	_ = c.c.Close()
}

func (c *theirClient) do(_ context.Context, rnd *rand.Rand) error {
	switch n := rnd.IntN(100); {
	case n < 20:
		return c.append()
	case n < 80:
		return c.change(rnd)
	case n < 85:
		return c.expunge(rnd)
	}
	return c.look()
}

func (c *theirClient) append() error {
	id := c.r.ledger.begin()
	text := letter(id)
	cmd := c.c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagAnswered, "Theirs"}})
	_, _ = cmd.Write([]byte(text)) // an error shows in Wait
	_ = cmd.Close()
	data, err := cmd.Wait()
	if err == nil {
		c.r.ledger.stored(id, uint32(data.UID), `\answered`, "theirs")
	}
	return err
}

func (c *theirClient) change(rnd *rand.Rand) error {
	m := c.r.ledger.pick(theirs, rnd)
	if m == nil {
		return c.c.Noop().Wait()
	}
	defer c.r.ledger.give(theirs, m)
	own := flagsOf(theirs, m.id)
	flag, on := own[rnd.IntN(len(own))], rnd.IntN(2) == 0
	op := imap.StoreFlagsDel
	if on {
		op = imap.StoreFlagsAdd
	}
	set := imap.UIDSetNum(imap.UID(m.uid))
	if _, err := c.c.Store(set, &imap.StoreFlags{Op: op, Flags: []imap.Flag{imap.Flag(flag)}}, nil).Collect(); err != nil {
		return err
	}
	// What does not change is not reported, and a message that the session
	// does not know yet is passed over: ask what it is now.
	got, err := c.c.Fetch(set, &imap.FetchOptions{UID: true, Flags: true}).Collect()
	if err == nil && len(got) == 1 && lower(got[0].Flags)[flag] == on {
		c.r.ledger.changed(m, flag, on)
	}
	return err
}

func (c *theirClient) expunge(rnd *rand.Rand) error {
	m := c.r.ledger.pick(theirs, rnd)
	if m == nil {
		return nil
	}
	defer c.r.ledger.give(theirs, m)
	c.r.ledger.dies(m)
	set := imap.UIDSetNum(imap.UID(m.uid))
	if _, err := c.c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect(); err != nil {
		return err
	}
	gone, err := c.c.UIDExpunge(set).Collect()
	if err == nil && len(gone) > 0 {
		left, err := c.c.Fetch(set, &imap.FetchOptions{UID: true}).Collect()
		if err == nil && len(left) == 0 {
			c.r.ledger.died(m)
		}
	}
	return err
}

// look asks for the newest messages.
func (c *theirClient) look() error {
	if err := c.c.Noop().Wait(); err != nil {
		return err
	}
	n := c.c.Mailbox().NumMessages
	if n == 0 {
		return nil
	}
	var set imap.SeqSet
	set.AddRange(n-min(n-1, 10), n)
	_, err := c.fetch(set)
	return err
}

// fetch notes which message has which UID, and returns the messages.
func (c *theirClient) fetch(set imap.NumSet) (view, error) {
	got, err := c.c.Fetch(set, &imap.FetchOptions{UID: true, Flags: true, Envelope: true}).Collect()
	out := view{}
	for _, x := range got {
		if x.Envelope == nil || x.UID == 0 {
			continue // news of flags
		}
		id := identify("Subject: " + x.Envelope.Subject)
		c.r.ledger.seen(id, uint32(x.UID))
		out[id] = append(out[id], shown{uid: uint32(x.UID), flags: lower(x.Flags)})
	}
	return out, err
}

func lower(flags []imap.Flag) map[string]bool {
	out := map[string]bool{}
	for _, f := range flags {
		out[strings.ToLower(string(f))] = true
	}
	return out
}

// theirView is all that Dovecot shows to a new session.
func (r *run) theirView(context.Context) (view, error) {
	c, err := r.dial()
	if err != nil {
		return nil, err
	}
	defer c.close()
	if c.c.Mailbox().NumMessages == 0 {
		return view{}, nil
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	return c.fetch(all)
}
