package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// errKicked ends the session of a user who was sent away.
var errKicked = errors.New("Disconnected by the administrator.")

func (r *role) verbs() []control.Verb {
	return []control.Verb{
		{Name: "WHO", Who: control.Status, Handler: r.verbWho},
		{Name: "KICK", Who: control.Admin, Handler: r.verbKick},
		{Name: "RELEASE", Who: control.Admin, Handler: r.verbRelease},
		{Name: "FREEZE", Who: control.Admin, Handler: r.verbFreeze},
		{Name: "FLUSH", Who: control.Admin, Handler: r.verbFlush},
		{Name: "MAILBOX", Who: control.Admin, Handler: r.verbMailbox},
		{Name: "QUOTA", Who: control.Admin, Handler: r.verbQuota},
	}
}

// verbRelease flushes a user's mail and gives it up, so that another server
// may take over.
func (r *role) verbRelease(ctx context.Context, args []string, emit control.Emit) error {
	user, err := oneUser(args)
	if err != nil {
		return err
	}
	if user, err = r.nameOf(ctx, user); err != nil {
		return err
	}
	n := r.kick(exactly(user))
	if !slices.Contains(r.store.Accounts(), user) {
		// Who is not here has MODSEQs, too, that the other server must know of.
		account, err := r.accountOf(ctx, user)
		if err != nil {
			return err
		}
		defer account.Close()
	}
	if err := r.store.Release(ctx, user); err != nil {
		return err
	}
	return emit(map[string]any{"released": user, "kicked": n})
}

// nameOf is the name under which mail is open, or will be, of a user whom an
// operator names: nothing may be said to be done for a user who does not exist,
// or for another spelling. Who is here needs no authd.
func (r *role) nameOf(ctx context.Context, user string) (string, error) {
	if slices.Contains(r.store.Accounts(), user) {
		return user, nil
	}
	rec, err := r.auth.User(ctx, user, "imap")
	return rec.User, err
}

// accountOf opens a user's mail for an operator, who makes no folders by it.
func (r *role) accountOf(ctx context.Context, user string) (*mailbox.Account, error) {
	rec, err := r.auth.User(ctx, user, "imap")
	if err != nil {
		return nil, err
	}
	cfg, err := r.cfg.account(rec, r.folders)
	if err != nil {
		return nil, err
	}
	for i := range cfg.Folders {
		cfg.Folders[i].Auto = mailbox.AutoNo
	}
	return r.store.Account(ctx, cfg)
}

// verbFreeze holds a user's mail still for as long as the caller stays
// connected: for a backup.
func (r *role) verbFreeze(ctx context.Context, args []string, emit control.Emit) error {
	user, err := oneUser(args)
	if err != nil {
		return err
	}
	if user, err = r.nameOf(ctx, user); err != nil {
		return err
	}
	thaw, err := r.store.Freeze(ctx, user)
	if err != nil {
		return err
	}
	defer thaw()
	if err := emit(map[string]string{"frozen": user}); err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C: // a caller that has gone is noticed by the write
			if err := emit(map[string]string{"frozen": user}); err != nil {
				return nil
			}
		}
	}
}

// verbFlush writes what is pending of the named users' mail, or of everybody
// who has mail open, into the mail folders.
func (r *role) verbFlush(ctx context.Context, users []string, emit control.Emit) error {
	all := len(users) == 0
	if all {
		users = r.store.Accounts()
	}
	for _, user := range users {
		user, err := r.nameOf(ctx, user)
		if err != nil {
			return err
		}
		thaw, err := r.store.Freeze(ctx, user)
		if all && fail.Is(err, fail.Exists) {
			continue // frozen: nothing is pending
		}
		if err != nil {
			return err
		}
		thaw()
		if err := emit(map[string]string{"flushed": user}); err != nil {
			return err
		}
	}
	return nil
}

// exactly picks one user, whatever the name has in it.
func exactly(user string) filter {
	return filter{user: strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(user)}
}

func oneUser(args []string) (string, error) {
	if len(args) != 1 || args[0] == "" {
		return "", fail.New(fail.Invalid, "give one user name")
	}
	return args[0], nil
}
