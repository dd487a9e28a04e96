package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

// reader is a user at work: looks through the newest messages, reads, marks,
// searches, stores a draft, and logs in anew from time to time. Each step is one
// command.
type reader struct {
	t       *peer.Server
	user    string
	r       *rand.Rand
	c       *load.IMAP
	letters [][]byte
	begin   []string // commands that a new session still has to do
}

// step does the next thing.
func (u *reader) step() error {
	if u.c == nil {
		c, err := login(u.t, u.user, load.Options{Buffer: 8 << 10})
		u.c, u.begin = c, []string{"SELECT INBOX", "FETCH 1:* (UID FLAGS)"}
		return err
	}
	if len(u.begin) > 0 {
		next := u.begin[0]
		u.begin = u.begin[1:]
		return u.c.Command("%s", next)
	}
	one := 1 + u.r.IntN(max(u.c.Exists, 1))
	switch p := u.r.IntN(100); {
	case p < 20:
		return u.c.Command("FETCH %d:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", max(u.c.Exists-49, 1))
	case p < 55:
		return u.c.Command("FETCH %d (UID BODY.PEEK[])", one)
	case p < 70:
		return u.c.Command("STORE %d +FLAGS (\\Seen)", one)
	case p < 75:
		return u.c.Command("SEARCH UNSEEN FROM petra")
	case p < 80:
		return u.c.Append("INBOX", u.letters[u.r.IntN(len(u.letters))])
	case p < 85:
		return u.c.Command("STATUS Sent (MESSAGES UNSEEN UIDNEXT)")
	case p < 97:
		return u.c.Command("NOOP")
	}
	err := u.c.Logout()
	u.c = nil
	return err
}

// mixedWork has so many readers at work for n seconds.
func mixedWork(clients int) runner {
	return func(ctx context.Context, t *peer.Server, n, seq int) (Result, error) {
		readers := make([]*reader, clients)
		texts := letters(100, 0)
		for i := range readers {
			readers[i] = &reader{t: t, user: fmt.Sprint("u", i%smallUsers), r: rand.New(rand.NewPCG(uint64(i), uint64(seq))), letters: texts}
		}
		return measure(t, func() (int, []time.Duration, error) {
			took, err := load.CrowdFor(ctx, clients, time.Duration(n)*time.Second, func(worker, _ int) error { return readers[worker].step() })
			var wg sync.WaitGroup
			for _, r := range readers {
				if r.c != nil {
					wg.Add(1)
					go func() { defer wg.Done(); _ = r.c.Logout() }()
				}
			}
			wg.Wait()
			return len(took), took, err
		})
	}
}
