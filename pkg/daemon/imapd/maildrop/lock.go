package maildrop

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// ErrInUse says that another POP3 session holds the mailbox.
var ErrInUse = errors.New("another POP3 session holds the mailbox")

// How long a second session waits, and Dovecot's bounds on its lock file.
const (
	lockWait  = 10 * time.Second
	lockStale = 5 * time.Minute
)

// Locks are the mailboxes that POP3 sessions of this process hold.
type Locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // by user; closed when given back
}

// take waits until user's mailbox is free.
func (l *Locks) take(ctx context.Context, user string) (give func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		l.mu.Lock()
		if l.held == nil {
			l.held = map[string]chan struct{}{}
		}
		holder := l.held[user]
		if holder == nil {
			mine := make(chan struct{})
			l.held[user] = mine
			l.mu.Unlock()
			return sync.OnceFunc(func() {
				l.mu.Lock()
				delete(l.held, user)
				l.mu.Unlock()
				close(mine)
			}), nil
		}
		l.mu.Unlock()
		select {
		case <-holder:
		case <-ctx.Done():
			return nil, ErrInUse
		}
	}
}

// Take takes user's mailbox for one session. maildir is set where Dovecot may
// serve the same mail at the same time: its lock file is taken as well.
func (l *Locks) Take(ctx context.Context, fsys disk.FS, user, maildir string) (give func(), err error) {
	mine, err := l.take(ctx, user)
	if err != nil || maildir == "" {
		return mine, err
	}
	dot, err := disk.AcquireDotLock(ctx, fsys, filepath.Join(maildir, "dovecot-pop3-session"), disk.DotLockOptions{
		Timeout: lockWait, Stale: lockStale, TempDir: filepath.Join(maildir, "tmp"),
	})
	if err != nil {
		mine()
		if errors.Is(err, disk.ErrLocked) {
			err = ErrInUse
		}
		return nil, err
	}
	stop := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() { keepAlive(dot, stop) })
	return sync.OnceFunc(func() {
		close(stop)
		beat.Wait()
		_ = dot.Release() // taken away from us: nothing to give back
		mine()
	}), nil
}

// keepAlive says that the holder of a lock file lives.
func keepAlive(dot *disk.DotLock, stop <-chan struct{}) {
	tick := time.NewTicker(lockStale / 5)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if dot.Touch() != nil {
				return // lost, which costs a second session at worst
			}
		}
	}
}
