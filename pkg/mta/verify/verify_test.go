package verify

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// world is a Service in a bubble of synctest, with a script of what probes find.
type world struct {
	*Service
	mu     sync.Mutex
	says   map[string]Answer
	slow   map[string]time.Duration
	probes int
}

func times() Times {
	const day = 24 * time.Hour
	return Times{PositiveExpire: 31 * day, PositiveRefresh: 7 * day, NegativeExpire: 3 * day, NegativeRefresh: 3 * time.Hour}
}

func open(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{says: map[string]Answer{}, slow: map[string]time.Duration{}}
	cfg.Wait, cfg.Timeout, cfg.Now = 9*time.Second, time.Minute, time.Now
	if cfg.Times == (Times{}) {
		cfg.Times = times()
	}
	cfg.Probe = func(ctx context.Context, a addr.Address) Answer {
		w.mu.Lock()
		w.probes++
		got, slow := w.says[a.Local], w.slow[a.Local]
		w.mu.Unlock()
		select {
		case <-time.After(slow):
		case <-ctx.Done():
		}
		return got
	}
	w.Service = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

func (w *world) set(local string, s Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says[local] = Answer{Status: s, Code: "x", Text: "says\n" + s.String()}
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.probes
}

func (w *world) ask(local string) Answer {
	return w.Ask(context.Background(), addr.Address{Local: local, Domain: "x.example"})
}

// step is one event in the life of an address.
type step struct {
	after  time.Duration
	now    Status // what a probe would find
	want   Status
	probes int // in all, up to here
}

func TestAnswersAge(t *testing.T) {
	const day = 24 * time.Hour
	for name, tc := range map[string]struct {
		times Times
		steps []step
	}{
		"good": {times(), []step{
			{0, Deliverable, Deliverable, 1},
			{6 * day, Undeliverable, Deliverable, 1},     // not even looked at
			{day, Undeliverable, Deliverable, 2},         // looked at; a probe that fails changes nothing
			{time.Minute, Undeliverable, Deliverable, 2}, // and does not begin anew at once
			{time.Hour, Undeliverable, Deliverable, 3},   // but after a while
			{24 * day, Undeliverable, Undeliverable, 4},  // until the good answer is too old
		}},
		"refreshed": {times(), []step{
			{0, Deliverable, Deliverable, 1}, {8 * day, Deliverable, Deliverable, 2}, {30 * day, Deliverable, Deliverable, 3},
		}},
		"bad": {times(), []step{
			{0, Undeliverable, Undeliverable, 1},
			{2 * time.Hour, Deliverable, Undeliverable, 1},
			{2 * time.Hour, Deliverable, Undeliverable, 2}, // looked at again, which who asks does not wait for
			{time.Second, Deliverable, Deliverable, 2},
		}},
		"deferred": {times(), []step{
			{0, Deferred, Deferred, 1}, {4 * day, Undeliverable, Undeliverable, 2},
		}},
		"no negatives": {Times{PositiveExpire: day, PositiveRefresh: day, NoNegative: true}, []step{
			{0, Undeliverable, Unknown, 1}, {0, Undeliverable, Unknown, 2}, {0, Deliverable, Deliverable, 3},
		}},
		"nothing found": {times(), []step{{0, Unknown, Unknown, 1}, {0, Deliverable, Deliverable, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, Config{Times: tc.times})
				for i, s := range tc.steps {
					time.Sleep(s.after)
					w.set("joe", s.now)
					got := w.ask("joe")
					synctest.Wait()
					if got.Status != s.want || w.count() != s.probes {
						t.Fatalf("step %d: %+v after %d probes", i, got, w.count())
					}
				}
			})
		})
	}
}

// Many who ask of one address share a probe; nobody waits too long for it, and
// the answer is there later.
func TestAskersShareAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, Config{})
		w.set("slow", Deliverable)
		w.slow["slow"] = 20 * time.Second
		start := time.Now()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got := w.ask("slow"); got.Status != Unknown || got.Text == "" {
					t.Errorf("%+v", got)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 9*time.Second {
			t.Error("waited", d)
		}
		time.Sleep(12 * time.Second)
		if got := w.ask("slow"); got.Status != Deliverable || got.Text != "says deliverable" || w.count() != 1 {
			t.Errorf("%+v after %d probes", got, w.count())
		}
	})
}

func TestCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, Config{Max: 50, Probes: 1})
		for i := range 500 {
			name := fmt.Sprint("u", i)
			w.set(name, Deliverable)
			if got := w.ask(name); got.Status != Deliverable || len(w.known) > 50 {
				t.Fatalf("%s: %+v, %d known", name, got, len(w.known))
			}
		}
		w.slow["stuck"] = time.Hour // the one worker is busy, and the others wait
		var wg sync.WaitGroup
		for i := range waiting + 10 {
			wg.Go(func() {
				if i == 0 {
					w.ask("stuck")
					return
				}
				w.ask(fmt.Sprint("w", i))
			})
		}
		synctest.Wait()
		if len(w.running) > waiting+1 {
			t.Errorf("%d wait", len(w.running))
		}
		wg.Wait()
	})
}

func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := disk.NewForgetful()
		if err := mem.Mkdir("/v", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := mem.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		w := open(t, Config{FS: mem, Path: "/v/map"})
		w.set("joe", Deliverable)
		w.set("ann", Undeliverable)
		w.ask("joe")
		w.ask("ann")
		time.Sleep(saveInterval)
		synctest.Wait()
		mem = mem.Crash()
		w = open(t, Config{FS: mem, Path: "/v/map"})
		if w.ask("joe").Status != Deliverable || w.ask("ann").Status != Undeliverable || w.count() != 0 {
			t.Errorf("%d probes for what was known", w.count())
		}
		for _, bad := range []string{"", "other\n", magic + "\nx\n\t\t\t\t\t\ndeliverable\t-1\t0\tx\ta@b.example\tt\nunknown\t0\t0\tx\ta@b.example\tt\n"} {
			f := disk.NewForgetful()
			if err := disk.WriteFile(f, "/map", []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			if w := open(t, Config{FS: f, Path: "/map"}); len(w.known) != 0 {
				t.Errorf("%q: %v", bad, w.known)
			}
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	f.Add("deliverable\t1\t2\t2.1.5\ta@b.example\ttext")
	f.Add("\t\t\t\t\t")
	f.Fuzz(func(t *testing.T, line string) {
		key, e, ok := parseEntry(line)
		if ok && (key == "" || e.Status == Unknown || strings.Contains(key, "\t")) {
			t.Fatalf("%q: %q %+v", line, key, e)
		}
	})
}
