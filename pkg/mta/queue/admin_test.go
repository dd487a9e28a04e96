package queue

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func places(w *world) []Place {
	var out []Place
	for _, e := range w.list(Filter{}) {
		out = append(out, e.Place)
	}
	return out
}

func do(t *testing.T, act func(context.Context, Selection) (int, error), sel Selection, want int) {
	t.Helper()
	if n, err := act(context.Background(), sel); n != want || err != nil {
		t.Errorf("changed %d, %v; want %d", n, err, want)
	}
}

func TestHoldAndRelease(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome { return all(job, deferred("later")) }
		waiting := w.submit(to("a@x.example"))
		env := to("b@x.example")
		env.Hold = true
		held := w.submit(env)
		synctest.Wait()
		if got := places(w); !slices.Equal(got, []Place{Waiting, Held}) {
			t.Fatalf("places %v", got)
		}
		do(t, w.q.Hold, Selection{All: true}, 1) // the other one is already
		if n, err := w.q.Hold(context.Background(), Selection{IDs: []ID{1, waiting}}); n != 0 || !fail.Is(err, fail.NotFound) {
			t.Errorf("hold of an id that is not there: %d, %v", n, err)
		}
		w.sleep(24 * time.Hour)
		synctest.Wait()
		if w.try("a@x.example") != 1 || w.try("b@x.example") != 0 {
			t.Errorf("tries of held messages: %v", w.tries)
		}
		w.setDeliver(func(_ context.Context, job *Job) Outcome {
			time.Sleep(time.Minute)
			return all(job, delivered())
		})
		do(t, w.q.Release, Selection{IDs: []ID{held}}, 1)
		do(t, w.q.Release, Selection{IDs: []ID{held}}, 0) // it is still there
		w.sleep(time.Hour)
		synctest.Wait()
		if got := places(w); !slices.Equal(got, []Place{Held}) || w.try("b@x.example") != 1 {
			t.Errorf("places %v, tries %v", got, w.tries)
		}
		do(t, w.q.Release, Selection{All: true}, 1)
		w.sleep(time.Hour)
		synctest.Wait()
		if got := places(w); len(got) != 0 {
			t.Errorf("places %v", got)
		}
	})
}

// Hold and Delete reach messages that are being worked on: the attempt that
// runs ends, no further one begins.
func TestActiveIsHeldAndDeleted(t *testing.T) {
	inBubble(t, func(s *Settings) { s.Transports = map[string]Limits{"smtp": {Concurrency: 1}} }, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			time.Sleep(time.Minute)
			return all(job, delivered())
		}
		first := w.submit(to("a@x.example", "b@y.example"))
		synctest.Wait()
		second := w.submit(to("c@x.example"))
		third := w.submit(to("d@x.example"))
		synctest.Wait()
		do(t, w.q.Hold, Selection{IDs: []ID{first, second}}, 2)
		do(t, w.q.Delete, Selection{IDs: []ID{third}}, 1)
		w.sleep(time.Hour)
		synctest.Wait()
		entries := w.list(Filter{})
		if len(entries) != 2 || entries[0].Place != Held || entries[1].Place != Held || len(w.tries) != 1 {
			t.Errorf("entries %+v, tries %v", entries, w.tries)
		}
		do(t, w.q.Release, Selection{All: true}, 2)
		w.sleep(time.Hour)
		synctest.Wait()
		if len(w.list(Filter{})) != 0 || w.try("d@x.example") != 0 {
			t.Errorf("left %v, tries %v", places(w), w.tries)
		}
		for r, n := range w.tries {
			if n != 1 {
				t.Errorf("%s was tried %d times", r, n)
			}
		}
	})
}

func TestDelete(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome { return all(job, deferred("later")) }
		a := w.submit(to("a@x.example"))
		w.submit(to("b@y.example"))
		env := to("c@z.example")
		env.Hold = true
		w.submit(env)
		synctest.Wait()
		do(t, w.q.Delete, Selection{IDs: []ID{a}}, 1)
		if _, _, err := w.q.Get(a); !fail.Is(err, fail.NotFound) {
			t.Errorf("get: %v", err)
		}
		do(t, w.q.Delete, Selection{Destination: "Y.example"}, 1)
		do(t, w.q.Delete, Selection{All: true}, 1)
		w.sleep(24 * time.Hour)
		if got := places(w); len(got) != 0 {
			t.Errorf("places %v", got)
		}
		for _, e := range w.log() {
			if e[len(e)-7:] == "failure" {
				t.Errorf("the sender was told of a deletion: %s", e)
			}
		}
	})
}

// What is just being tried has perhaps failed already, for a reason that is no
// longer there: it is tried again as what was put off before.
func TestFlushOfWhatIsBeingTried(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			time.Sleep(time.Minute)
			return down(job)
		}
		w.submit(to("a@x.example"))
		w.sleep(30 * time.Second)
		w.setDeliver(nil)
		do(t, w.q.Flush, Selection{Destination: "x.example"}, 0)
		w.sleep(31 * time.Second)
		if len(w.list(Filter{})) != 0 || w.try("a@x.example") != 2 {
			t.Errorf("left %v after %d tries", places(w), w.try("a@x.example"))
		}
	})
}

// Expire reaches what is being tried: when that ends the sender is told, and
// no further recipient is tried.
func TestExpireOfWhatIsBeingTried(t *testing.T) {
	inBubble(t, func(s *Settings) { s.Transports = map[string]Limits{"smtp": {Concurrency: 1}} }, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			time.Sleep(time.Minute)
			if job.Envelope.Sender.Null() {
				return all(job, delivered())
			}
			return all(job, deferred("later"))
		}
		w.submit(to("a@x.example", "b@y.example"))
		w.sleep(30 * time.Second)
		do(t, w.q.Expire, Selection{All: true}, 1)
		w.sleep(2 * time.Minute)
		if len(w.list(Filter{})) != 0 || w.try("a@x.example")+w.try("b@y.example") != 1 {
			t.Errorf("left %v, tries %v", places(w), w.tries)
		}
		if told := count(w.log(), "failure"); told != 1 {
			t.Errorf("the sender was told %d times", told)
		}
	})
}

// The sender hears nothing of what was deleted, however the attempt ends that
// was running.
func TestDeleteOfWhatIsBeingTried(t *testing.T) {
	for name, how := range map[string]Result{"failed": refused("no"), "deferred": deferred("later")} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(s *Settings) { s.DelayWarning = conf.Duration(time.Second) }, func(t *testing.T, w *world) {
				w.deliver = func(_ context.Context, job *Job) Outcome {
					time.Sleep(time.Minute)
					return all(job, how)
				}
				w.submit(to("a@x.example"))
				w.sleep(30 * time.Second)
				do(t, w.q.Delete, Selection{All: true}, 1)
				w.sleep(time.Hour)
				if got := places(w); len(got) != 0 {
					t.Errorf("places %v", got)
				}
				log := w.log()
				if told := count(log, "failure") + count(log, "delay"); told != 0 {
					t.Errorf("the sender was told of a deletion: %q", log)
				}
			})
		})
	}
}

// count is how many events end in a word.
func count(events []string, word string) (n int) {
	for _, e := range events {
		if strings.HasSuffix(e, " "+word) {
			n++
		}
	}
	return n
}

func TestFlush(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome { return down(job) }
		a := w.submit(to("a@x.example"))
		w.submit(to("b@y.example"))
		w.submit(to("c@y.example", "d@z.example"))
		w.sleep(time.Second)
		do(t, w.q.Flush, Selection{IDs: []ID{a}}, 1)
		synctest.Wait()
		if w.try("a@x.example") != 2 || w.try("b@y.example") != 1 {
			t.Errorf("after flush of one: %v", w.tries)
		}
		do(t, w.q.Flush, Selection{Destination: "y.example"}, 2)
		synctest.Wait()
		if w.try("b@y.example") != 2 || w.try("d@z.example") != 2 || w.try("a@x.example") != 2 {
			t.Errorf("after flush of a destination: %v", w.tries)
		}
		// A dead destination is tried again.
		for range 20 {
			w.submit(to("e@x.example"))
		}
		w.sleep(time.Second)
		before := w.try("e@x.example")
		w.setDeliver(nil)
		do(t, w.q.Flush, Selection{All: true}, 23)
		synctest.Wait()
		if len(w.list(Filter{})) != 0 || before >= 20 {
			t.Errorf("left %v; %d tries while it was down", places(w), before)
		}
	})
}

func TestExpireAndRequeue(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		var where atomic.Value
		where.Store("old.example")
		w.route = func(a addr.Address) (Route, error) {
			if a.Domain == "example.com" {
				return Route{}, fail.New(fail.Temporary, "wait")
			}
			return Route{"smtp", where.Load().(string)}, nil
		}
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Route.NextHop == "old.example" {
				return all(job, deferred("later"))
			}
			if job.Attempt != 1 {
				t.Errorf("attempt %d after requeue", job.Attempt)
			}
			return all(job, delivered())
		}
		a := w.submit(to("a@x.example"))
		b := w.submit(to("b@x.example"))
		do(t, w.q.Hold, Selection{IDs: []ID{b}}, 1)
		w.sleep(time.Second)
		w.log()
		do(t, w.q.Expire, Selection{All: true}, 2)
		w.log()
		entries := w.list(Filter{})
		if len(entries) != 2 || w.try("a@x.example") != 1 || w.try("b@x.example") > 1 {
			t.Fatalf("after expire: %+v, tries %v", entries, w.tries)
		}
		for _, e := range entries {
			if !e.Sender.Null() {
				t.Errorf("%s is still there", e.ID)
			}
		}
		do(t, w.q.Delete, Selection{All: true}, 2)
		if _, _, err := w.q.Get(a); !fail.Is(err, fail.NotFound) {
			t.Errorf("get: %v", err)
		}

		w.submit(to("c@x.example"))
		w.sleep(time.Second)
		where.Store("new.example")
		do(t, w.q.Requeue, Selection{All: true}, 1)
		synctest.Wait()
		if len(w.list(Filter{})) != 0 || w.try("c@x.example") != 2 {
			t.Errorf("after requeue: %v, tries %v", places(w), w.tries)
		}
	})
}

// A message whose addresses mean something else today is queued anew, without
// the recipients that are done; one whose addresses do not, or cannot be looked
// up, stays what it is.
func TestRequeueReaddresses(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		open := false
		w.deliver = func(_ context.Context, job *Job) Outcome {
			out := all(job, deferred("later"))
			for i, r := range job.Recipients {
				if open || r.Addr.Local == "done" {
					out.Results[i] = delivered()
				}
			}
			return out
		}
		changed := w.submit(to("old@x.example", "done@x.example"))
		same := w.submit(to("same@x.example"))
		broken := w.submit(to("broken@x.example"))
		do(t, w.q.Hold, Selection{IDs: []ID{same}}, 1)
		w.sleep(time.Second)
		w.log()
		readdress := func(_ context.Context, env *Envelope) (*Envelope, func(io.Reader) (io.Reader, error), error) {
			switch env.Recipients[0].Addr.Local {
			case "old":
				if len(env.Recipients) != 1 {
					t.Errorf("given %v", env.Recipients)
				}
				next := *env
				next.Recipients = []Recipient{{Addr: mustParse("new@x.example"), Original: env.Recipients[0].Addr}}
				return &next, func(in io.Reader) (io.Reader, error) {
					return io.MultiReader(strings.NewReader("X-Again: yes\r\n"), in), nil
				}, nil
			case "broken":
				return nil, nil, fail.New(fail.Unavailable, "table is down")
			}
			return env, nil, nil
		}
		var ids []ID
		n, err := w.q.Requeue(context.Background(), Selection{All: true, Readdress: readdress, Changed: func(id ID) { ids = append(ids, id) }})
		if n != 2 || !fail.Is(err, fail.Unavailable) || !strings.Contains(err.Error(), broken.String()) || !slices.Equal(ids, []ID{changed, same}) {
			t.Fatalf("%d %v, %v", n, ids, err)
		}
		synctest.Wait()
		if w.try("broken@x.example") != 1 || w.try("same@x.example") < 1 || w.try("old@x.example") != 1 || w.try("new@x.example") != 1 || w.try("done@x.example") != 1 {
			t.Errorf("tries %v", w.tries)
		}
		list := w.list(Filter{Recipient: "new@x.example"})
		if len(list) != 1 || list[0].ID == changed || len(w.list(Filter{IDs: []ID{changed}})) != 0 {
			t.Fatalf("%+v", list)
		}
		if body := w.bodyOf(list[0].ID); !strings.HasPrefix(body, "X-Again: yes\r\n") {
			t.Errorf("content %q", body)
		}
		open = true
		do(t, w.q.Flush, Selection{All: true}, 3)
		synctest.Wait()
		if left := w.list(Filter{}); len(left) != 0 || w.try("done@x.example") != 1 {
			t.Errorf("left %v", places(w))
		}
	})
}

func TestListFilters(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome { return all(job, deferred("later")) }
		a := w.submit(to("a@x.example", "b@y.example"))
		null := to("c@y.example")
		null.Sender = addr.Address{}
		b := w.submit(null)
		held := to("d@z.example")
		held.Hold = true
		c := w.submit(held)
		synctest.Wait()
		for name, x := range map[string]struct {
			f    Filter
			want []ID
		}{
			"all":                   {Filter{}, []ID{a, b, c}},
			"deferred":              {Filter{Places: []Place{Waiting}}, []ID{a, b}},
			"hold":                  {Filter{Places: []Place{Held}}, []ID{c}},
			"sender":                {Filter{Sender: "SENDER@example.com"}, []ID{a, c}},
			"null sender":           {Filter{Sender: "<>"}, []ID{b}},
			"recipient":             {Filter{Recipient: "B@y.example"}, []ID{a}},
			"destination":           {Filter{Destination: "y.example"}, []ID{a, b}},
			"recipient and sender":  {Filter{Recipient: "b@y.example", Sender: "<>"}, nil},
			"ids":                   {Filter{IDs: []ID{c, 99, a}}, []ID{c, a}},
			"destination, one rcpt": {Filter{Destination: "x.example", Recipient: "b@y.example"}, nil},
		} {
			var got []ID
			for e := range w.q.List(x.f) {
				got = append(got, e.ID)
			}
			if !slices.Equal(got, x.want) {
				t.Errorf("%s: %v, want %v", name, got, x.want)
			}
		}
		st := w.q.Stats()
		if st.Deferred != 2 || st.Held != 1 || st.Incoming != 0 || st.Active != 0 || !st.Oldest.Equal(w.list(Filter{})[0].Arrival) {
			t.Errorf("stats %+v", st)
		}
		for e := range w.q.List(Filter{}) { // an iteration may stop early
			if e.ID != a {
				t.Errorf("first is %v", e.ID)
			}
			break
		}
	})
}

func TestReloadChangesLimits(t *testing.T) {
	inBubble(t, func(s *Settings) { s.Default.Concurrency = 1 }, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			time.Sleep(time.Minute)
			return all(job, delivered())
		}
		for range 60 {
			w.submit(to("a@x.example"))
		}
		synctest.Wait()
		if w.top("x.example") != 1 {
			t.Fatalf("%d at a time", w.top("x.example"))
		}
		s := settings()
		s.Default.Concurrency = 4
		w.q.Reload(s)
		w.sleep(20 * time.Minute) // the window opens with each success
		if w.top("x.example") != 4 {
			t.Errorf("%d at a time after reload, want 4", w.top("x.example"))
		}
		s.Default.Concurrency = 2
		w.q.Reload(s)
		w.sleep(time.Minute) // what was running ends
		w.mu.Lock()
		w.peak = map[string]int{}
		w.mu.Unlock()
		for range 10 {
			w.submit(to("a@x.example"))
		}
		w.sleep(time.Hour)
		if w.top("x.example") != 2 || len(w.list(Filter{})) != 0 {
			t.Errorf("%d at a time after the limit was lowered, want 2", w.top("x.example"))
		}
	})
}

// A pause between deliveries that was meant to be seconds ends when it is
// corrected, and not after the hours that were written.
func TestReloadEndsPauses(t *testing.T) {
	hour := conf.Duration(time.Hour)
	for _, l := range []Limits{{DestinationDelay: hour}, {TransportDelay: hour}} {
		inBubble(t, func(s *Settings) { s.Default = l }, func(t *testing.T, w *world) {
			for range 3 {
				w.submit(to("a@x.example"))
			}
			w.sleep(time.Minute)
			if n := w.try("a@x.example"); n != 1 {
				t.Fatalf("%+v: %d tries", l, n)
			}
			w.q.Reload(settings())
			synctest.Wait()
			if n := w.try("a@x.example"); n != 3 {
				t.Errorf("%+v: %d tries after the reload", l, n)
			}
			w.sleep(2 * time.Hour)
		})
	}
}
