package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

// growthWorld is what the rows of the growth suite have made so far.
type growthWorld struct {
	*world
	hole   *load.Sink
	queued int
	idle   []*load.IMAP
}

// growthSuite shows what it costs ours to do a thing when there is little and
// when there is a lot of what it is done among.
func growthSuite() Suite {
	const index, files = 1.2, 2 // operations on indexes and queues, on the file system
	g := &growthWorld{}
	return Suite{Name: "growth", Start: g.start, Rows: []Growth{
		{Name: "accept, messages in the queue", Sizes: [3]int{1000, 10000, 100000}, Most: index, N: 2000, Grow: g.queue, Run: g.accept},
		{Name: "accept, recipients of the message", Sizes: [3]int{1, 10, 100}, Most: index, N: 100, Grow: nothing, Run: g.recipients},
		{Name: "NOOP, connections", Sizes: [3]int{100, 1000, 10000}, Most: index, N: 10000, Grow: g.connections, Run: g.noop},
		{Name: "FETCH of one, messages in the mailbox", Sizes: [3]int{1000, 10000, 100000}, Most: index, N: 5000, Grow: g.mailbox, Run: command("FETCH %d (FLAGS ENVELOPE)")},
		{Name: "STORE of one, messages in the mailbox", Sizes: [3]int{1000, 10000, 100000}, Most: files, N: 2000, Grow: g.mailbox, Run: command("STORE %d %cFLAGS (\\Answered)")},
		{Name: "APPEND, messages in the mailbox", Sizes: [3]int{1000, 10000, 100000}, Most: files, N: 500, Grow: g.mailbox, Run: g.append},
		{Name: "login, users", Sizes: [3]int{1000, 10000, 100000}, Most: index, N: 1000, Grow: g.population, Run: g.login},
	}}
}

func (g *growthWorld) start(_ context.Context, dir string, o Options) ([]*peer.Server, error) {
	if _, err := peer.RaiseFiles(100000); err != nil {
		return nil, fmt.Errorf("open files: %w", err)
	}
	var err error
	if g.hole, err = load.NewSink(true); err != nil {
		return nil, err
	}
	g.world = &world{
		dir: dir, options: o, users: append(numbered("u", 1000), numbered("m", 10)...), alone: true, hole: g.hole.Address(),
		processes: []string{"authd", "imapd", "imapd-login", "mtad"},
	}
	if err := g.world.start(); err != nil {
		return g.servers, err
	}
	return g.servers, g.corpus(100)
}

func nothing(context.Context, *peer.Server, int) error { return nil }

// queue fills the queue with messages whose next hop does not answer.
func (g *growthWorld) queue(ctx context.Context, t *peer.Server, size int) error {
	_, err := g.accept(ctx, t, size, size-g.queued)
	return err
}

func (g *growthWorld) accept(ctx context.Context, t *peer.Server, _, n int) (Result, error) {
	g.queued += n
	return send(ctx, t.Only("mtad"), work{address: t.SMTP, sessions: 20, recipients: 1, to: "u%d@hold.test", size: 1024}, n)
}

// recipients hands in messages to as many as the size says; operations are
// recipients.
func (g *growthWorld) recipients(ctx context.Context, t *peer.Server, size, n int) (Result, error) {
	n = max(n/size, 20)
	g.queued += n
	r, err := send(ctx, t.Only("mtad"), work{address: t.SMTP, sessions: 5, recipients: size, to: "u%d@hold.test", size: 1024}, n)
	r.Ops *= size
	return r, err
}

// connections opens more of them, of users with nothing in their mailboxes.
func (g *growthWorld) connections(_ context.Context, t *peer.Server, size int) error {
	for len(g.idle) < size {
		c, err := open(t, fmt.Sprint("u", len(g.idle)%1000), load.Options{Buffer: 512})
		if err != nil {
			return fmt.Errorf("connection %d: %w", len(g.idle), err)
		}
		g.idle = append(g.idle, c)
	}
	return nil
}

func (g *growthWorld) noop(ctx context.Context, t *peer.Server, size, n int) (Result, error) {
	return measure(t, func() (int, []time.Duration, error) {
		took, err := load.Crowd(ctx, 10, n, func(worker, i int) error {
			return g.idle[worker*size/10+i%10%max(size/10, 1)].Command("NOOP")
		})
		return len(took), nil, err
	})
}

// mailbox gives a user of that name so many messages, which are few under many
// names, and lets the server have a first look.
func (g *growthWorld) mailbox(_ context.Context, t *peer.Server, size int) error {
	for _, c := range g.idle {
		c.Close()
	}
	g.idle = nil
	user := sized(size)
	maildir := filepath.Join(t.Home(user), "Maildir")
	if _, err := os.Stat(maildir); err == nil {
		return nil
	}
	if err := t.Mailbox(user, filepath.Join(g.dir, "corpus"), 100); err != nil {
		return err
	}
	files, err := os.ReadDir(filepath.Join(maildir, "cur"))
	if err != nil {
		return err
	}
	for i := len(files); i < size; i++ {
		name := files[i%len(files)].Name()
		if err := os.Link(filepath.Join(maildir, "cur", name), filepath.Join(maildir, "cur", fmt.Sprintf("1%06d%s", i, name))); err != nil {
			return err
		}
	}
	time.Sleep(2 * time.Second) // older than the steps of the folder's clock: nothing is in doubt
	c, err := open(t, user, load.Options{})
	if err != nil {
		return err
	}
	for _, command := range []string{"FETCH 1:* (ENVELOPE)", "LOGOUT"} {
		if err := c.Command("%s", command); err != nil {
			return err
		}
	}
	return nil
}

// sized is who has a mailbox of that size.
func sized(messages int) string { return fmt.Sprint("m", len(strconv.Itoa(messages))) }

// command sends a command n times, for a hundred messages in turn; a second
// verb of its format is + and - by turns, so that each changes something.
func command(format string) func(context.Context, *peer.Server, int, int) (Result, error) {
	signed := strings.Contains(format, "%c")
	return func(_ context.Context, t *peer.Server, size, n int) (Result, error) {
		c, err := open(t, sized(size), load.Options{})
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		return measure(t, func() (int, []time.Duration, error) {
			for i := range n {
				args := []any{1 + i%100*size/100}
				if signed {
					args = append(args, "+-"[i/100%2])
				}
				if err := c.Command(format, args...); err != nil {
					return 0, nil, err
				}
			}
			return n, nil, nil
		})
	}
}

func (g *growthWorld) append(_ context.Context, t *peer.Server, size, n int) (Result, error) {
	c, err := open(t, sized(size), load.Options{})
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	message := load.Sized(1, 8<<10)
	return measure(t, func() (int, []time.Duration, error) {
		for range n {
			if err := c.Append("INBOX", message); err != nil {
				return 0, nil, err
			}
		}
		return n, nil, nil
	})
}

// population has authd know more users.
func (g *growthWorld) population(_ context.Context, t *peer.Server, size int) error {
	if err := t.Users(numbered("u", max(size, 1000))); err != nil {
		return err
	}
	return t.Restart()
}

func (g *growthWorld) login(ctx context.Context, t *peer.Server, _, n int) (Result, error) {
	return logins(4, false)(ctx, t, n, 0)
}
