package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestDelivered(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			c, err := job.Open()
			if err != nil {
				t.Error(err)
				return Outcome{}
			}
			defer c.Close()
			b, err := io.ReadAll(c.Reader())
			if err != nil || string(b) != "Received: by test\r\nSubject: test\r\n\r\nText\r\n" || string(c.Headers()) != "Received: by test\r\n" {
				t.Errorf("content %q, %v", b, err)
			}
			if job.Attempt != 1 || job.Envelope.Size != int64(len(b)) {
				t.Errorf("job %+v", job)
			}
			return all(job, delivered())
		}
		w.submit(to("a@x.example", "b@y.example"))
		got := w.log()
		if len(got) != 4 || got[0] != "0s active <sender@example.com> 2" || got[3] != "0s removed" {
			t.Errorf("events %q", got)
		}
		if st := w.q.Stats(); st.Incoming+st.Active+st.Deferred+st.Held != 0 || !st.Oldest.IsZero() {
			t.Errorf("stats %+v", st)
		}
	})
}

// The distance between attempts is the age, between 300 s and 4000 s, and
// after the lifetime the sender gets the last reason.
func TestRetryPlan(t *testing.T) {
	inBubble(t, func(s *Settings) { s.Lifetime = conf.Duration(6 * time.Hour) }, func(t *testing.T, w *world) {
		var at []time.Duration
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Envelope.Sender.Null() {
				return all(job, delivered())
			}
			at = append(at, time.Since(w.began).Round(time.Second))
			if job.Attempt != len(at) {
				t.Errorf("attempt %d is called %d", len(at), job.Attempt)
			}
			return all(job, deferred("450 later"))
		}
		w.submit(to("a@x.example"))
		w.sleep(8 * time.Hour)
		want := []int{0, 300, 600, 1200, 2400, 4800, 8800, 12800, 16800, 20800, 24800}
		for i, a := range at {
			if i >= len(want) || math.Abs(a.Seconds()-float64(want[i])) > float64(i+1) {
				t.Fatalf("attempts at %v, want about %v seconds", at, want)
			}
		}
		if len(at) != len(want) {
			t.Fatalf("attempts at %v, want about %v seconds", at, want)
		}
		log := w.log()
		tail := log[len(log)-7:]
		for i, want := range []string{"a@x.example deferred 4.4.1", "expired <sender@example.com>", "notified failure", "removed", "active <> 1", "sender@example.com delivered 2.0.0", "removed"} {
			if tail[i] != want && len(tail[i]) < len(want) || tail[i][len(tail[i])-len(want):] != want {
				t.Errorf("event %q, want %q", tail[i], want)
			}
		}
	})
}

func TestFailureIsNotifiedOnceAndBeforeTheEnd(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			switch job.Route.NextHop {
			case "good.example", "example.com":
				return all(job, delivered())
			case "bad.example":
				return all(job, refused("550 5.1.1 no such user"))
			}
			return all(job, deferred("450 4.2.0 later"))
		}
		w.route = func(a addr.Address) (Route, error) {
			if a.Domain == "example.com" { // keep the notification in the queue to look at it
				return Route{}, fail.New(fail.Temporary, "wait")
			}
			return Route{"smtp", a.Domain}, nil
		}
		orig := w.submit(to("g@good.example", "b@bad.example", "s@slow.example"))
		synctest.Wait()
		entries := w.list(Filter{})
		if len(entries) != 2 || entries[0].ID != orig || entries[0].Place != Waiting {
			t.Fatalf("queue: %+v", entries)
		}
		r := entries[0].Recipients
		if r[0].Status != Delivered || r[1].Status != Failed || !r[1].Notified || r[2].Status != Deferred {
			t.Errorf("recipients: %+v", r)
		}
		n := entries[1]
		if !n.Sender.Null() || n.Recipients[0].Addr.String() != "sender@example.com" {
			t.Errorf("notification: %+v", n)
		}
		_, env, err := w.q.Get(n.ID)
		if err != nil || env.Recipients[0].Notify != NotifyNever || !env.EightBit || env.Origin != "bounce" {
			t.Errorf("envelope of the notification: %+v, %v", env, err)
		}
		if want := fmt.Sprintf("Subject: failure of %s\r\n\r\nb@bad.example failed 5.1.1\r\n", orig); w.bodyOf(n.ID) != want {
			t.Errorf("notification %q, want %q", w.bodyOf(n.ID), want)
		}
		w.sleep(3 * time.Hour)
		notes := 0
		for _, e := range w.log() {
			if len(e) > 16 && e[len(e)-16:] == "notified failure" {
				notes++
			}
		}
		if notes != 1 {
			t.Errorf("%d notifications of one failure", notes)
		}
	})
}

// Who is told of what (RFC 3461 section 5.2, RFC 5321 section 6.1).
func TestWhoIsNotified(t *testing.T) {
	for _, c := range []struct {
		name   string
		sender string
		notify Notify
		result Result
		want   string // kind, "" for none
	}{
		{"failure, nothing said", "s@example.com", 0, refused("no"), "failure"},
		{"failure, NEVER", "s@example.com", NotifyNever, refused("no"), ""},
		{"failure, SUCCESS only", "s@example.com", NotifySuccess, refused("no"), ""},
		{"failure, FAILURE", "s@example.com", NotifyFailure, refused("no"), "failure"},
		{"failure to the null sender", "", 0, refused("no"), ""},
		{"failure to the null sender that asks for it", "", NotifyFailure, refused("no"), ""},
		{"success, nothing said", "s@example.com", 0, delivered(), ""},
		{"success, SUCCESS", "s@example.com", NotifySuccess, delivered(), "success"},
		{"success, SUCCESS, relayed", "s@example.com", NotifySuccess, Result{Status: Delivered, Relayed: true}, ""},
		{"success to the null sender", "", NotifySuccess, delivered(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, w *world) {
				w.deliver = func(_ context.Context, job *Job) Outcome {
					if job.Route.NextHop == "x.example" {
						return all(job, c.result)
					}
					return all(job, delivered())
				}
				env := to("a@x.example")
				env.Sender = mustParse(c.sender)
				env.Recipients[0].Notify = c.notify
				w.submit(env)
				got := ""
				for _, e := range w.log() {
					var kind string
					if n, _ := fmt.Sscanf(e, "0s notified %s", &kind); n == 1 {
						got += kind
					}
				}
				if got != c.want {
					t.Errorf("notified %q, want %q", got, c.want)
				}
				if left := w.list(Filter{}); len(left) != 0 {
					t.Errorf("left in the queue: %+v", left)
				}
			})
		})
	}
}

func TestDelayWarningOnce(t *testing.T) {
	inBubble(t, func(s *Settings) { s.DelayWarning = conf.Duration(time.Hour) }, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Route.NextHop == "x.example" {
				return all(job, deferred("later"))
			}
			return all(job, delivered())
		}
		env := to("a@x.example", "b@x.example")
		env.Recipients[1].Notify = NotifyFailure // no DELAY
		w.submit(env)
		w.sleep(30 * time.Hour)
		var warned []string
		for _, e := range w.log() {
			if len(e) > 14 && e[len(e)-14:] == "notified delay" {
				warned = append(warned, e)
			}
		}
		if len(warned) != 1 || warned[0][:7] != "1h20m0s" {
			t.Errorf("warnings: %q; want one with the first attempt after an hour", warned)
		}
	})
}

// When the notification cannot be made the original stays, and it is tried again.
func TestNotificationThatCannotBeMade(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		var broken atomic.Bool
		broken.Store(true)
		w.compose = func(*Notice) error {
			if broken.Load() {
				return errors.New("no")
			}
			return nil
		}
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Route.NextHop == "x.example" {
				return all(job, refused("no"))
			}
			return all(job, delivered())
		}
		w.submit(to("a@x.example"))
		synctest.Wait()
		if left := w.list(Filter{}); len(left) != 1 || left[0].Place != Waiting || left[0].Recipients[0].Notified {
			t.Fatalf("queue: %+v", left)
		}
		broken.Store(false)
		w.sleep(10 * time.Minute)
		synctest.Wait()
		if left := w.list(Filter{}); len(left) != 0 || w.try("a@x.example") != 1 || w.try("sender@example.com") != 1 {
			t.Fatalf("queue: %+v, tries %v", left, w.tries)
		}
	})
}

func TestRouterErrors(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		var slow atomic.Bool
		slow.Store(true)
		w.route = func(a addr.Address) (Route, error) {
			switch {
			case a.Domain == "gone.example":
				return Route{}, errPermanent("no such domain")
			case a.Domain == "slow.example" && slow.Load():
				return Route{}, fail.New(fail.Unavailable, "table is down")
			}
			return Route{"smtp", a.Domain}, nil
		}
		w.submit(to("a@gone.example", "b@slow.example"))
		w.wantLog("0s active <sender@example.com> 2", "0s a@gone.example failed 5.4.4", "0s b@slow.example deferred 4.3.0",
			"0s notified failure", "0s active <> 1", "0s sender@example.com delivered 2.0.0", "0s removed")
		slow.Store(false)
		w.sleep(301 * time.Second)
		w.wantLog("5m0s active <sender@example.com> 1", "5m0s b@slow.example delivered 2.0.0", "5m0s removed")
	})
}

// A Deliverer that panics, or forgets results, costs a retry and nothing else.
func TestBadDeliverer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		tries := 0
		w.deliver = func(_ context.Context, job *Job) Outcome {
			tries++
			switch tries {
			case 1:
				panic("oops")
			case 2:
				return Outcome{}
			}
			return all(job, Result{Status: Delivered, Code: Code{Class: 5, Subject: 9, Detail: 9}})
		}
		w.submit(to("a@x.example"))
		w.sleep(20 * time.Minute)
		if log := w.log(); tries != 3 || log[len(log)-2] != "10m0s a@x.example delivered 2.0.0" {
			t.Errorf("%d tries, %q", tries, log)
		}
	})
}

func TestConcurrencyWindow(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			time.Sleep(time.Second)
			return all(job, delivered())
		}
		for range 400 {
			w.submit(to("a@x.example"))
		}
		w.sleep(500 * time.Millisecond)
		if w.top("x.example") != 5 {
			t.Errorf("at first %d at a time, want 5", w.top("x.example"))
		}
		w.sleep(2 * time.Minute)
		if w.top("x.example") != 20 || w.try("a@x.example") != 400 {
			t.Errorf("later %d at a time, want 20; %d tries", w.top("x.example"), w.try("a@x.example"))
		}
	})
}

// A destination is tried less and less when it fails, as package window has it,
// and at once again when one delivery that had begun reaches it after all.
func TestBackFromTheGrave(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			switch job.Recipients[0].Addr.Local {
			case "late":
				time.Sleep(10 * time.Second)
				return all(job, delivered())
			case "good":
				return all(job, delivered())
			}
			time.Sleep(time.Second)
			return down(job)
		}
		w.submit(to("late@x.example"))
		for range 4 {
			w.submit(to("bad@x.example"))
		}
		w.sleep(2 * time.Second)
		if list := w.q.Destinations(); len(list) != 1 || list[0].Down.IsZero() {
			t.Fatalf("five deliveries at a time, four failed: %+v", list)
		}
		w.submit(to("good@x.example"))
		synctest.Wait()
		if w.try("good@x.example") != 0 {
			t.Fatal("tried while the destination is down")
		}
		w.sleep(10 * time.Second)
		w.submit(to("more@x.example"))
		w.submit(to("good@x.example"))
		synctest.Wait()
		if w.try("good@x.example") != 1 {
			t.Error("not tried, though the destination has been reached meanwhile")
		}
	})
}

// With failed_cohort_limit -1 a destination is never down.
func TestNeverDown(t *testing.T) {
	inBubble(t, func(s *Settings) { s.Default.Cohort = -1 }, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome { return down(job) }
		for range 50 {
			w.submit(to("a@x.example"))
		}
		w.sleep(time.Second)
		if n := w.try("a@x.example"); n != 50 {
			t.Errorf("%d tries", n)
		}
	})
}

// A transport that does not work itself rests as a whole, whatever the
// destination; others go on. It is told of once.
func TestTransportFailure(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.route = func(r addr.Address) (Route, error) {
			if strings.HasPrefix(r.Domain, "p") {
				return Route{Transport: "prog", NextHop: r.Domain}, nil
			}
			return Route{Transport: "smtp", NextHop: r.Domain}, nil
		}
		broken := func(_ context.Context, job *Job) Outcome {
			if job.Route.Transport != "prog" {
				return all(job, delivered())
			}
			out := all(job, Result{Status: Deferred, Code: Code{Class: 4, Subject: 3}, Reason: "mail transport unavailable"})
			out.TransportFailure = fail.New(fail.Unavailable, "no socket")
			return out
		}
		w.deliver = broken
		w.submit(to("a@p1.example"))
		synctest.Wait()
		w.submit(to("b@p2.example"))
		synctest.Wait()
		w.submit(to("c@x.example"))
		w.wantLog("0s active <sender@example.com> 1", "0s a@p1.example deferred 4.3.0", "0s transport prog: no socket",
			"0s active <sender@example.com> 1", "0s b@p2.example suspended 4.3.0", "0s active <sender@example.com> 1", "0s c@x.example delivered 2.0.0", "0s removed")
		for _, e := range w.list(Filter{}) {
			if e.Recipients[0].Reason != "mail transport unavailable" {
				t.Errorf("%+v", e.Recipients)
			}
		}
		list := w.q.Destinations()
		if len(list) != 2 || time.Until(list[0].Down) != time.Minute || list[0].Reason != "mail transport unavailable" {
			t.Errorf("destinations: %+v", list)
		}
		w.sleep(time.Minute)
		w.submit(to("d@p3.example"))
		synctest.Wait()
		if w.try("d@p3.example") != 1 || w.try("b@p2.example") != 0 {
			t.Error("after a minute it is tried again, by what comes then")
		}
		w.setDeliver(nil)
		if _, err := w.q.Flush(t.Context(), Selection{All: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if left := w.list(Filter{}); len(left) != 0 {
			t.Errorf("%d left after a flush", len(left))
		}
	})
}

// With one recipient in a delivery the limits are those of the recipient, as
// in Postfix: two deliveries at a time to a mailbox, not to all of them.
func TestRecipientsAreDestinations(t *testing.T) {
	inBubble(t, func(s *Settings) { s.Transports = map[string]Limits{"smtp": {Recipients: 1, Destination: 2}} }, func(t *testing.T, w *world) {
		now, peak, next := map[string]int{}, map[string]int{}, ""
		w.deliver = func(_ context.Context, job *Job) Outcome {
			name := strings.ToLower(job.Recipients[0].Addr.Local)
			w.mu.Lock()
			for _, n := range []string{name, "all"} {
				now[n]++
				peak[n] = max(peak[n], now[n])
			}
			next = job.Route.NextHop
			w.mu.Unlock()
			time.Sleep(time.Second)
			w.mu.Lock()
			now[name]--
			now["all"]--
			w.mu.Unlock()
			return all(job, delivered())
		}
		for range 10 {
			w.submit(to("ann@x.example", "Ann@x.example", "bob@x.example", "eve@x.example"))
		}
		w.sleep(time.Minute)
		if peak["ann"] != 2 || peak["bob"] != 2 || peak["all"] != 6 || next != "x.example" || len(w.list(Filter{})) != 0 {
			t.Errorf("at a time: %v; next hop %s", peak, next)
		}
	})
}

func TestTransportLimit(t *testing.T) {
	inBubble(t, func(s *Settings) { s.Transports = map[string]Limits{"smtp": {Concurrency: 7, Destination: 3}} }, func(t *testing.T, w *world) {
		now, peak := 0, 0
		w.deliver = func(_ context.Context, job *Job) Outcome {
			w.mu.Lock()
			now++
			peak = max(peak, now)
			w.mu.Unlock()
			time.Sleep(time.Second)
			w.mu.Lock()
			now--
			w.mu.Unlock()
			return all(job, delivered())
		}
		for i := range 100 {
			w.submit(to(fmt.Sprintf("a@x%d.example", i%10)))
		}
		w.sleep(time.Hour)
		synctest.Wait()
		if peak != 7 || w.top("x1.example") > 3 || len(w.list(Filter{})) != 0 {
			t.Errorf("%d at a time over the transport, want 7; %d to one destination, want at most 3", peak, w.top("x1.example"))
		}
	})
}

func TestRecipientsPerDelivery(t *testing.T) {
	inBubble(t, func(s *Settings) { s.Default.Recipients = 10 }, func(t *testing.T, w *world) {
		sizes := map[int]int{}
		w.deliver = func(_ context.Context, job *Job) Outcome {
			w.mu.Lock()
			sizes[len(job.Recipients)]++
			w.mu.Unlock()
			return all(job, delivered())
		}
		env := &Envelope{Sender: mustParse("s@example.com")}
		for i := range 25 {
			env.Recipients = append(env.Recipients, Recipient{Addr: mustParse(fmt.Sprintf("u%d@x.example", i))})
		}
		w.submit(env)
		synctest.Wait()
		if sizes[10] != 2 || sizes[5] != 1 || len(w.list(Filter{})) != 0 {
			t.Errorf("deliveries by size: %v", sizes)
		}
	})
}

// A destination that is down delays its own mail only: the others are served
// at once, however much waits for it, and it is not knocked on again and again.
func TestDeadDestination(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Route.NextHop == "dead.example" {
				time.Sleep(30 * time.Second)
				return down(job)
			}
			return all(job, delivered())
		}
		for range 500 {
			w.submit(to("a@dead.example"))
		}
		w.submit(to("b@alive.example"))
		synctest.Wait()
		if w.try("b@alive.example") != 1 {
			t.Error("the living destination waits for the dead one")
		}
		w.sleep(70 * time.Second) // some began while the first were failing
		synctest.Wait()
		if w.try("a@dead.example") > 10 {
			t.Errorf("%d attempts before the destination counts as dead", w.try("a@dead.example"))
		}
		entries := w.list(Filter{Destination: "dead.example"})
		suspended := 0
		for _, e := range entries {
			if e.Place != Waiting {
				t.Fatalf("entry: %+v", e)
			}
			if e.Recipients[0].Reason == "delivery temporarily suspended: connect to dead.example: Connection timed out" && e.Recipients[0].Attempts == 0 {
				suspended++
			}
		}
		if len(entries) != 500 || suspended < 480 {
			t.Errorf("%d of %d messages are suspended", suspended, len(entries))
		}
		// It comes back.
		w.setDeliver(nil)
		w.sleep(time.Hour)
		synctest.Wait()
		if left := w.list(Filter{}); len(left) != 0 {
			t.Errorf("%d messages left", len(left))
		}
	})
}

// A flood to one slow destination must not use up the places of active
// messages: the rest waits unloaded.
func TestSlowFloodLeavesRoom(t *testing.T) {
	inBubble(t, func(s *Settings) { s.ActiveMessages = 100 }, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Route.NextHop == "slow.example" {
				time.Sleep(time.Minute)
			}
			return all(job, delivered())
		}
		for range 1000 {
			w.submit(to("a@slow.example"))
		}
		w.submit(to("b@fast.example"))
		synctest.Wait()
		if w.try("b@fast.example") != 1 {
			t.Error("mail for a fast destination waits behind the flood")
		}
		if st := w.q.Stats(); st.Active > 60 {
			t.Errorf("stats %+v", st)
		}
		w.sleep(4 * time.Hour)
		synctest.Wait()
		if left := w.list(Filter{}); len(left) != 0 || w.try("a@slow.example") != 1000 {
			t.Errorf("%d messages left, %d tries", len(left), w.try("a@slow.example"))
		}
	})
}

// New mail gets every second place at least, however much is due.
func TestNewMailIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		few := func(s *Settings) {
			s.ActiveMessages, s.Transports = 10, map[string]Limits{"smtp": {Concurrency: 1}}
		}
		w := newWorld(t, few)
		w.deliver = func(_ context.Context, job *Job) Outcome { return all(job, deferred("later")) }
		w.start()
		for i := range 200 {
			w.submit(to(fmt.Sprintf("old@d%d.example", i)))
		}
		w.sleep(time.Second)
		w.stop()

		w.sleep(2 * time.Hour) // all of it is due
		var order []string
		w.deliver = func(_ context.Context, job *Job) Outcome { // one at a time
			order = append(order, job.Recipients[0].Addr.Local)
			time.Sleep(time.Second)
			return all(job, delivered())
		}
		w.open(few)
		for i := range 50 {
			w.submit(to(fmt.Sprintf("new@n%d.example", i)))
		}
		w.start()
		w.sleep(10 * time.Minute)
		synctest.Wait()
		if len(order) != 250 {
			t.Fatalf("%d deliveries, want 250", len(order))
		}
		fresh := 0
		for _, who := range order[:100] {
			if who == "new" {
				fresh++
			}
		}
		if fresh < 45 {
			t.Errorf("of the first 100 deliveries %d are new mail, want half", fresh)
		}
		w.stop()
	})
}

func TestStopLetsDeliveriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		ended := 0
		w.deliver = func(ctx context.Context, job *Job) Outcome {
			if job.Route.NextHop == "hung.example" {
				<-ctx.Done() // ends only because the drain time is over
				return all(job, deferred("interrupted"))
			}
			time.Sleep(30 * time.Second)
			w.mu.Lock()
			ended++
			w.mu.Unlock()
			return all(job, delivered())
		}
		w.start()
		for range 20 {
			w.submit(to("a@x.example"))
		}
		w.submit(to("b@hung.example"))
		w.sleep(time.Second)
		began := time.Now()
		w.stop()
		if d := time.Since(began); d != time.Minute || ended != 5 {
			t.Errorf("stop took %v, %d deliveries ended; want the drain time of a minute, 5", d, ended)
		}
		w.setDeliver(nil)
		w.open(nil)
		if n := len(w.list(Filter{})); n != 16 {
			t.Errorf("%d messages after the restart, want 15 and the interrupted one", n)
		}
		w.start()
		w.sleep(time.Hour)
		synctest.Wait()
		if left := w.list(Filter{}); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
		w.stop()
	})
}

// A message that cannot be read is on hold and harms nobody.
func TestDamagedMessageIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := disk.NewForgetful()
		w := &world{t: t, fsys: fsys}
		w.open(nil)
		bad := w.submit(to("a@x.example"))
		good := w.submit(to("b@x.example"))
		if err := w.q.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.OpenFile("/q/segments/segment-0000000001", 2 /* os.O_RDWR */, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("XXXX"), 4096+90); err != nil {
			t.Fatal(err)
		}
		w.open(nil)
		w.start()
		synctest.Wait()
		left := w.list(Filter{})
		if len(left) != 1 || left[0].ID != bad || left[0].Place != Held || !left[0].Damaged {
			t.Errorf("left %+v; want %s on hold and %s delivered", left, bad, good)
		}
		if _, err := w.q.Open(bad); !fail.Is(err, fail.Corrupt) {
			t.Errorf("open: %v", err)
		}
		w.stop()
	})
}
