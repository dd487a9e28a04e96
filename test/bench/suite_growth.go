package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/bench/peer"
)

// Growth is a cost that should not depend on how much there is of something.
type Growth struct {
	Name  string
	Sizes [3]int  // at scale 1, each ten times as much as the one before; with Then up to Options.Deferred
	Most  float64 // what the cost at the last one may be, as a ratio to that at the first
	// Grow makes it so much, from the size before. Run does about n operations.
	Grow func(ctx context.Context, t *peer.Server, size int) error
	Run  func(ctx context.Context, t *peer.Server, size, n int) (Result, error)
	N    int
	// Then says something about the last size, whatever the row is about.
	Then func(ctx context.Context, t *peer.Server) (string, error)
}

// curve is the CPU of one operation at each size, in microseconds.
type curve [3]float64

// grow measures all rows, each at all of its sizes, against ours alone.
func grow(ctx context.Context, s Suite, t *peer.Server, o Options) error {
	s.Rows = slices.DeleteFunc(s.Rows, func(g Growth) bool { return !strings.Contains(g.Name, o.Scenario) })
	curves := make([]curve, len(s.Rows))
	var more strings.Builder
	defer func() {
		reportGrowth(os.Stdout, s, curves)
		fmt.Print(more.String())
	}()
	for i, g := range s.Rows {
		for k := range g.Sizes {
			g.Sizes[k] = max(int(float64(g.Sizes[k])*o.Scale), 1)
		}
		if g.Then != nil {
			g.Sizes = [3]int{1000, (1000 + o.Deferred) / 2, o.Deferred}
		}
		s.Rows[i] = g
		for k, size := range g.Sizes {
			fmt.Fprintf(os.Stderr, "%s: %s, %d\n", s.Name, g.Name, size)
			if err := g.Grow(ctx, t, size); err != nil {
				return fmt.Errorf("%s, making it %d: %w", g.Name, size, err)
			}
			var results []Result
			for range o.Reps {
				r, err := steady(g.N, func(n int) (Result, error) { return g.Run(ctx, t, size, n) })
				if err != nil {
					return fmt.Errorf("%s, %d: %w", g.Name, size, err)
				}
				results = append(results, r)
			}
			curves[i][k] = medianOf(results, func(r Result) float64 { return perOp(r.CPU, r.Ops) })
		}
		if g.Then == nil {
			continue
		}
		text, err := g.Then(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
		more.WriteString(text)
	}
	return nil
}

// reportGrowth prints the cost at each size and how it grows.
func reportGrowth(w io.Writer, s Suite, curves []curve) {
	tw := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "%s\tsizes\tCPU/op\t10x\t100x\tslope\tgoal\n", s.Name)
	for i, g := range s.Rows {
		c := curves[i]
		verdict := fmt.Sprintf("%.3gx", g.Most)
		slope := "-"
		if c[0] > 0 {
			slope = fmt.Sprintf("%.2fx", c[2]/c[0])
			if c[2] <= g.Most*c[0] {
				verdict += ", met"
			} else {
				verdict += ", missed"
			}
		}
		fmt.Fprintf(tw, "%s\t%d to %d\t%s\t%s\t%s\t%s\t%s\n", g.Name, g.Sizes[0], g.Sizes[2], micros(c[0]), micros(c[1]), micros(c[2]), slope, verdict)
	}
	_ = tw.Flush()
}

// growthWorld is what the rows of the growth suite have made so far.
type growthWorld struct {
	*world
	hole   *load.Sink
	queued int
	late   int // deferred messages
	idle   []*load.IMAP
}

// growthSuite shows what it costs ours to do a thing when there is little and
// when there is a lot of what it is done among.
func growthSuite() Suite {
	const index, files = 1.2, 2 // operations on indexes and queues, on the file system
	g := &growthWorld{}
	return Suite{Name: "growth", Start: g.start, Rows: []Growth{
		{Name: "accept, messages in the queue", Sizes: [3]int{1000, 10000, 100000}, Most: index, N: 2000, Grow: g.queue, Run: g.accept},
		{Name: "a message that is deferred, deferred messages", Most: index, N: 2000, Grow: g.defers, Run: g.deferred, Then: g.reopen},
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

// defers fills the queue with messages whose next hop refuses connections, so
// that they are deferred after a try, or without one.
func (g *growthWorld) defers(ctx context.Context, t *peer.Server, size int) error {
	if size <= g.late {
		return nil
	}
	_, err := g.deferred(ctx, t, size, size-g.late)
	return err
}

// deferred counts what it costs to take and defer n messages.
func (g *growthWorld) deferred(ctx context.Context, t *peer.Server, _, n int) (Result, error) {
	t = t.Only("mtad")
	g.late += n
	return measure(t, func() (int, []time.Duration, error) {
		if _, err := send(ctx, t, work{address: t.SMTP, sessions: 20, recipients: 1, to: "u%d@sink.test", size: 1024}, n); err != nil {
			return 0, nil, err
		}
		for {
			st, err := queued(t)
			if err != nil || st.Deferred >= g.late {
				return n, nil, err
			}
			select {
			case <-ctx.Done():
				return 0, nil, ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

// queued asks mtad what is in its queue.
func queued(t *peer.Server) (st struct{ Deferred int }, err error) {
	out, err := t.Command("mtad", "status", "--json").Output()
	if err != nil {
		return st, fmt.Errorf("mtad status: %w", err)
	}
	var all struct {
		Queue *struct{ Deferred int } `json:"queue"`
	}
	if err := json.Unmarshal(out, &all); err != nil || all.Queue == nil {
		return st, fmt.Errorf("mtad status: %w: %s", err, out)
	}
	return *all.Queue, nil
}

// reopen lists the queue, and starts mtad with it.
func (g *growthWorld) reopen(_ context.Context, t *peer.Server) (string, error) {
	t = t.Only("mtad")
	list := t.Command("mtad", "queue", "list")
	began := time.Now()
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("mtad queue list: %w", err)
	}
	listed := time.Since(began)
	took, err := t.Again("mtad")
	if err != nil {
		return "", err
	}
	cpu, err := t.CPU()
	if err != nil {
		return "", err
	}
	memory, err := t.Memory()
	if err != nil {
		return "", err
	}
	st, err := queued(t)
	return fmt.Sprintf("%d deferred: listed in %.2f s (%d KiB); mtad started in %.2f s, %.2f s of CPU, %d MiB\n",
		st.Deferred, listed.Seconds(), len(out)>>10, took.Seconds(), cpu.Seconds(), memory>>20), err
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
		workers := min(10, size)
		each := size / workers // connections of its own
		took, err := load.Crowd(ctx, workers, n, func(worker, i int) error {
			return g.idle[worker*each+i%min(10, each)].Command("NOOP")
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
