package deliverd

import (
	"context"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// home fills in where a target's mail is and how much there may be of it.
// Every error is one of the user's record.
func (a *agent) home(t *target, rec userdbclient.UserRecord) error {
	root, err := rec.Maildir()
	if err != nil {
		return err
	}
	cfg := a.cfg.Load()
	rules, err := cfg.Quota.For(rec.Fields.Lookup)
	if err != nil {
		return fail.Wrap(fail.Unavailable, err, "user %s", rec.User)
	}
	layout, err := cfg.Mail.LayoutFor(rec.Layout())
	if err != nil {
		return fail.Wrap(fail.Unavailable, err, "user %s", rec.User)
	}
	if err := maildir.CheckNode(a.fs, root, cfg.Mail.Pinned); err != nil {
		return err
	}
	grace, err := quota.ParseGrace(cfg.Quota.Grace)
	if err != nil {
		return err // the configuration was checked when it was read
	}
	warnings, err := quota.ParseWarnings(cfg.Quota.Warnings)
	if err != nil {
		return err // the same
	}
	t.tree = maildir.NewTree(a.fs, root, maildir.Options{Layout: layout, Namer: a.namer, Now: a.now})
	t.meter = quota.New(quota.Options{
		FS: a.fs, Tree: t.tree, Rules: rules, MaxMail: int64(cfg.Quota.MaxMailSize), Grace: grace, Now: a.now,
		Warnings: warnings, Warner: a.warner, User: rec.User,
	})
	return nil
}

// room reports whether a message of so many bytes may be put into a folder.
func room(ctx context.Context, m *quota.Meter, folder string, size int64) error {
	if err := m.Fits(size); err != nil {
		return err
	}
	return m.Room(ctx, folder, size, 1)
}

// used counts a message that was stored. What is not counted now will be when
// all is counted anew: the message stays.
func (a *agent) used(m *quota.Meter, folder string, size int64) {
	if err := m.Changed(folder, size, 1); err != nil {
		a.note("quota could not be kept", err)
	}
}

// fullReply is what a full mailbox answers (Dovecot's texts).
func (a *agent) fullReply(t *target) server.Reply {
	text := t.rcpt.Path() + " Quota exceeded (mailbox for user is full)"
	if a.cfg.Load().Quota.FullTempfail {
		return server.MakeReply(452, 4, 2, 2, text)
	}
	return server.MakeReply(552, 5, 2, 2, text)
}
