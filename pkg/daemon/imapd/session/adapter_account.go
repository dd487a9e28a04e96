package session

import (
	"context"
	"io"
	"sync"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/daemon/imapd/namespace"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// imapAccount shows a mailbox.Account to the IMAP engine.
type imapAccount struct {
	*mailbox.Account
	names namespace.Prefix
	scans *sync.Pool // see role
}

var _ server.Account = imapAccount{}

func (a imapAccount) Folders(ctx context.Context) ([]server.Folder, error) {
	list, err := a.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]server.Folder, len(list))
	for i, f := range list {
		out[i] = server.Folder{
			Name: a.names.Outside(f.Name), NonExistent: f.NonExistent, NoSelect: !f.Exists && !f.NonExistent, Subscribed: f.Subscribed,
		}
		for _, use := range f.SpecialUses {
			out[i].SpecialUse = append(out[i].SpecialUse, imap.MailboxAttr(use))
		}
	}
	return out, nil
}

func (a imapAccount) Status(ctx context.Context, name string, size bool) (server.Status, error) {
	name, err := a.names.Inside(name)
	if err != nil {
		return server.Status{}, err
	}
	st, err := a.Account.Status(ctx, name, size)
	return server.Status{
		Messages: uint32(st.Messages), Recent: uint32(st.Recent), Unseen: uint32(st.Unseen), Deleted: uint32(st.Deleted),
		UIDNext: st.UIDNext, UIDValidity: st.UIDValidity, HighestModSeq: st.HighestModSeq, Size: st.Size,
		MailboxID: mailboxID(st.GUID),
	}, err
}

// mailboxID is a folder's GUID as an object id: RFC 8474 section 4 wants a
// letter before it, so that ids of different kinds are never the same.
func mailboxID(guid string) string { return "F" + guid }

// Create makes a folder with special uses.
func (a imapAccount) Create(ctx context.Context, name string, uses []imap.MailboxAttr) error {
	name, err := a.fresh(name)
	if err != nil {
		return err
	}
	names := make([]string, len(uses))
	for i, use := range uses {
		names[i] = string(use)
	}
	return a.CreateFor(ctx, name, names)
}

// fresh is the folder of a name that a client wants to give: one that cannot be
// is Invalid, not missing.
func (a imapAccount) fresh(name string) (string, error) {
	folder, err := a.names.Inside(name)
	if err != nil {
		return "", fail.Wrap(fail.Invalid, err, "a new folder")
	}
	return folder, nil
}

// Delete removes a folder.
func (a imapAccount) Delete(ctx context.Context, name string) error {
	name, err := a.names.Inside(name)
	if err != nil {
		return err
	}
	return a.Account.Delete(ctx, name)
}

// Rename renames a folder with those below it.
func (a imapAccount) Rename(ctx context.Context, old, name string) error {
	old, err := a.names.Inside(old)
	if err != nil {
		return err
	}
	if name, err = a.fresh(name); err != nil {
		return err
	}
	return a.Account.Rename(ctx, old, name)
}

// Subscribe changes the list of subscriptions.
func (a imapAccount) Subscribe(ctx context.Context, name string, on bool) error {
	name, err := a.names.Inside(name)
	if err != nil {
		return err
	}
	return a.Account.Subscribe(ctx, name, on)
}

// DeletedSize implements server.QuotaKeeper.
func (a imapAccount) DeletedSize(ctx context.Context, name string) (int64, error) {
	name, err := a.names.Inside(name)
	if err != nil {
		return 0, err
	}
	return a.Account.DeletedSize(ctx, name)
}

func (a imapAccount) Open(ctx context.Context, name string) (server.Mailbox, error) {
	name, err := a.names.Inside(name)
	if err != nil {
		return nil, err
	}
	m, err := a.Account.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &imapMailbox{m: m, names: a.names, scans: a.scans}, nil
}

// Append reads the messages to their ends and makes them durable.
func (a imapAccount) Append(ctx context.Context, name string, m server.Messages) (server.Appended, error) {
	name, err := a.names.Inside(name)
	if err != nil {
		return server.Appended{}, err
	}
	p, err := a.Account.Append(ctx, name)
	if err != nil {
		return server.Appended{}, err
	}
	defer p.Abort()
	return fill(ctx, p, m)
}

// fill puts messages into an append and ends it.
func fill(ctx context.Context, p *mailbox.Append, m server.Messages) (server.Appended, error) {
	for {
		msg, err := m()
		if err != nil {
			return server.Appended{}, err
		}
		if msg == nil {
			break
		}
		flags, keywords := split(msg.Flags)
		counted := &counter{r: msg.Body}
		in := mailbox.Incoming{Flags: flags, Keywords: keywords, Date: msg.Date, Size: msg.Size}
		if err := p.Add(ctx, in, counted); err != nil {
			return server.Appended{}, err
		}
		if counted.n != msg.Size {
			return server.Appended{}, fail.New(fail.Temporary, "message ends after %d of %d bytes", counted.n, msg.Size)
		}
	}
	validity, uids, err := p.Commit(ctx)
	return server.Appended{UIDValidity: validity, UIDs: uids}, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// quotaRoot is the name that clients know from Dovecot.
const quotaRoot = "User quota"

// QuotaRoots implements server.QuotaKeeper: there is one root for all mail.
func (a imapAccount) QuotaRoots(ctx context.Context, mailbox string) ([]server.QuotaRoot, error) {
	m := a.Meter()
	if folder, err := a.names.Inside(mailbox); err != nil || !m.Counts(folder) {
		return nil, nil // a name that nothing can have has no root
	}
	limits := m.Limits()
	used, err := m.Usage(ctx)
	if err != nil {
		return nil, err
	}
	root := server.QuotaRoot{Name: quotaRoot}
	if limits.Bytes > 0 {
		root.Resources = append(root.Resources, server.QuotaResource{
			Type: imap.QuotaResourceStorage, Usage: kib(used.Bytes), Limit: kib(limits.Bytes),
		})
	}
	if limits.Messages > 0 {
		root.Resources = append(root.Resources, server.QuotaResource{
			Type: imap.QuotaResourceMessage, Usage: used.Messages, Limit: limits.Messages,
		})
	}
	return []server.QuotaRoot{root}, nil
}

// kib rounds up, as Dovecot does.
func kib(n int64) int64 { return (n + 1023) / 1024 }
