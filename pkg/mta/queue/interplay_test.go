package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// Requeue takes back that a message was given up.
func TestRequeueAfterExpire(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		id := w.submit(&Envelope{Sender: mustParse("s@example.com"), Recipients: []Recipient{{Addr: mustParse("a@x.example")}}, Hold: true})
		synctest.Wait()
		do(t, w.q.ExpireHeld, Selection{IDs: []ID{id}}, 1)
		do(t, w.q.Requeue, Selection{IDs: []ID{id}}, 1)
		w.wantLog("0s active <s@example.com> 1", "0s a@x.example delivered 2.0.0", "0s removed")
	})
}

// What an operator gives up is told apart from what has waited too long.
func TestExpireIsForced(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		id := w.submit(&Envelope{Sender: mustParse("s@example.com"), Recipients: []Recipient{{Addr: mustParse("a@x.example")}}, Hold: true})
		synctest.Wait()
		do(t, w.q.Expire, Selection{IDs: []ID{id}}, 1)
		synctest.Wait()
		if log := w.log(); !slices.Contains(log, "0s force-expired <s@example.com>") {
			t.Error(log)
		}
	})
}

// Over a deferred transport mail waits as long as mail may, as in Postfix; what
// is paused waits as long as it takes.
func TestWhatDoesNotExpire(t *testing.T) {
	change := func(s *Settings) {
		s.Lifetime, s.BounceLifetime, s.DeferTransports = conf.Duration(time.Hour), conf.Duration(time.Hour), []string{"smtp"}
	}
	inBubble(t, change, func(t *testing.T, w *world) {
		w.submit(to("a@x.example"))
		if err := w.q.Pause("paused.example"); err != nil {
			t.Fatal(err)
		}
		w.submit(to("a@paused.example"))
		w.sleep(6 * time.Hour)
		if list := w.list(Filter{}); len(list) != 1 || list[0].Recipients[0].Addr.Domain != "paused.example" {
			t.Errorf("%+v", list)
		}
	})
}

// Whatever is done to messages in whatever order, none is lost or delivered
// twice, and the scheduler forgets all of them.
func TestOperatorsInterfere(t *testing.T) {
	for seed := range uint64(10) {
		inBubble(t, func(s *Settings) {
			s.ActiveMessages, s.ActiveRecipients = 12, 30
			s.MinBackoff, s.MaxBackoff = conf.Duration(time.Minute), conf.Duration(10*time.Minute)
			s.Default.Concurrency, s.Default.Initial, s.Default.Recipients = 4, 2, 3
			s.Transports = map[string]Limits{"one": {Recipients: 1, Destination: 2}}
		}, func(t *testing.T, w *world) { interfere(t, w, seed) })
	}
}

func interfere(t *testing.T, w *world, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	got := map[string]int{}
	w.route = func(r addr.Address) (Route, error) {
		transport := "smtp"
		if strings.HasPrefix(r.Domain, "x1") {
			transport = "one"
		}
		return Route{Transport: transport, NextHop: r.Domain}, nil
	}
	w.deliver = func(_ context.Context, job *Job) Outcome {
		w.mu.Lock()
		wait, what := time.Duration(rnd.IntN(90))*time.Second, rnd.IntN(10)
		w.mu.Unlock()
		time.Sleep(wait)
		switch {
		case what < 2:
			return down(job)
		case what < 4:
			return all(job, deferred("later"))
		case what < 5:
			out := all(job, deferred("mail transport unavailable"))
			out.TransportFailure = errPermanent("broken")
			return out
		}
		w.mu.Lock()
		for _, r := range job.Recipients {
			got[r.Addr.String()]++
		}
		w.mu.Unlock()
		return all(job, delivered())
	}
	want, deleted := map[string]ID{}, map[ID]bool{}
	var ids []ID
	for step := range 150 {
		w.mu.Lock()
		what, n, pick := rnd.IntN(13), 1+rnd.IntN(8), rnd.IntN(1000)
		pause := time.Duration(rnd.IntN(120)) * time.Second
		w.mu.Unlock()
		sel := Selection{All: true}
		if len(ids) > 0 && pick%4 > 0 {
			sel = Selection{IDs: []ID{ids[pick%len(ids)]}}
		}
		if pick%7 == 0 {
			sel.Places = []Place{Place(pick % 4)}
		}
		ctx := context.Background()
		switch {
		case what < 4:
			var rcpts []string
			for i := range n {
				rcpts = append(rcpts, fmt.Sprintf("s%d.%d@x%d.example", step, i, (pick+i%2)%4))
			}
			id := w.submit(to(rcpts...))
			ids = append(ids, id)
			for _, r := range rcpts {
				want[r] = id
			}
		case what == 4:
			_, _ = w.q.Hold(ctx, sel)
		case what == 5:
			_, _ = w.q.Release(ctx, sel)
		case what == 6:
			_, _ = w.q.Flush(ctx, sel)
		case what == 7:
			_, _ = w.q.Requeue(ctx, sel)
		case what == 8 && len(sel.IDs) > 0:
			if k, _ := w.q.Delete(ctx, sel); k > 0 {
				deleted[sel.IDs[0]] = true
			}
		case what == 9:
			_ = w.q.Pause(fmt.Sprintf("x%d.example", pick%4))
		case what == 10:
			_, _ = w.q.Resume(ctx, fmt.Sprintf("x%d.example", pick%4))
		case what == 11 && pick%3 == 0: // a restart
			w.stop()
			w.reopen()
			w.start()
		default:
			w.sleep(pause)
		}
	}
	for _, name := range w.q.Paused() {
		_, _ = w.q.Resume(context.Background(), name)
	}
	_, _ = w.q.Release(context.Background(), Selection{All: true})
	w.sleep(6 * time.Hour)
	for r, id := range want {
		if n := got[r]; n > 1 || n == 0 && !deleted[id] {
			t.Errorf("seed %d: %s was delivered %d times", seed, r, n)
		}
	}
	if st := w.q.Stats(); st.Active+st.Deferred+st.Held+st.Incoming != 0 {
		t.Errorf("seed %d: %+v", seed, st)
	}
	s := &w.q.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.active) != 0 || s.recipients != 0 || s.old != 0 || s.again.len()+s.lists.len()+s.incoming.len() != 0 {
		t.Errorf("seed %d: %d active, %d recipients, %d old, %d %d %d wait", seed, len(s.active), s.recipients, s.old, s.again.len(), s.lists.len(), s.incoming.len())
	}
	for _, tr := range s.transports {
		if len(tr.dests) != 0 || tr.running != 0 || tr.line.Len() != 0 {
			t.Errorf("seed %d: %s: %d destinations, %d running, %d wait", seed, tr.name, len(tr.dests), tr.running, tr.line.Len())
		}
	}
}
