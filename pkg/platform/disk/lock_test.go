package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// both runs a test on a real disk and in memory.
func both(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, OS(), t.TempDir()) })
	t.Run("forgetful", func(t *testing.T) { test(t, NewForgetful(), "/") })
}

func TestLocks(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "f")
		open := func() File {
			f, err := NewFaulty(fsys).OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			return Guard(f, name)
		}
		a, b := open(), open()
		must := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		busy := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, ErrLocked) || fail.KindOf(err) != fail.Unavailable {
				t.Fatalf("%s: %v", what, err)
			}
		}
		must("a shared", TryLock(a, Shared))
		must("b shared too", TryLock(b, Shared))
		busy("a cannot upgrade", TryLock(a, Exclusive))
		must("b unlocks", Unlock(b))
		must("a upgrades", TryLock(a, Exclusive))
		busy("b shared", TryLock(b, Shared))
		busy("b exclusive", TryLock(b, Exclusive))
		must("a closes", a.Close())
		must("b has it", TryLock(b, Exclusive))

		c := open()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		busy("waiting is called off", Lock(ctx, c, Exclusive))
		got := make(chan error)
		go func() { got <- Lock(context.Background(), c, Exclusive) }()
		must("b unlocks", Unlock(b))
		must("c waited", <-got)
	})
}

// Locks on bytes exclude each other byte by byte, between open files, until they
// are given back or their file is closed.
func TestLockByte(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		open := func() File {
			f, err := fsys.OpenFile(filepath.Join(dir, "f"), os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		a, b := open(), open()
		defer b.Close()
		for i, step := range []struct {
			err  error
			busy bool
		}{
			{TryLockByte(a, 7), false},
			{TryLockByte(a, 1<<40), false},
			{TryLockByte(b, 7), true},
			{TryLockByte(b, 1<<40), true},
			{TryLockByte(b, 8), false},
			{UnlockByte(a, 7), false},
			{TryLockByte(b, 7), false},
			{TryLockByte(a, 7), true},
			{UnlockByte(a, 7), false}, // which b holds
			{TryLockByte(a, 7), true},
			{a.Close(), false},
			{TryLockByte(b, 1<<40), false},
		} {
			if errors.Is(step.err, ErrLocked) != step.busy || !step.busy && step.err != nil {
				t.Errorf("step %d: %v", i, step.err)
			}
		}
	})
}
