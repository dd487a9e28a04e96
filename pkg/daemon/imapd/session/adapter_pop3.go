package session

import (
	"context"
	"io"

	"github.com/postcote/postcote/pkg/platform/message"
	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// maildrop shows an INBOX to the POP3 engine as it was at login.
type maildrop struct {
	m *mailbox.Mailbox
	s *mailbox.Snapshot
}

var _ pop3.Maildrop = (*maildrop)(nil)

func newMaildrop(ctx context.Context, m *mailbox.Mailbox) (*maildrop, error) {
	if err := m.Sync(ctx); err != nil {
		return nil, err
	}
	return &maildrop{m: m, s: m.Snapshot()}, nil
}

func (d *maildrop) Len() int { return d.s.Len() }

func (d *maildrop) Size(ctx context.Context, i int) (int64, error) {
	if m := d.s.At(i); m.VSize >= 0 {
		return m.VSize, nil
	}
	m, err := d.m.Resolve(ctx, d.s, i)
	return m.VSize, err
}

func (d *maildrop) UIDL(i int) string { return pop3.UIDL(d.s.UID(i), d.s.UIDValidity()) }

func (d *maildrop) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	size, err := d.Size(ctx, i)
	if err != nil {
		return nil, err
	}
	f, err := d.m.OpenMessage(ctx, d.s.UID(i))
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{message.WholeBody(f, f.Size(), size), f}, nil
}

func (d *maildrop) Seen(ctx context.Context, i int) error {
	if d.s.At(i).Flags&mailbox.Seen != 0 {
		return nil
	}
	c := mailbox.Change{Op: mailbox.Add, Flags: mailbox.Seen, UnchangedSince: mailbox.NoCondition}
	_, err := d.m.Store(ctx, mailbox.SetOf(d.s.UID(i)), c)
	return err
}

func (d *maildrop) Delete(ctx context.Context, list []int) error {
	uids := make([]uint32, len(list))
	for n, i := range list {
		uids[n] = d.s.UID(i)
	}
	_, err := d.m.Remove(ctx, mailbox.SetOf(uids...))
	return err
}
