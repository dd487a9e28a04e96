package session

import (
	"context"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// imapMailbox shows a mailbox.Mailbox to the IMAP engine.
type imapMailbox struct{ m *mailbox.Mailbox }

var _ server.Mailbox = (*imapMailbox)(nil)

func (b *imapMailbox) Snapshot() server.Snapshot { return imapSnapshot{b.m.Snapshot()} }

func (b *imapMailbox) Sync(ctx context.Context) (server.Snapshot, error) {
	if err := b.m.Sync(ctx); err != nil {
		return nil, err
	}
	return b.Snapshot(), nil
}

// Watch runs one goroutine that lives until stop.
func (b *imapMailbox) Watch(wake func()) (stop func()) {
	unwatch := b.m.Watch()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-b.m.Changes():
				wake()
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		unwatch()
	}
}

// Recent claims the \Recent messages for this session; with next 0 it only
// tells which they are.
func (b *imapMailbox) Recent(next imap.UID) imap.UID {
	s := b.m.Snapshot()
	if next != 0 {
		first, err := b.m.ClaimRecent(context.Background())
		if err != nil {
			return imap.UID(s.UIDNext()) // \Recent is a courtesy: without it nothing is lost
		}
		return imap.UID(first)
	}
	if n := s.Recent(); n > 0 && n <= s.Len() {
		return imap.UID(s.UID(s.Len() - n))
	}
	return imap.UID(s.UIDNext())
}

func (b *imapMailbox) Open(_ context.Context, uid imap.UID) (server.Content, error) {
	return &imapContent{m: b.m, uid: uint32(uid)}, nil
}

func (b *imapMailbox) Store(ctx context.Context, uids imap.UIDSet, op imap.StoreFlagsOp, flags []imap.Flag) error {
	c := mailbox.Change{UnchangedSince: mailbox.NoCondition}
	c.Flags, c.Keywords = split(flags)
	switch op {
	case imap.StoreFlagsAdd:
		c.Op = mailbox.Add
	case imap.StoreFlagsDel:
		c.Op = mailbox.Remove
	default:
		c.Op = mailbox.Replace
	}
	_, err := b.m.Store(ctx, set(uids), c)
	return err
}

func (b *imapMailbox) Copy(ctx context.Context, uids imap.UIDSet, dest string, move bool) (server.Copied, error) {
	run := b.m.Copy
	if move {
		run = b.m.Move
	}
	got, err := run(ctx, set(uids), dest)
	if err != nil {
		return server.Copied{}, err
	}
	return server.Copied{UIDValidity: got.UIDValidity, SourceUIDs: uidSet(got.Source), DestUIDs: uidSet(got.Dest)}, nil
}

func (b *imapMailbox) Expunge(ctx context.Context, uids imap.UIDSet) error {
	var s mailbox.Set
	if uids != nil {
		if s = set(uids); len(s) == 0 {
			return nil // an empty set is not "all"
		}
	}
	_, err := b.m.Expunge(ctx, s)
	return err
}

func (b *imapMailbox) Close() error { return b.m.Close() }

// imapSnapshot shows a mailbox.Snapshot to the IMAP engine.
type imapSnapshot struct{ s *mailbox.Snapshot }

func (v imapSnapshot) Info() server.Info {
	return server.Info{
		UIDValidity: v.s.UIDValidity(), UIDNext: imap.UID(v.s.UIDNext()), HighestModSeq: v.s.HighestModSeq(),
		Keywords: v.s.Keywords(), NewKeywords: true,
	}
}

func (v imapSnapshot) Len() int { return v.s.Len() }

func (v imapSnapshot) At(i int) server.Row {
	m := v.s.At(i)
	r := server.Row{UID: imap.UID(m.UID), System: system(m.Flags), Keywords: v.s.KeywordNames(m), Size: m.VSize, ModSeq: m.ModSeq}
	if !m.Date.IsZero() {
		r.Date = m.Date.Unix()
	}
	return r
}

func (v imapSnapshot) Find(uid imap.UID) int {
	i, _ := v.s.Find(uint32(uid))
	return i
}

func (v imapSnapshot) Changes(old server.Snapshot, gone, changed func(i int)) {
	o, ok := old.(imapSnapshot)
	if !ok || o.s == v.s {
		return
	}
	d := mailbox.Diff(o.s, v.s)
	for _, g := range d.Expunged {
		gone(g.Index)
	}
	for _, i := range d.Changed {
		changed(i)
	}
}
