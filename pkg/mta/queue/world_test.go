package queue

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// world is a queue with consumers that do as they are told, in the bubble of
// a synctest: its clock stands still while anything can run.
type world struct {
	t    *testing.T
	fsys disk.FS
	set  Settings
	q    *Queue
	stop func()

	mu      sync.Mutex
	deliver func(ctx context.Context, job *Job) Outcome
	route   func(rcpt addr.Address) (Route, error)
	compose func(n *Notice) error
	events  []string
	notices []string       // events of messages from the null sender
	null    map[ID]bool    // which they are
	running map[string]int // per next hop
	peak    map[string]int
	tries   map[string]int // per recipient
	began   time.Time
}

func settings() Settings {
	s := DefaultSettings()
	s.SegmentSize, s.LargeMessage, s.MinFree = 128<<10, 8<<10, 1<<10
	return s
}

func newWorld(t *testing.T, change func(*Settings)) *world {
	w := &world{t: t, fsys: disk.NewForgetful()}
	w.open(change)
	return w
}

func (w *world) open(change func(*Settings)) {
	w.t.Helper()
	s := settings()
	if change != nil {
		change(&s)
	}
	w.set = s
	w.reopen()
}

// reopen opens the queue with the settings that it had.
func (w *world) reopen() {
	w.t.Helper()
	q, err := Open(context.Background(), Config{Settings: w.set, Dir: "/q", FS: w.fsys})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.q, w.began = q, time.Now()
	w.running, w.peak, w.tries = map[string]int{}, map[string]int{}, map[string]int{}
}

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.q.Run(ctx, Consumers{w, w, w, w}, time.Minute) }()
	w.stop = func() {
		w.t.Helper()
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("run: %v", err)
		}
		if err := w.q.Close(); err != nil {
			w.t.Errorf("close: %v", err)
		}
	}
}

func (w *world) setDeliver(f func(context.Context, *Job) Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deliver = f
}

// Route sends each domain to itself unless told otherwise.
func (w *world) Route(_ context.Context, _ *Envelope, rcpt addr.Address) (Route, error) {
	if w.route != nil {
		return w.route(rcpt)
	}
	return Route{Transport: "smtp", NextHop: rcpt.Domain}, nil
}

// Deliver counts and asks w.deliver; by default all is delivered.
func (w *world) Deliver(ctx context.Context, job *Job) Outcome {
	w.mu.Lock()
	w.running[job.Route.NextHop]++
	w.peak[job.Route.NextHop] = max(w.peak[job.Route.NextHop], w.running[job.Route.NextHop])
	for _, r := range job.Recipients {
		w.tries[r.Addr.String()]++
	}
	deliver := w.deliver
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.running[job.Route.NextHop]--
		w.mu.Unlock()
	}()
	if deliver == nil {
		return all(job, delivered())
	}
	return deliver(ctx, job)
}

func (w *world) Compose(_ context.Context, to io.Writer, id ID, n *Notice) (Composed, error) {
	if w.compose != nil {
		if err := w.compose(n); err != nil {
			return Composed{}, err
		}
	}
	var names []string
	for _, r := range n.Recipients {
		names = append(names, r.Addr.String()+" "+r.Status.String()+" "+r.Code.String())
	}
	_, err := fmt.Fprintf(to, "Subject: %s of %s\r\n\r\n%s\r\n", n.Kind, n.ID, strings.Join(names, ", "))
	return Composed{EightBit: true}, err
}

func (w *world) note(id ID, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to := &w.events
	if w.null[id] {
		to = &w.notices
	}
	*to = append(*to, fmt.Sprintf("%v ", time.Since(w.began).Round(time.Second))+fmt.Sprintf(format, args...))
}

func (w *world) Activated(id ID, env *Envelope, n int) {
	if env.Sender.Null() {
		w.mu.Lock()
		if w.null == nil {
			w.null = map[ID]bool{}
		}
		w.null[id] = true
		w.mu.Unlock()
	}
	w.note(id, "active %s %d", env.Sender.Path(), n)
}

func (w *world) Expired(id ID, env *Envelope, forced bool) {
	what := "expired"
	if forced {
		what = "force-expired"
	}
	w.note(id, "%s %s", what, env.Sender.Path())
}

func (w *world) Notified(id ID, k NoticeKind, _ ID, _ string) { w.note(id, "notified %s", k) }
func (w *world) Removed(id ID)                                { w.note(id, "removed") }
func (w *world) Discarded(id ID)                              { w.note(id, "discarded") }
func (w *world) TransportFailed(transport string, why error) {
	w.note(0, "transport %s: %v", transport, why)
}

func (w *world) Attempted(a *Attempt) {
	how := a.Result.Status.String()
	if a.Suspended {
		how = "suspended"
	}
	w.note(a.ID, "%s %s %s", a.Recipient.Addr, how, a.Result.Code)
}

// log returns the events since the last call: those of notices at the end, since
// a notice goes its way while what it is about is still being ended.
func (w *world) log() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	out := append(w.events, w.notices...)
	w.events, w.notices = nil, nil
	return out
}

func (w *world) wantLog(want ...string) {
	w.t.Helper()
	if got := w.log(); !slices.Equal(got, want) {
		w.t.Errorf("events:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func delivered() Result { return Result{Status: Delivered, Reason: "250 2.0.0 Ok"} }

func deferred(text string) Result {
	return Result{Status: Deferred, Code: Code{Class: 4, Subject: 4, Detail: 1}, Reason: text, Remote: "mx.example.org"}
}

func refused(text string) Result {
	return Result{Status: Failed, Code: Code{Class: 5, Subject: 1, Detail: 1}, Reason: text, Diagnostic: text}
}

func all(job *Job, r Result) Outcome {
	out := Outcome{Results: make([]Result, len(job.Recipients))}
	for i := range out.Results {
		out.Results[i] = r
	}
	return out
}

// down is the outcome at a destination that does not answer.
func down(job *Job) Outcome {
	out := all(job, deferred("connect to "+job.Route.NextHop+": Connection timed out"))
	out.SiteFailure = true
	return out
}

func mustParse(s string) addr.Address {
	a, err := addr.Parse(s)
	if err != nil {
		panic(err)
	}
	return a
}

func to(rcpts ...string) *Envelope {
	e := &Envelope{Sender: mustParse("sender@example.com")}
	for _, r := range rcpts {
		e.Recipients = append(e.Recipients, Recipient{Addr: mustParse(r)})
	}
	return e
}

func (w *world) submit(env *Envelope) ID {
	w.t.Helper()
	m, err := w.q.Begin(context.Background(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer m.Abort()
	if _, err := io.WriteString(m, "Subject: test\r\n\r\nText\r\n"); err != nil {
		w.t.Fatal(err)
	}
	m.SetHeaders([]byte("Received: by test\r\n"), 0)
	if err := m.Commit(context.Background(), env); err != nil {
		w.t.Fatal(err)
	}
	return m.ID()
}

func (w *world) list(f Filter) []Entry { return slices.Collect(w.q.List(f)) }

// bodyOf reads a queued message.
func (w *world) bodyOf(id ID) string {
	w.t.Helper()
	c, err := w.q.Open(id)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c.Reader())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

func inBubble(t *testing.T, change func(*Settings), test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		w.start()
		test(t, w)
		w.stop()
	})
}

func errPermanent(text string) error { return fail.New(fail.Permanent, "%s", text) }

// sleep lets the bubble's time pass, and then everything that is due happen.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// try is how often a recipient was tried.
func (w *world) try(rcpt string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tries[rcpt]
}

// top is how many deliveries a next hop had at a time.
func (w *world) top(next string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peak[next]
}
