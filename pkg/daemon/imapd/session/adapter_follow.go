package session

import (
	"context"

	"github.com/postcote/postcote/pkg/proto/imap/server"
	"github.com/postcote/postcote/pkg/store/mailbox/feed"
)

var _ server.Follower = imapAccount{}

// Follow implements server.Follower for the session whose name for itself is
// the By of what is done with ctx.
func (a imapAccount) Follow(ctx context.Context, wants func(string) bool, tell func(server.Event)) (stop func()) {
	me := feed.By(ctx)
	tells := func(e feed.Event) {
		old := e.Old
		if old != "" {
			old = a.names.Outside(old)
		}
		tell(server.Event{What: changes(e.What), Mailbox: a.names.Outside(e.Folder), Old: old, Own: me != nil && e.By == me})
	}
	return a.Account.Follow(ctx, feed.Follower{Wants: func(folder string) bool { return wants(a.names.Outside(folder)) }, Tell: tells})
}

// changes is the engine's form of the store's events.
func changes(w feed.What) (c server.Changes) {
	for _, p := range []struct {
		store feed.What
		imap  server.Changes
	}{
		{feed.Arrived, server.MessagesNew},
		{feed.Left, server.MessagesGone},
		{feed.Marked, server.FlagsChanged},
		{feed.Created, server.MailboxCreated},
		{feed.Deleted, server.MailboxDeleted},
		{feed.Renamed, server.MailboxRenamed},
		{feed.Subscribed | feed.Unsubscribed, server.SubscriptionChanged},
	} {
		if w&p.store != 0 {
			c |= p.imap
		}
	}
	return c
}
