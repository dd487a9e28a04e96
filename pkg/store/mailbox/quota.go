package mailbox

import (
	"context"

	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/quota"
)

// Meter says how much mail the account may hold, and does.
func (a *Account) Meter() *quota.Meter { return a.meter }

// sizeOf is what newborns take, all together.
func sizeOf(list []newborn) (sum int64) {
	for _, n := range list {
		sum += n.file.Size()
	}
	return sum
}

// room reports whether newborns may be put into the folder.
func (b *box) room(ctx context.Context, list []newborn) error {
	return b.acct.meter.Room(ctx, b.folderName(), sizeOf(list), int64(len(list)), quota.Grace{})
}

// roomFor is room for what comes from another folder. What is moved is counted
// already, unless nothing counts where it was.
func (b *box) roomFor(ctx context.Context, list []newborn, from *box, move bool) error {
	if m := b.acct.meter; move && m.Counts(from.folderName()) {
		return nil
	}
	return b.room(ctx, list)
}

// count tells the meter what was put into the folder or, with negative
// numbers, taken out of it. It cannot fail: the mail is as it is, and what is
// missing now will be when everything is counted anew.
func (b *box) count(bytes, messages int64) {
	if err := b.acct.meter.Changed(b.folderName(), bytes, messages); err != nil {
		b.acct.store.log.Warn("quota could not be kept", obs.Err(err))
	}
}

// recount has everything counted anew when it is needed: after changes of
// which nobody knows the size.
func (a *Account) recount() {
	if err := a.meter.Forget(); err != nil {
		a.store.log.Warn("quota could not be kept", obs.Err(err))
	}
}

// loss is what expunged messages took.
type loss struct {
	bytes, messages int64
	unknown         bool // the size of one of them
}

func (l *loss) add(r *index.Record) {
	l.messages++
	l.bytes += max(r.Size, 0)
	l.unknown = l.unknown || r.Size < 0
}

// lost tells the meter of expunged messages, whose files are still there: they
// are in graves.
func (b *box) lost(l loss, graves map[uint32]grave) {
	for _, g := range graves {
		if g.size > 0 {
			b.acct.meter.Leaving(g.size, 1)
		}
	}
	if l.unknown {
		b.acct.recount()
		return
	}
	b.count(-l.bytes, -l.messages)
}

// unbury forgets a grave: its file is removed.
func (b *box) unbury(uid uint32) {
	if g := b.graves[uid]; g.size > 0 {
		b.acct.meter.Leaving(-g.size, -1)
	}
	delete(b.graves, uid)
}
