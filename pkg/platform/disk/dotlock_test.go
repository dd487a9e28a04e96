package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// clock is a time that only moves when somebody sleeps.
type clock struct {
	mu    sync.Mutex
	t     time.Time
	slept func()
}

func newClock() *clock { return &clock{t: time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	c.t = c.t.Add(d)
	slept := c.slept
	c.mu.Unlock()
	if slept != nil {
		slept()
	}
	return ctx.Err()
}

func (c *clock) options() DotLockOptions { return DotLockOptions{Now: c.now, Sleep: c.sleep} }

func dotFS(t *testing.T) (*Forgetful, *clock) {
	m, c := NewForgetful(), newClock()
	m.SetNow(c.now)
	put(t, m, "/list", "old")
	return m, c
}

func TestDotLockExcludes(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "list")
		ctx := context.Background()
		l, err := AcquireDotLock(ctx, fsys, name, DotLockOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = AcquireDotLock(ctx, fsys, name, DotLockOptions{Timeout: -1})
		if !errors.Is(err, ErrLocked) || fail.KindOf(err) != fail.Unavailable {
			t.Fatal(err)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(); err != nil {
			t.Fatalf("second release: %v", err)
		}
		l, err = AcquireDotLock(ctx, fsys, name, DotLockOptions{Timeout: -1})
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, l, "new")
		if err := l.Commit(); err != nil {
			t.Fatal(err)
		}
		if got := get(t, fsys, name); got != "new" {
			t.Fatal(got)
		}
		if ok, _ := Exists(fsys, name+".lock"); ok {
			t.Fatal("the lock is still there")
		}
		if err := l.Commit(); fail.KindOf(err) != fail.Invalid {
			t.Fatal(err)
		}
	})
}

func TestDotLockTimes(t *testing.T) {
	ctx := context.Background()

	t.Run("waits as long as the holder touches", func(t *testing.T) {
		m, c := dotFS(t)
		start := c.now()
		held, err := AcquireDotLock(ctx, m, "/list", c.options())
		if err != nil {
			t.Fatal(err)
		}
		c.slept = func() {
			if err := held.Touch(); err != nil {
				t.Error(err)
			}
		}
		opts := c.options()
		opts.Timeout = 300 * time.Second
		_, err = AcquireDotLock(ctx, m, "/list", opts)
		if !errors.Is(err, ErrLocked) {
			t.Fatal(err)
		}
		if waited := c.now().Sub(start); waited < 299*time.Second || waited > 301*time.Second {
			t.Fatalf("waited %v", waited)
		}
		if err := held.Release(); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("breaks a stale lock", func(t *testing.T) {
		m, c := dotFS(t)
		start := c.now()
		dead, err := AcquireDotLock(ctx, m, "/list", c.options())
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, dead, "of the dead")
		opts := c.options()
		opts.Timeout = 300 * time.Second
		l, err := AcquireDotLock(ctx, m, "/list", opts)
		if err != nil {
			t.Fatal(err)
		}
		if waited := c.now().Sub(start); waited < 120*time.Second || waited > 121*time.Second {
			t.Fatalf("broke it after %v", waited)
		}
		// The dead one wakes up and must notice.
		if err := dead.Touch(); !errors.Is(err, ErrLocked) {
			t.Fatal(err)
		}
		if err := dead.Commit(); !errors.Is(err, ErrLocked) {
			t.Fatal(err)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
		if left, _ := m.ReadDir("/"); len(left) != 1 || get(t, m, "/list") != "old" {
			t.Fatalf("left behind: %v", left)
		}
	})

	t.Run("a lock from the future ages from when it was seen", func(t *testing.T) {
		m, c := dotFS(t)
		put(t, m, "/list.lock", "")
		if err := m.Chtimes("/list.lock", c.now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		start := c.now()
		opts := c.options()
		opts.Timeout = 300 * time.Second
		if _, err := AcquireDotLock(ctx, m, "/list", opts); err != nil {
			t.Fatal(err)
		}
		if waited := c.now().Sub(start); waited < 120*time.Second || waited > 121*time.Second {
			t.Fatalf("broke it after %v", waited)
		}
	})

	t.Run("an old lock is broken at once", func(t *testing.T) {
		m, c := dotFS(t)
		put(t, m, "/list.lock", "")
		_ = m.Chtimes("/list.lock", c.now().Add(-time.Hour))
		opts := c.options()
		opts.Timeout = -1
		if _, err := AcquireDotLock(ctx, m, "/list", opts); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("waiting ends with the context", func(t *testing.T) {
		m, c := dotFS(t)
		if _, err := AcquireDotLock(ctx, m, "/list", c.options()); err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err := AcquireDotLock(ended, m, "/list", c.options())
		if !errors.Is(err, ErrLocked) || !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

func TestDotLockCommitFailures(t *testing.T) {
	for _, op := range []Op{OpSync, OpRename, OpSyncDir} {
		m, c := dotFS(t)
		f := NewFaulty(m)
		l, err := AcquireDotLock(context.Background(), f, "/list", c.options())
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, l, "new")
		f.Add(Fault{Op: op, Err: syscall.EIO})
		if err := l.Commit(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", op, err)
		}
		if ok, _ := Exists(m, "/list.lock"); ok {
			t.Errorf("%s: the lock stays after a failed commit", op)
		}
		if got := get(t, m, "/list"); (got == "old") != (op != OpSyncDir) {
			t.Errorf("%s: list is %q", op, got)
		}
	}
}

func TestDotLockCommitSurvives(t *testing.T) {
	for n := 0; ; n++ {
		m, c := dotFS(t)
		if err := m.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		l, err := AcquireDotLock(context.Background(), m, "/list", c.options())
		if err != nil {
			t.Fatal(err)
		}
		m.CrashAfter(n)
		file, _, err := l.Replacement()
		if err == nil {
			_, err = file.Write([]byte("new"))
		}
		if err == nil {
			err = l.Commit()
		}
		for seed := range uint64(50) {
			got := get(t, m.CrashRandom(seed), "/list")
			if got != "new" && (got != "old" || err == nil) {
				t.Fatalf("after %d changes: %q, %v", n, got, err)
			}
		}
		if err == nil {
			break
		}
	}
}

func TestDotLockCannotBeMade(t *testing.T) {
	full := NewFaulty(NewForgetful(), Fault{Op: OpCreate, Err: syscall.ENOSPC})
	if _, err := AcquireDotLock(context.Background(), full, "/list", DotLockOptions{}); !IsFull(err) {
		t.Fatal(err)
	}
	if _, err := AcquireDotLock(context.Background(), OS(), filepath.Join(t.TempDir(), "no", "list"), DotLockOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// With a spare file a lock is made anew by a link, and is a lock like any other.
func TestSpare(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		ctx, name, aside := context.Background(), filepath.Join(dir, "list"), filepath.Join(dir, "aside")
		put(t, fsys, name, "old")
		spare := new(Spare)
		spare.At(aside)
		lock := func() (*DotLock, ID) {
			t.Helper()
			l, err := AcquireDotLock(ctx, fsys, name, DotLockOptions{Timeout: -1, Spare: spare})
			must(t, err)
			info, err := fsys.Stat(name + ".lock")
			must(t, err)
			if _, err := AcquireDotLock(ctx, fsys, name, DotLockOptions{Timeout: -1}); !errors.Is(err, ErrLocked) {
				t.Fatalf("a second lock: %v", err)
			}
			return l, IDOf(info)
		}
		release := func(l *DotLock) {
			t.Helper()
			must(t, l.Release())
			if ok, _ := Exists(fsys, name+".lock"); ok {
				t.Fatal("the lock is still there")
			}
		}
		l, first := lock()
		release(l)
		l, again := lock()
		if first != again {
			t.Error("the spare file was not used")
		}
		release(l)
		must(t, fsys.Remove(aside)) // somebody cleans up
		l, _ = lock()
		release(l)
		l, _ = lock()
		overwrite(t, l, "new")
		must(t, l.Commit())
		if got := get(t, fsys, name); got != "new" {
			t.Error(got)
		}
		l, _ = lock()
		release(l)
		if got := get(t, fsys, name); got != "new" || get(t, fsys, aside) != selfText(fsys) {
			t.Errorf("%q: the spare file has become the protected one", got)
		}
		spare.Drop(fsys)
		if ok, _ := Exists(fsys, aside); ok {
			t.Error("the spare file is still there")
		}
	})
}

// A spare file may be old when it becomes a lock; that does not make it stale.
func TestSpareIsFresh(t *testing.T) {
	m, c := dotFS(t)
	opts := c.options()
	opts.Spare = new(Spare)
	opts.Spare.At("/aside")
	l, err := AcquireDotLock(context.Background(), m, "/list", opts)
	must(t, err)
	must(t, l.Release())
	must(t, c.sleep(context.Background(), time.Hour))
	l, err = AcquireDotLock(context.Background(), m, "/list", opts)
	must(t, err)
	other := c.options()
	other.Timeout = 100 * time.Second
	if _, err := AcquireDotLock(context.Background(), m, "/list", other); !errors.Is(err, ErrLocked) {
		t.Errorf("the lock was broken: %v", err)
	}
	must(t, l.Release())
}

// Where links cannot be made each lock is a new file.
func TestSpareWithoutLinks(t *testing.T) {
	faulty := NewFaulty(NewForgetful(), Fault{Op: OpLink, Err: syscall.EPERM, Forever: true})
	spare := new(Spare)
	spare.At("/aside")
	for range 3 {
		l, err := AcquireDotLock(context.Background(), faulty, "/list", DotLockOptions{Spare: spare})
		must(t, err)
		must(t, l.Release())
	}
	if ok, _ := Exists(faulty, "/aside"); ok || faulty.Hits() != 1 {
		t.Errorf("%d links tried, the spare file is there: %v", faulty.Hits(), ok)
	}
}

func overwrite(t *testing.T, l *DotLock, text string) {
	t.Helper()
	file, _, err := l.Replacement()
	must(t, err)
	_, err = file.Write([]byte(text))
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
