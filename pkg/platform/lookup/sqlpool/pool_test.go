package sqlpool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// The second host stands in for the first; the first is tried again after a
// pause that doubles, by one request each time, and takes over when it is back.
func TestFailOverAndBack(t *testing.T) { synctest.Test(t, testFailOverAndBack) }

func testFailOverAndBack(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a", "b"}, RetryAfter: short(2 * time.Second)})
	if got := w.ask(t); got != "a" {
		t.Fatal(got)
	}
	w.set("a", refuse, func(context.Context, *fakeSession) error { return errLost })
	for range 3 {
		if got := w.ask(t); got != "b" {
			t.Fatal(got)
		}
	}
	if w.dialed["a"] != 2 {
		t.Errorf("a was dialed %d times: once before, once when its connection broke", w.dialed["a"])
	}
	// Half a second, one, two, and two again: the cap.
	for i, pause := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Second} {
		time.Sleep(pause - time.Millisecond)
		w.ask(t)
		before := w.dialed["a"]
		time.Sleep(time.Millisecond)
		if got := w.ask(t); got != "b" || w.dialed["a"] != before+1 {
			t.Errorf("pause %d: %s, a dialed %d times more", i, got, w.dialed["a"]-before)
		}
	}
	w.set("a", nil, nil)
	time.Sleep(2 * time.Second)
	if got := w.ask(t); got != "a" {
		t.Fatal(got)
	}
	want := []string{"a host a: connection refused", "a <nil>"}
	if !slices.Equal(w.states, want) {
		t.Errorf("told %q, want %q", w.states, want)
	}
}

func TestAllHostsDown(t *testing.T) { synctest.Test(t, testAllHostsDown) }

func testAllHostsDown(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a", "b"}})
	w.set("a", refuse, nil)
	w.set("b", refuse, nil)
	for _, want := range []string{
		"error: database mail: host a: connection refused; host b: connection refused",
		"error: database mail: host a: connection refused (asked again in 500ms); host b: connection refused (asked again in 500ms)",
	} {
		if got := w.ask(t); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if _, err := w.Rows(context.Background(), statement(), nil, 1); !fail.Is(err, fail.Unavailable) {
		t.Errorf("kind of %v", err)
	}
}

func TestRoundRobin(t *testing.T) { synctest.Test(t, testRoundRobin) }

func testRoundRobin(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a", "b", "c"}, Balance: balanceRoundRobin})
	for range 6 {
		w.ask(t)
	}
	if got := strings.Join(w.order(), ""); got != "abcabc" {
		t.Error(got)
	}
	w.set("b", refuse, func(context.Context, *fakeSession) error { return errLost })
	for range 6 {
		if got := w.ask(t); got == "b" || len(got) != 1 {
			t.Error(got)
		}
	}
}

// A host that hangs costs the requests that it has, not those that come.
func TestHang(t *testing.T) { synctest.Test(t, testHang) }

func testHang(t *testing.T) {
	w := newWorld(t, Config{
		Hosts: []string{"a", "b"}, ConnectTimeout: short(20 * time.Second), QueryTimeout: short(20 * time.Second),
	})
	w.ask(t)
	w.set("a", hang, hangAnswer)
	if got := w.ask(t); got != "b" {
		t.Fatal(got)
	}
	if got := w.ask(t); got != "b" {
		t.Fatal(got)
	}
	if got := strings.Join(w.order(), ""); got != "aabb" {
		t.Errorf("asked %s: a is asked once more and left alone then", got)
	}
	w.set("b", hang, hangAnswer)
	time.Sleep(time.Minute)
	got := w.ask(t)
	if want := "error: database mail: host a: no connection within connect_timeout; host b: no answer within query_timeout"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Connections that died while they were idle are replaced without a word.
func TestRestart(t *testing.T) { synctest.Test(t, testRestart) }

func testRestart(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}})
	w.ask(t)
	for _, err := range []error{errLost, errStale} {
		dialed := w.dialed["a"]
		w.set("a", nil, func(_ context.Context, s *fakeSession) error {
			if s.used > 1 {
				return err
			}
			return nil
		})
		if got := w.ask(t); got != "a" || w.dialed["a"] != dialed+1 {
			t.Errorf("%v: %s, dialed %d times", err, got, w.dialed["a"]-dialed)
		}
	}
	if len(w.states) != 0 {
		t.Errorf("told %q", w.states)
	}
}

// What a database refuses, it would refuse again: no other host is asked, the
// host is not blamed and the connection is kept.
func TestRefused(t *testing.T) { synctest.Test(t, testRefused) }

func testRefused(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a", "b"}})
	w.set("a", nil, func(context.Context, *fakeSession) error { return errRefused })
	for range 3 {
		if got := w.ask(t); got != "error: database mail: host a: syntax error" {
			t.Error(got)
		}
	}
	if w.dialed["a"] != 1 || w.dialed["b"] != 0 {
		t.Error(w.dialed)
	}
}

// What a database cannot write in its encoding is in none of its rows. A query
// that is wrong for every parameter is something else.
func TestUntranslatable(t *testing.T) { synctest.Test(t, testUntranslatable) }

func testUntranslatable(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}})
	ask := func(arg string) string {
		rows, err := w.Rows(context.Background(), NewStatement("", 1), []string{arg}, 1)
		return fmt.Sprint(len(rows), err)
	}
	w.set("a", nil, func(_ context.Context, s *fakeSession) error {
		if s.args[0] == "☃" {
			return errEncoding
		}
		return nil
	})
	if got := ask("a") + " " + ask("☃"); got != "1 <nil> 0 <nil>" {
		t.Error(got)
	}
	w.set("a", nil, func(context.Context, *fakeSession) error { return errEncoding })
	for _, arg := range []string{"a", "☃"} {
		if got := ask(arg); got != "0 database mail: host a: no such character: syntax error" {
			t.Error(got)
		}
	}
}

// An update goes on to the host that can be written; with a secret among the
// parameters, error texts do not tell what the database said.
func TestExec(t *testing.T) { synctest.Test(t, testExec) }

func testExec(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a", "b"}})
	w.set("a", nil, func(context.Context, *fakeSession) error { return errReadOnly })
	fine := func(int64) error { return nil }
	if err := w.Exec(context.Background(), statement(), nil, fine); err != nil {
		t.Fatal(err)
	}
	if len(w.states) != 0 {
		t.Errorf("told %q: a replica is well", w.states)
	}
	w.set("a", nil, func(context.Context, *fakeSession) error { return errRefused })
	secret := statement()
	secret.Secret()
	if err := w.Exec(context.Background(), secret, nil, fine); err == nil || err.Error() != "database mail: host a: withheld" {
		t.Error(err)
	}
	if _, err := w.Rows(context.Background(), secret, nil, 1); err == nil || err.Error() != "database mail: host a: withheld" {
		t.Error(err)
	}
	w.set("a", nil, nil)
	err := w.Exec(context.Background(), statement(), nil, func(int64) error { return fail.New(fail.NotFound, "nobody") })
	if !fail.Is(err, fail.NotFound) || !strings.HasSuffix(err.Error(), "nobody") {
		t.Errorf("%v (%v)", err, fail.KindOf(err))
	}
}

// A caller who gives up closes the connection, and the host is not blamed.
func TestCancel(t *testing.T) { synctest.Test(t, testCancel) }

func testCancel(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}})
	for _, where := range []func(){
		func() { w.set("a", hang, nil) },
		func() { w.set("a", nil, hangAnswer) },
	} {
		where()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			_, err := w.Rows(ctx, statement(), nil, 1)
			done <- err
		}()
		cancel()
		if err := <-done; !fail.Is(err, fail.Temporary) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		w.set("a", nil, nil)
		if got := w.ask(t); got != "a" {
			t.Error(got)
		}
	}
	if len(w.states) != 0 {
		t.Errorf("told %q", w.states)
	}
}

// There are never more connections than pool_size, and who waits too long is
// told so.
func TestSlots(t *testing.T) { synctest.Test(t, testSlots) }

func testSlots(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}, PoolSize: 3})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := w.ask(t); got != "a" {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	if w.highest > 3 {
		t.Errorf("%d connections at a time", w.highest)
	}

	w = newWorld(t, Config{Hosts: []string{"a"}, PoolSize: 1, QueryTimeout: short(20 * time.Second)})
	w.slots <- struct{}{}
	if got := w.ask(t); got != "error: database mail: no connection became free within 20s (pool_size is 1)" {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.Rows(ctx, statement(), nil, 1); !fail.Is(err, fail.Temporary) {
		t.Error(err)
	}
	w.waiting.Add(maxWaiting)
	if got := w.ask(t); got != "error: database mail: 4096 requests wait already" {
		t.Error(got)
	}
	w.waiting.Store(0)
	<-w.slots
}

// Idle and old connections are closed.
func TestAge(t *testing.T) { synctest.Test(t, testAge) }

func testAge(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}})
	w.ask(t)
	time.Sleep(maxIdle + time.Second)
	w.ask(t)
	if w.dialed["a"] != 2 || w.open != 1 {
		t.Errorf("dialed %d times, %d open", w.dialed["a"], w.open)
	}
	for range 20 {
		time.Sleep(maxIdle)
		w.ask(t)
	}
	if w.dialed["a"] != 3 {
		t.Errorf("dialed %d times", w.dialed["a"])
	}
}

// Connections to a host that stood in are closed when it is no longer asked.
func TestStandInIsLeft(t *testing.T) { synctest.Test(t, testStandInIsLeft) }

func testStandInIsLeft(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a", "b"}})
	w.set("a", refuse, nil)
	w.ask(t)
	w.set("a", nil, nil)
	time.Sleep(maxIdle + time.Second)
	w.ask(t)
	if s := w.Status(); s.Hosts[0].Idle != 1 || s.Hosts[1].Idle != 0 {
		t.Errorf("%+v", s)
	}
}

// A request that comes after Close, because it began before a reload, is
// answered and leaves no connection.
func TestAfterClose(t *testing.T) { synctest.Test(t, testAfterClose) }

func testAfterClose(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}})
	w.ask(t)
	w.Pool.Close()
	if got := w.ask(t); got != "a" || w.open != 0 {
		t.Errorf("%s, %d open", got, w.open)
	}
}

// While one request tries a host that was down, the others do not wait for it.
func TestOneProbe(t *testing.T) { synctest.Test(t, testOneProbe) }

func testOneProbe(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a", "b"}})
	w.set("a", refuse, nil)
	w.ask(t)
	trying, finish := make(chan struct{}), make(chan struct{})
	w.set("a", func(context.Context) error {
		close(trying)
		<-finish
		return nil
	}, nil)
	time.Sleep(time.Second)
	probe := make(chan string)
	go func() { probe <- w.ask(t) }()
	<-trying
	if got := w.ask(t); got != "b" {
		t.Error(got)
	}
	close(finish)
	if got := <-probe; got != "a" {
		t.Error(got)
	}
}

func TestStatus(t *testing.T) { synctest.Test(t, testStatus) }

func testStatus(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a", "b"}})
	w.set("a", refuse, nil)
	w.ask(t)
	got := w.Status()
	want := []HostStatus{{Host: "a", Why: "host a: connection refused", Next: firstPause}, {Host: "b", Up: true, Idle: 1}}
	if got.InUse != 0 || got.Waiting != 0 || !slices.Equal(got.Hosts, want) {
		t.Errorf("%+v", got)
	}
}
