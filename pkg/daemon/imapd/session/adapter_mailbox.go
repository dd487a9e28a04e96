package session

import (
	"context"
	"iter"
	"strings"
	"sync"
	"sync/atomic"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/daemon/imapd/namespace"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// imapMailbox shows a mailbox.Mailbox to the IMAP engine.
type imapMailbox struct {
	m    *mailbox.Mailbox
	last atomic.Pointer[mailbox.Snapshot] // the newest that the engine has taken

	names namespace.Prefix
	scans *sync.Pool // see role
}

var (
	_ server.Mailbox = (*imapMailbox)(nil)
	_ server.Sorter  = (*imapMailbox)(nil)

	_ server.Selector = (*imapMailbox)(nil)
	_ server.Reader   = (*imapMailbox)(nil)
)

func (b *imapMailbox) Snapshot() server.Snapshot {
	s := b.m.Snapshot()
	b.last.Store(s)
	return imapSnapshot{s}
}

func (b *imapMailbox) Sync(ctx context.Context) error { return b.m.Sync(ctx) }

func (b *imapMailbox) Err() error { return b.m.Err() }

func (b *imapMailbox) Watch(wake func()) (stop func()) {
	b.m.OnChange(wake)
	unwatch := b.m.Watch()
	return func() {
		unwatch()
		b.m.OnChange(nil)
	}
}

func (b *imapMailbox) ClaimRecent(ctx context.Context) (uint32, error) { return b.m.ClaimRecent(ctx) }

func (b *imapMailbox) Open(uid uint32) server.Content {
	return &imapContent{m: b.m, snap: b.last.Load(), uid: uid, scans: b.scans}
}

func (b *imapMailbox) Store(ctx context.Context, uids imap.UIDSet, change server.Change) (imap.UIDSet, error) {
	c := mailbox.Change{UnchangedSince: mailbox.NoCondition}
	c.Flags, c.Keywords = split(change.Flags)
	if change.If != nil {
		c.UnchangedSince = change.If.Since
		if told, ok := change.If.Told.(imapSnapshot); ok {
			c.Told = told.s
		}
	}
	switch change.Op {
	case imap.StoreFlagsAdd:
		c.Op = mailbox.Add
	case imap.StoreFlagsDel:
		c.Op = mailbox.Remove
	default:
		c.Op = mailbox.Replace
	}
	done, err := b.m.Store(ctx, set(uids), c)
	return uidSet(done.Modified), err
}

func (b *imapMailbox) Copy(ctx context.Context, uids imap.UIDSet, dest string, move bool) (server.Copied, error) {
	dest, err := b.names.Inside(dest)
	if err != nil {
		return server.Copied{}, err
	}
	run := b.m.Copy
	if move {
		run = b.m.Move
	}
	got, err := run(ctx, set(uids), dest)
	if err != nil {
		return server.Copied{}, err
	}
	return server.Copied{UIDValidity: got.UIDValidity, Source: got.Source, Dest: got.Dest}, nil
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

func (b *imapMailbox) Replace(ctx context.Context, uid uint32, dest string, m server.Messages) (server.Appended, error) {
	dest, err := b.names.Inside(dest)
	if err != nil {
		return server.Appended{}, err
	}
	p, err := b.m.Replace(ctx, uid, dest)
	if err != nil {
		return server.Appended{}, err
	}
	defer p.Abort()
	return fill(ctx, p, m)
}

func (b *imapMailbox) ID() string { return mailboxID(b.m.GUID()) }

// EachKeys skips messages that cannot be read: they have no place in an order.
func (b *imapMailbox) EachKeys(ctx context.Context, uids imap.UIDSet, fn func(uid uint32, k *server.Keys) bool) error {
	return b.m.EachKeys(ctx, set(uids), fn)
}

func (b *imapMailbox) Close() error { return b.m.Close() }

// imapSnapshot shows a mailbox.Snapshot to the IMAP engine.
type imapSnapshot struct{ s *mailbox.Snapshot }

func (v imapSnapshot) Info() server.Info {
	return server.Info{
		UIDValidity: v.s.UIDValidity(), UIDNext: v.s.UIDNext(), LastUID: v.s.LastUID(), HighestModSeq: v.s.HighestModSeq(),
		Recent: v.s.Recent(), Keywords: v.s.Keywords(), NewKeywords: true,
	}
}

func (v imapSnapshot) Len() int { return v.s.Len() }

func (v imapSnapshot) At(i int) server.Row {
	m := v.s.At(i)
	return server.Row{
		UID: m.UID, System: system(m.Flags), Keywords: v.s.KeywordNames(m), Size: m.VSize, Date: m.Date, ModSeq: m.ModSeq,
	}
}

func (v imapSnapshot) Find(uid uint32) int {
	i, _ := v.s.Find(uid)
	return i
}

func (v imapSnapshot) ChangedSince(modseq uint64, lo, hi int) iter.Seq[int] {
	return v.s.ChangedSince(modseq, lo, hi)
}

func (v imapSnapshot) Vanished(modseq uint64, uids imap.UIDSet) imap.UIDSet {
	gone, _ := v.s.Vanished(modseq, set(uids))
	return uidSet(gone)
}

func (v imapSnapshot) FirstUnseen() int { return v.s.FirstWithout(mailbox.Seen) }

func (v imapSnapshot) Changes(old server.Snapshot) server.Delta {
	o, ok := old.(imapSnapshot)
	if !ok || o.s == v.s {
		return server.Delta{}
	}
	d := mailbox.Diff(o.s, v.s)
	out := server.Delta{Changed: d.Changed}
	for _, g := range d.Expunged {
		out.Gone = append(out.Gone, g.Index)
	}
	return out
}

// names pairs the store's flags with IMAP's.
func names() []struct {
	store mailbox.Flags
	imap  imap.Flag
	row   server.System
} {
	return []struct {
		store mailbox.Flags
		imap  imap.Flag
		row   server.System
	}{
		{mailbox.Answered, imap.FlagAnswered, server.Answered},
		{mailbox.Flagged, imap.FlagFlagged, server.Flagged},
		{mailbox.Deleted, imap.FlagDeleted, server.Deleted},
		{mailbox.Seen, imap.FlagSeen, server.Seen},
		{mailbox.Draft, imap.FlagDraft, server.Draft},
	}
}

// split sorts IMAP flags into the store's flags and keywords. \Recent is not
// a client's to set.
func split(flags []imap.Flag) (system mailbox.Flags, keywords []string) {
next:
	for _, f := range flags {
		for _, n := range names() {
			if strings.EqualFold(string(f), string(n.imap)) {
				system |= n.store
				continue next
			}
		}
		if !strings.HasPrefix(string(f), `\`) {
			keywords = append(keywords, string(f))
		}
	}
	return system, keywords
}

// system is the engine's form of the store's flags. It is called for each
// message of a FETCH, hence the plain tests.
func system(f mailbox.Flags) server.System {
	var s server.System
	if f&mailbox.Answered != 0 {
		s |= server.Answered
	}
	if f&mailbox.Flagged != 0 {
		s |= server.Flagged
	}
	if f&mailbox.Deleted != 0 {
		s |= server.Deleted
	}
	if f&mailbox.Seen != 0 {
		s |= server.Seen
	}
	if f&mailbox.Draft != 0 {
		s |= server.Draft
	}
	return s
}

// set converts a resolved set: "*" was replaced by the engine.
func set(uids imap.UIDSet) mailbox.Set {
	s := make(mailbox.Set, 0, len(uids))
	for _, r := range uids {
		first, last := uint32(r.Start), uint32(r.Stop)
		if last != 0 && first > last {
			first, last = last, first
		}
		if last == 0 {
			last = ^uint32(0)
		}
		if first == 0 {
			first = last
		}
		s = append(s, mailbox.Range{First: first, Last: last})
	}
	return s.Normalize()
}

// uidSet is the opposite of set.
func uidSet(s mailbox.Set) imap.UIDSet {
	out := make(imap.UIDSet, len(s))
	for i, r := range s {
		out[i] = imap.UIDRange{Start: imap.UID(r.First), Stop: imap.UID(r.Last)}
	}
	return out
}
