package sqlpool

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// lines is a session that yields rows until a test stops it.
type lines struct {
	fakeSession
	rows int
	then func(ctx context.Context) error
}

func (l *lines) query(ctx context.Context, _ *Statement, _ []string, row func(Row) bool) error {
	for range l.rows {
		if !row(Row{Columns: []string{"user"}, Values: []Value{{Text: "u"}}}) {
			return ctx.Err()
		}
	}
	if l.then != nil {
		return l.then(ctx)
	}
	return nil
}

// lineDriver makes such sessions.
type lineDriver struct {
	*fake
	rows int
	then func(ctx context.Context) error
}

func (d *lineDriver) connect(ctx context.Context, a address) (session, error) {
	s, err := d.fake.connect(ctx, a)
	if err != nil {
		return nil, err
	}
	f, _ := s.(*fakeSession)
	return &lines{fakeSession: *f, rows: d.rows, then: d.then}, nil
}

func (l *lines) close() { l.fakeSession.close() }

func TestEach(t *testing.T) {
	lost := func(context.Context) error { return errLost }
	for _, tc := range []struct {
		name string
		rows int
		then func(context.Context) error
		stop int // 0: never
		want string
	}{
		{"all", 1000, nil, 0, "1000 <nil>"},
		{"none", 0, nil, 0, "0 <nil>"},
		{"caller stops", 1000, hang, 3, "3 <nil>"},
		{"breaks at once: the other host answers nothing better", 0, lost, 0, "0 database mail: host a: connection reset; host b: connection reset"},
		{"breaks on the way: no second try, nobody gets a user twice", 10, lost, 0, "10 database mail: host a: connection reset"},
		{"hangs on the way", 10, hang, 0, "10 database mail: host a: no answer within query_timeout"},
		{"refused", 0, func(context.Context) error { return errRefused }, 0, "0 database mail: host a: syntax error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{Hosts: []string{"a", "b"}, QueryTimeout: short(20 * time.Second)})
				w.Pool.driver = &lineDriver{w.fake, tc.rows, tc.then}
				n, last := 0, error(nil)
				for _, err := range w.Each(context.Background(), statement(), nil) {
					if last = err; err != nil {
						continue
					}
					if n++; n == tc.stop {
						break
					}
				}
				text := "<nil>"
				if last != nil {
					text = last.Error()
				}
				if want := strings.SplitN(tc.want, " ", 2); text != want[1] || want[0] != strconv.Itoa(n) {
					t.Errorf("%d rows, %s; want %s", n, text, tc.want)
				}
				if w.open != 0 {
					t.Errorf("%d connections are left", w.open)
				}
				if down := len(w.states) > 0; down != strings.Contains(text, "reset") {
					t.Errorf("told %q: a list that takes its time does not take a host down", w.states)
				}
			})
		})
	}
}

// The caller's own time is not the database's.
func TestEachSlowCaller(t *testing.T) { synctest.Test(t, testEachSlowCaller) }

func testEachSlowCaller(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}, QueryTimeout: short(20 * time.Second)})
	w.Pool.driver = &lineDriver{w.fake, 2, nil}
	for _, err := range w.Each(context.Background(), statement(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
	}
}

// Lists have connections of their own, but not any number of them.
func TestEachIsLimited(t *testing.T) { synctest.Test(t, testEachIsLimited) }

func testEachIsLimited(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}, PoolSize: 1, QueryTimeout: short(20 * time.Second)})
	w.slots <- struct{}{}
	for _, err := range w.Each(context.Background(), statement(), nil) {
		if err != nil {
			t.Errorf("a list waits for the connections of logins: %v", err)
		}
	}
	<-w.slots
	for range maxLists {
		w.lists <- struct{}{}
	}
	for _, err := range w.Each(context.Background(), statement(), nil) {
		if !fail.Is(err, fail.Unavailable) {
			t.Error(err)
		}
	}
	for range maxLists {
		<-w.lists
	}
}

func TestEachCancelled(t *testing.T) { synctest.Test(t, testEachCancelled) }

func testEachCancelled(t *testing.T) {
	w := newWorld(t, Config{Hosts: []string{"a"}})
	ctx, cancel := context.WithCancel(context.Background())
	w.Pool.driver = &lineDriver{w.fake, 1, func(ctx context.Context) error {
		cancel()
		return hang(ctx)
	}}
	var last error
	for _, err := range w.Each(ctx, statement(), nil) {
		last = err
	}
	if !errors.Is(last, context.Canceled) || len(w.states) != 0 {
		t.Error(last, w.states)
	}
}
