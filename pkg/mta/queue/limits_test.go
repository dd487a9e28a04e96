package queue

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// tick is when deliveries began, in seconds from the start.
type ticks struct {
	w  *world
	at []string
}

func (k *ticks) deliver(_ context.Context, job *Job) Outcome {
	k.w.mu.Lock()
	k.at = append(k.at, fmt.Sprintf("%d:%s", int(time.Since(k.w.began).Seconds()), job.Route.NextHop))
	k.w.mu.Unlock()
	return all(job, delivered())
}

func TestRateDelays(t *testing.T) {
	for _, c := range []struct {
		dest, transport time.Duration
		want            string
	}{
		{0, 0, "0:a.example 0:a.example 0:a.example 0:b.example"},
		{10 * time.Second, 0, "0:a.example 0:b.example 10:a.example 20:a.example"},
		{0, 10 * time.Second, "0:a.example 10:b.example 20:a.example 30:a.example"},
	} {
		change := func(s *Settings) {
			s.Transports = map[string]Limits{"smtp": {DestinationDelay: conf.Duration(c.dest), TransportDelay: conf.Duration(c.transport)}}
		}
		inBubble(t, change, func(t *testing.T, w *world) {
			k := &ticks{w: w}
			w.deliver = k.deliver
			for _, rcpt := range []string{"1@a.example", "2@a.example", "3@a.example", "1@b.example"} {
				w.submit(to(rcpt))
			}
			w.sleep(time.Minute)
			slices.SortStableFunc(k.at, func(a, b string) int { return len(a) - len(b) })
			if c.transport == 0 {
				slices.Sort(k.at)
			}
			got := strings.Join(k.at, " ")
			if c.transport > 0 { // which of the destinations comes when is the turns' business
				got = strings.NewReplacer("a.example", "", "b.example", "").Replace(got)
				c.want = strings.NewReplacer("a.example", "", "b.example", "").Replace(c.want)
			}
			if got != c.want {
				t.Errorf("%+v: %s", c, got)
			}
		})
	}
}

// A message to many at one site lets others overtake, each for some deliveries
// of its own: see package turns.
func TestSmallMessagesOvertake(t *testing.T) {
	change := func(s *Settings) { s.Default = Limits{Concurrency: 1, Initial: 1, Destination: 1, Recipients: 10} }
	inBubble(t, change, func(t *testing.T, w *world) {
		var order []int
		w.deliver = func(_ context.Context, job *Job) Outcome {
			time.Sleep(time.Second)
			order = append(order, len(job.Recipients))
			return all(job, delivered())
		}
		list := make([]string, 400)
		for i := range list {
			list[i] = fmt.Sprintf("u%d@big.example", i)
		}
		w.submit(to(list...))
		synctest.Wait()
		for i := range 5 {
			w.submit(to(fmt.Sprintf("single%d@big.example", i)))
		}
		w.sleep(time.Minute)
		if len(order) != 45 {
			t.Fatalf("%d deliveries", len(order))
		}
		last := 0
		for i, n := range order {
			if n == 1 {
				last = i
			}
		}
		if last > 30 || order[0] != 10 || order[44] != 10 {
			t.Errorf("the last single message was delivery %d of %v", last, order)
		}
	})
}

// A list with more recipients than may be active keeps other lists waiting
// until its own are fewer, but no message with few recipients.
func TestLargeListLeavesRoom(t *testing.T) {
	change := func(s *Settings) { s.ActiveRecipients, s.Default.Recipients, s.Default.Destination = 100, 20, 1 }
	inBubble(t, change, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			time.Sleep(time.Minute)
			return all(job, delivered())
		}
		list := func(domain string, n int) {
			rcpts := make([]string, n)
			for i := range rcpts {
				rcpts[i] = fmt.Sprintf("u%d@%s", i, domain)
			}
			w.submit(to(rcpts...))
			synctest.Wait()
		}
		list("one.example", 160) // 8 deliveries, of which 4 leave fewer than 100 recipients
		list("two.example", 30)
		list("few.example", 10)
		if w.try("u0@one.example") != 1 || w.try("u0@two.example") != 0 || w.try("u0@few.example") != 1 {
			t.Fatalf("at first: %v", w.tries)
		}
		if e := w.list(Filter{Destination: "two.example"}); len(e) != 1 || e[0].Place != Active {
			t.Errorf("the second list: %+v", e)
		}
		for m := 1; w.try("u0@two.example") == 0; m++ {
			w.sleep(time.Minute)
			if m > 4 {
				t.Fatal("the second list waits for the end of the first")
			}
		}
		if w.try("u159@one.example") != 0 {
			t.Error("the first list is done, and the test says nothing")
		}
		w.sleep(time.Hour)
		if left := w.list(Filter{}); len(left) != 0 || w.q.sched.recipients != 0 {
			t.Errorf("%d left, %d recipients counted", len(left), w.q.sched.recipients)
		}
	})
}

// What is paused waits, does not expire, and goes on when it is resumed; a
// restart changes nothing about it.
func TestPause(t *testing.T) {
	for _, name := range []string{"a.example", "smtp:", "smtp:a.example", All, "x@a.example", "smtp:x@a.example"} {
		change := func(s *Settings) {
			s.Lifetime = conf.Duration(time.Hour)
			if strings.Contains(name, "@") {
				s.Transports = map[string]Limits{"smtp": {Recipients: 1}}
			}
		}
		inBubble(t, change, func(t *testing.T, w *world) {
			w.deliver = func(_ context.Context, job *Job) Outcome { return all(job, delivered()) }
			if err := w.q.Pause(name); err != nil {
				t.Fatal(err)
			}
			w.submit(to("x@a.example"))
			w.submit(to("x@b.example"))
			w.sleep(3 * time.Hour)
			stays := 1
			if name == All || name == "smtp:" {
				stays = 2
			}
			if list := w.list(Filter{}); len(list) != stays || list[0].Recipients[0].Reason != pausedReason || list[0].Recipients[0].Status != Deferred {
				t.Fatalf("%s: %+v", name, list)
			}
			w.stop()
			w.open(change)
			w.start()
			w.sleep(time.Hour)
			if n := len(w.list(Filter{})); n != stays {
				t.Errorf("%s: after a restart %d messages are left", name, n)
			}
			if got := w.q.Paused(); len(got) != 1 || got[0] != name {
				t.Errorf("paused: %q", got)
			}
			if n, err := w.q.Resume(context.Background(), name); err != nil || n != stays {
				t.Errorf("%s: Resume: %d, %v", name, n, err)
			}
			synctest.Wait()
			if n := len(w.list(Filter{})); n != 0 {
				t.Errorf("%s: %d messages are left", name, n)
			}
			if _, err := w.q.Resume(context.Background(), name); !fail.Is(err, fail.NotFound) {
				t.Errorf("%s: resumed twice: %v", name, err)
			}
		})
	}
}

// Over a deferred transport nothing goes before somebody asks for it.
func TestDeferTransports(t *testing.T) {
	inBubble(t, func(s *Settings) { s.DeferTransports = []string{"smtp"} }, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome { return all(job, delivered()) }
		w.submit(to("x@a.example"))
		w.sleep(24 * time.Hour)
		if w.try("x@a.example") != 0 {
			t.Fatal("was tried")
		}
		if n, err := w.q.Flush(context.Background(), Selection{All: true}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		if w.try("x@a.example") != 1 {
			t.Error("was not tried")
		}
	})
}

// While mail comes in much faster than it goes out, those who bring it wait.
func TestInFlowDelay(t *testing.T) {
	change := func(s *Settings) {
		s.ActiveMessages, s.InFlowDelay = 10, conf.Duration(2*time.Second)
		s.Default = Limits{Concurrency: 1, Initial: 1, Destination: 1}
	}
	inBubble(t, change, func(t *testing.T, w *world) {
		w.deliver = func(ctx context.Context, job *Job) Outcome {
			select {
			case <-ctx.Done():
			case <-time.After(time.Hour):
			}
			return all(job, delivered())
		}
		slow := 0
		for i := range 80 {
			began := time.Now()
			w.submit(to(fmt.Sprintf("x@d%d.example", i)))
			if time.Since(began) == 2*time.Second {
				slow++
			}
		}
		if slow < 10 || slow > 40 {
			t.Errorf("%d of 80 had to wait", slow)
		}
	})
}

// With zero_removed files are zero before they are removed, and a crash on the
// way damages nothing.
func TestZeroRemoved(t *testing.T) {
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fsys := disk.NewForgetful()
			w := &world{t: t, fsys: fsys}
			w.open(func(s *Settings) { s.ZeroRemoved, s.SegmentSize, s.LargeMessage = true, 64<<10, 4<<10 })
			w.deliver = func(_ context.Context, job *Job) Outcome { return all(job, delivered()) }
			erased := 0
			fsys.OnPoint(func(name string) {
				if name == "queue.erased" {
					erased++
				}
			})
			if crash {
				fsys.CrashAt("queue.erased:3")
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- w.q.Run(ctx, Consumers{w, w, w, w}, time.Second) }()
			for i := range 200 {
				_ = w.trySubmit(to("x@a.example"), 1000+i%10/9*9000)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			cancel()
			<-done
			_ = w.q.Close()
			if erased == 0 || fsys.Crashed() != crash {
				t.Errorf("%d files were erased; crashed: %v", erased, fsys.Crashed())
			}
			after := fsys.CrashRandom(1)
			r, err := Check(context.Background(), Config{Settings: *w.q.settings.Load(), Dir: "/q", FS: after}, false)
			if err != nil || len(r.Damage) > 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// All that the queue needs to know is in memory: nothing looks for mail in folders
// once it is open, whatever is tried again or asked for.
func TestNoFolderIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := disk.NewFaulty(disk.NewForgetful())
		w := &world{t: t, fsys: faulty}
		w.open(nil)
		w.setDeliver(func(_ context.Context, job *Job) Outcome {
			if job.Attempt < 3 {
				return all(job, deferred("450 later"))
			}
			return all(job, delivered())
		})
		faulty.Add(disk.Fault{Op: disk.OpReadDir, Err: syscall.EIO, Forever: true})
		w.start()
		for i := range 40 {
			w.submit(to(fmt.Sprintf("a%d@x.example", i)))
		}
		w.sleep(time.Minute)
		if n := len(w.list(Filter{})); n != 40 {
			t.Errorf("%d messages wait", n)
		}
		w.sleep(time.Hour)
		if n := len(w.list(Filter{})); n != 0 {
			t.Errorf("%d messages are left", n)
		}
		w.stop()
		if n := faulty.Hits(); n != 0 {
			t.Errorf("a folder was read %d times", n)
		}
	})
}

// Most of what waits for a destination that is down waits unloaded. It is tried
// less and less often, and expires in time, as if it had been tried.
func TestBacklogOfDeadDestinationExpires(t *testing.T) {
	change := func(s *Settings) {
		s.ActiveMessages, s.Lifetime, s.BounceLifetime = 100, conf.Duration(time.Hour), conf.Duration(time.Hour)
	}
	inBubble(t, change, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Route.NextHop != "dead.example" {
				return all(job, delivered())
			}
			time.Sleep(30 * time.Second)
			return down(job)
		}
		routed := 0
		w.route = func(r addr.Address) (Route, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if r.Domain == "dead.example" {
				routed++
			}
			return Route{Transport: "smtp", NextHop: r.Domain}, nil
		}
		const messages = 500
		for range messages {
			w.submit(to("a@dead.example"))
		}
		w.sleep(150 * time.Minute)
		if n := len(w.list(Filter{})); n != 0 {
			t.Errorf("%d messages of %d have not expired", n, messages)
		}
		if routed > 8*messages { // 0, 5, 10, 20, 40 minutes, an hour and more
			t.Errorf("messages became active %d times each", routed/messages)
		}
	})
}

// What is known of destinations is bounded by those of the last minutes: of a
// spam run to domains that do not answer nothing is left afterwards.
func TestDeadDestinationsAreForgotten(t *testing.T) {
	change := func(s *Settings) {
		s.Lifetime, s.ActiveRecipients, s.Default.Concurrency = 0, 200000, 1000
	}
	inBubble(t, change, func(t *testing.T, w *world) {
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Route.NextHop == "example.com" {
				return all(job, delivered())
			}
			return down(job)
		}
		const messages, each = 30, 1000
		for m := range messages {
			rcpts := make([]string, each)
			for i := range rcpts {
				rcpts[i] = fmt.Sprintf("a@d%d.dead.example", m*each+i)
			}
			w.submit(to(rcpts...))
		}
		synctest.Wait()
		known := func() int {
			w.q.sched.mu.Lock()
			defer w.q.sched.mu.Unlock()
			return len(w.q.sched.transports["smtp"].dests)
		}
		if n := known(); n < messages*each {
			t.Errorf("%d destinations are known, want all for as long as they count as troubled", n)
		}
		w.sleep(10 * time.Minute)
		if n := known(); n != 0 || len(w.list(Filter{})) != 0 {
			t.Errorf("%d destinations are known, %d messages left", n, len(w.list(Filter{})))
		}
	})
}

// A destination that is down takes less than a kilobyte, and gives it back.
func TestMemoryOfDestinations(t *testing.T) {
	s := &scheduler{q: &Queue{cfg: Config{Now: time.Now}}, transports: map[string]*transport{}}
	set := DefaultSettings()
	s.q.settings.Store(&set)
	now := time.Now()
	before := heap()
	const many = 100000
	for i := range many {
		name := fmt.Sprintf("d%d.dead.example", i)
		d := s.dest(&bundle{route: Route{Transport: "smtp", NextHop: name}, key: name})
		for !d.failedSite(now, time.Minute, deferred("connect to mx.example[192.0.2.1]:25: Connection timed out")) {
			continue
		}
	}
	if size := (heap() - before) / many; size < 100 || size > 1000 {
		t.Errorf("a destination takes %d bytes", size)
	}
	s.forget(now)
	if n := len(s.transports["smtp"].dests); n != many {
		t.Fatalf("%d are known while they are down", n)
	}
	for seconds := 0; len(s.transports["smtp"].dests) > 0; seconds++ {
		if s.forget(now.Add(10 * time.Minute)); seconds > 600 {
			t.Fatalf("%d are known for ever", len(s.transports["smtp"].dests))
		}
	}
	if left := heap() - before; left > 256<<10 {
		t.Errorf("%d KiB are left of it", left>>10)
	}
	runtime.KeepAlive(s)
}

// heap is what is in use, garbage apart.
func heap() int64 {
	runtime.GC()
	runtime.GC() // pools keep what they have for one more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A message that makes a consumer panic is tried again later; it takes neither
// the queue nor other messages with it.
func TestConsumersThatPanic(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		routes, notices := 0, 0
		w.route = func(a addr.Address) (Route, error) {
			if routes++; routes == 1 {
				panic("route")
			}
			return Route{"smtp", a.Domain}, nil
		}
		w.compose = func(*Notice) error {
			if notices++; notices == 1 {
				panic("compose")
			}
			return nil
		}
		w.deliver = func(_ context.Context, job *Job) Outcome {
			if job.Envelope.Sender.Null() {
				return all(job, delivered())
			}
			return all(job, refused("no"))
		}
		w.submit(to("a@x.example"))
		w.sleep(time.Hour)
		if told := count(w.log(), "failure"); told != 1 || routes != 3 || notices != 2 || len(w.list(Filter{})) != 0 {
			t.Errorf("told %d times, %d routes, %d notices, left %v", told, routes, notices, places(w))
		}
	})
}
