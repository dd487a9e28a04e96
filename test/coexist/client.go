package coexist

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// imapClient is one IMAP session, at Dovecot or at our server.
type imapClient struct {
	r    *run
	side side
	c    *imapclient.Client
	name string // of the folder that this client subscribes to
}

// dial opens INBOX.
func (r *run) dial(s side, n int) (*imapClient, error) {
	address, server := r.o.IMAP, "Dovecot"
	if s == ours {
		address, server = r.o.OurIMAP, "our server"
	}
	c, err := imapclient.DialInsecure(address, nil)
	if err != nil {
		return nil, err
	}
	if err = c.Login(r.o.User, r.o.Password).Wait(); err == nil {
		_, err = c.Select("INBOX", nil).Wait()
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("opening INBOX at %s: %w", server, err)
	}
	return &imapClient{r: r, side: s, c: c, name: folderName(n)}, nil
}

func (c *imapClient) close() {
	_ = c.c.Logout().Wait()
	_ = c.c.Close()
}

func (c *imapClient) do(ctx context.Context, rnd *rand.Rand) error {
	switch n := rnd.IntN(100); {
	case n < 10:
		return c.r.deliver(ctx)
	case n < 20:
		return c.append()
	case n < 22:
		return c.subscribe(rnd)
	case n < 80:
		return c.change(rnd)
	case n < 85:
		return c.expunge(rnd)
	}
	return c.look()
}

func (c *imapClient) append() error {
	id := c.r.ledger.begin()
	text := letter(id)
	flags := []imap.Flag{imap.FlagAnswered, "Theirs"}
	if c.side == ours {
		flags = []imap.Flag{imap.FlagFlagged, "Ours"}
	}
	cmd := c.c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: flags})
	_, _ = cmd.Write([]byte(text)) // an error shows in Wait
	_ = cmd.Close()
	data, err := cmd.Wait()
	if err == nil {
		c.r.ledger.stored(id, uint32(data.UID), slices.Collect(maps.Keys(lower(flags)))...)
	}
	return err
}

func (c *imapClient) change(rnd *rand.Rand) error {
	m := c.r.ledger.pick(c.side, rnd)
	if m == nil {
		return c.c.Noop().Wait()
	}
	defer c.r.ledger.give(c.side, m)
	own := c.r.flagsOf(c.side, m.id)
	flag, on := own[rnd.IntN(len(own))], rnd.IntN(2) == 0
	op := imap.StoreFlagsDel
	if on {
		op = imap.StoreFlagsAdd
	}
	set := imap.UIDSetNum(imap.UID(m.uid))
	began := time.Now()
	if _, err := c.c.Store(set, &imap.StoreFlags{Op: op, Flags: []imap.Flag{imap.Flag(flag)}}, nil).Collect(); err != nil {
		return err
	}
	if c.side == ours {
		c.r.stores.add(time.Since(began))
	}
	// What does not change is not reported, and a message that the session
	// does not know yet is passed over: ask what it is now.
	got, err := c.c.Fetch(set, &imap.FetchOptions{UID: true, Flags: true}).Collect()
	if err == nil && len(got) == 1 && lower(got[0].Flags)[flag] == on {
		c.r.ledger.changed(m, flag, on)
	}
	return err
}

func (c *imapClient) expunge(rnd *rand.Rand) error {
	m := c.r.ledger.pick(c.side, rnd)
	if m == nil {
		return nil
	}
	defer c.r.ledger.give(c.side, m)
	c.r.ledger.dies(m)
	set := imap.UIDSetNum(imap.UID(m.uid))
	if _, err := c.c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect(); err != nil {
		return err
	}
	gone, err := c.c.UIDExpunge(set).Collect()
	if err == nil && len(gone) > 0 {
		left, err := c.c.Fetch(set, &imap.FetchOptions{UID: true}).Collect()
		if err == nil && len(left) == 0 {
			c.r.ledger.died(c.side, m)
		}
	}
	return err
}

// look asks for the newest messages.
func (c *imapClient) look() error {
	if err := c.c.Noop().Wait(); err != nil {
		return err
	}
	n := c.c.Mailbox().NumMessages
	if n == 0 {
		return nil
	}
	var set imap.SeqSet
	set.AddRange(n-min(n-1, 10), n)
	if _, err := c.fetch(set); !goneMeanwhile(err) {
		return err
	}
	return nil
}

// goneMeanwhile: another client's EXPUNGE came between NOOP and FETCH. Both
// servers say so in the words of RFC 5530, and nothing was refused.
func goneMeanwhile(err error) bool {
	var refusal *imap.Error
	return errors.As(err, &refusal) && refusal.Code == "EXPUNGEISSUED"
}

// fetch notes which message has which UID, and returns the messages.
func (c *imapClient) fetch(set imap.NumSet) (view, error) {
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

// subscribe changes whether the client's folder is subscribed to.
func (c *imapClient) subscribe(rnd *rand.Rand) error {
	on := rnd.IntN(2) == 0
	change := c.c.Unsubscribe
	if on {
		change = c.c.Subscribe
	}
	err := change(c.name).Wait()
	if err == nil {
		c.r.ledger.subscribed(c.name, on)
	}
	return err
}

// all is everything that a server shows to a new session.
func (r *run) all(s side) (account, error) {
	c, err := r.dial(s, 0)
	if err != nil {
		return account{}, err
	}
	defer c.close()
	a := account{subscribed: map[string]bool{}}
	names, err := c.c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	if err != nil {
		return account{}, err
	}
	for _, n := range names {
		a.subscribed[n.Mailbox] = true
	}
	if c.c.Mailbox().NumMessages > 0 {
		var set imap.SeqSet
		set.AddRange(1, 0)
		if a.messages, err = c.fetch(set); err != nil {
			return account{}, err
		}
	}
	status, err := c.c.Status("INBOX", &imap.StatusOptions{UIDValidity: true, UIDNext: true, HighestModSeq: r.o.Turns > 0}).Wait()
	if err != nil {
		return account{}, err
	}
	a.validity, a.next, a.modSeq = status.UIDValidity, uint32(status.UIDNext), status.HighestModSeq
	err = r.byPOP3(s, &a)
	return a, err
}

// byPOP3 adds the unique ids.
func (r *run) byPOP3(s side, a *account) (err error) {
	address := r.o.POP3
	if s == ours {
		address = r.o.OurPOP3
	}
	if address != "" {
		a.uidls, err = uidls(address, r.o.User, r.o.Password)
	}
	return err
}

// makeFolders makes what is subscribed to.
func (r *run) makeFolders(n int) error {
	c, err := r.dial(theirs, 0)
	if err != nil {
		return err
	}
	defer c.close()
	for i := range n {
		if err := c.c.Create(folderName(i), nil).Wait(); err != nil {
			return fmt.Errorf("making a folder at Dovecot: %w", err)
		}
	}
	return nil
}

func folderName(n int) string { return fmt.Sprintf("Folder%d", n) }
