package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk/holder"
)

// process is a file system as one process uses it. Something may happen before
// each of its operations.
type process struct {
	FS
	name   string
	dead   map[string]bool   // processes, by name
	before func(n int) error // may be nil; an error forbids the operation
	n      int
}

var errKilled = errors.New("killed")

const processText = "1:process\x00"

func (p *process) self() string { return processText + p.name }

func (p *process) stateOf(text string) (holder.State, bool) {
	name, ok := strings.CutPrefix(text, processText)
	switch {
	case !ok:
		return holder.Unknown, false
	case name == p.name:
		return holder.Here, true
	case p.dead[name]:
		return holder.Gone, true
	}
	return holder.Lives, true
}

func (p *process) do(op func() error) error {
	if p.n++; p.before != nil {
		if err := p.before(p.n); err != nil {
			return err
		}
	}
	return op()
}

func (p *process) OpenFile(name string, flag int, perm fs.FileMode) (f File, err error) {
	err = p.do(func() (err error) { f, err = p.FS.OpenFile(name, flag, perm); return err })
	if err != nil {
		return nil, err
	}
	return &processFile{f, p}, nil
}

func (p *process) Rename(oldName, newName string) error {
	return p.do(func() error { return p.FS.Rename(oldName, newName) })
}

func (p *process) Link(oldName, newName string) error {
	return p.do(func() error { return p.FS.Link(oldName, newName) })
}

func (p *process) Remove(name string) error {
	return p.do(func() error { return p.FS.Remove(name) })
}

func (p *process) SyncDir(name string) error {
	return p.do(func() error { return p.FS.SyncDir(name) })
}

func (p *process) Chtimes(name string, mtime time.Time) error {
	return p.do(func() error { return Chtimes(p.FS, name, mtime) })
}

func (p *process) Stat(name string) (info fs.FileInfo, err error) {
	err = p.do(func() (err error) { info, err = p.FS.Stat(name); return err })
	return info, err
}

type processFile struct {
	File
	p *process
}

func (f *processFile) Unwrap() File { return f.File }
func (f *processFile) Sync() error  { return f.p.do(f.File.Sync) }
func (f *processFile) Stat() (info fs.FileInfo, err error) {
	err = f.p.do(func() (err error) { info, err = f.File.Stat(); return err })
	return info, err
}

func (f *processFile) Write(b []byte) (n int, err error) {
	err = f.p.do(func() (err error) { n, err = f.File.Write(b); return err })
	return n, err
}

func (f *processFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.p.do(func() (err error) { n, err = f.File.WriteAt(b, off); return err })
	return n, err
}

func (f *processFile) Close() error {
	if err := f.p.do(f.File.Close); err != nil {
		_ = f.File.Close() // the kernel does it
		return err
	}
	return nil
}

// lockWork takes the lock in each way, until the process is killed.
func lockWork(fsys FS, name string, opts DotLockOptions) error {
	opts.Refresh = time.Nanosecond
	use := func(how func(*DotLock) error) error {
		l, err := AcquireDotLock(context.Background(), fsys, name, opts)
		if err != nil {
			return err
		}
		time.Sleep(time.Microsecond) // a later time than the last
		return errors.Join(l.Touch(), how(l))
	}
	replace := func(l *DotLock) error {
		f, _, err := l.Replacement()
		if err == nil {
			_, err = f.Write([]byte("new"))
		}
		if err != nil {
			return err
		}
		return l.Commit()
	}
	for _, how := range []func(*DotLock) error{(*DotLock).Release, replace, (*DotLock).Release} {
		if err := use(how); err != nil {
			return err
		}
	}
	return nil
}

// At whatever moment a process is killed, nobody waits for its lock.
func TestKilledHolder(t *testing.T) {
	for _, spare := range []bool{false, true} {
		t.Run(fmt.Sprintf("spare %v", spare), func(t *testing.T) {
			both(t, func(t *testing.T, fsys FS, dir string) {
				killEverywhere(t, fsys, dir, spare)
			})
		})
	}
}

func killEverywhere(t *testing.T, fsys FS, dir string, spare bool) {
	name, temp := filepath.Join(dir, "list"), filepath.Join(dir, "tmp")
	must(t, fsys.Mkdir(temp, 0o777))
	dead := map[string]bool{}
	for last := 0; ; last++ {
		put(t, fsys, name, "old")
		victim := &process{FS: fsys, name: strconv.Itoa(last), dead: dead, before: func(n int) error {
			if n > last {
				return errKilled
			}
			return nil
		}}
		opts := DotLockOptions{Timeout: -1, TempDir: temp}
		if spare {
			opts.Spare = new(Spare)
			opts.Spare.At(filepath.Join(temp, "spare"+victim.name))
		}
		err := lockWork(victim, name, opts)
		dead[victim.name] = true
		next := &process{FS: fsys, name: "next", dead: dead}
		l, lerr := AcquireDotLock(context.Background(), next, name, DotLockOptions{Timeout: -1, TempDir: temp})
		if lerr != nil {
			t.Fatalf("killed at operation %d: %v", last+1, lerr)
		}
		if got := get(t, fsys, name); got != "old" && got != "new" {
			t.Fatalf("killed at operation %d: %q", last+1, got)
		}
		must(t, l.Release())
		if beside, err := fsys.ReadDir(dir); err != nil || len(beside) != 2 {
			t.Fatalf("killed at operation %d: %v %v stay where nobody removes them", last+1, beside, err)
		}
		if err == nil {
			if last < 20 {
				t.Errorf("only %d operations", last)
			}
			return
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
	}
}

// Several judge the same lock file, and are at work on it at the same time, at
// every two moments of the first one's work. There are never two who believe that
// the lock is theirs.
func TestBreakersDoNotMeet(t *testing.T) {
	for _, left := range []string{"of a process that is gone", "of nobody knows whom"} {
		for _, between := range []string{"the second keeps it", "the second gives it back"} {
			t.Run(left+", "+between, func(t *testing.T) {
				got := map[string]int{}
				for i := 1; meet(t, left, i, 0, false, got); i++ {
					for j := i + 1; meet(t, left, i, j, between == "the second gives it back", got); j++ {
						if t.Failed() {
							return
						}
					}
				}
				for _, who := range []string{"first", "second", "third"} {
					if got[who] == 0 {
						t.Errorf("the %s one never got it", who)
					}
				}
			})
		}
	}
}

// meet has others at work before operations i and j of the first one. It returns
// false when that has no so many.
func meet(t *testing.T, left string, i, j int, giveBack bool, got map[string]int) bool {
	t.Helper()
	m, c := dotFS(t)
	dead := map[string]bool{"0": true}
	put(t, m, "/list.lock", map[bool]string{true: processText + "0"}[strings.Contains(left, "gone")])
	must(t, m.Chtimes("/list.lock", c.now().Add(-time.Hour)))
	opts := c.options()
	opts.Timeout = -1
	holders := map[string]*DotLock{}
	take := func(p *process) {
		l, err := AcquireDotLock(context.Background(), p, "/list", opts)
		if err != nil {
			if !errors.Is(err, ErrLocked) {
				t.Errorf("%d, %d: %s: %v", i, j, p.name, err)
			}
			return
		}
		if len(holders) != 0 {
			t.Errorf("%d, %d: the %s one has the lock, and so has %v", i, j, p.name, holders)
		}
		holders[p.name] = l
		got[p.name]++
	}
	give := func(name string) {
		if l := holders[name]; l != nil {
			if err := l.Release(); err != nil {
				t.Errorf("%d, %d: the %s one: %v", i, j, name, err)
			}
			delete(holders, name)
		}
	}
	first := &process{FS: m, name: "first", dead: dead}
	first.before = func(n int) error {
		switch n {
		case i:
			take(&process{FS: m, name: "second", dead: dead})
		case j:
			if giveBack {
				give("second")
			}
			take(&process{FS: m, name: "third", dead: dead})
		}
		return nil
	}
	take(first)
	for name := range holders {
		give(name)
	}
	if list, _ := m.ReadDir("/"); len(list) != 1 {
		t.Errorf("%d, %d: left: %v", i, j, list)
	}
	return first.n >= max(i, j)
}

// The same with threads and a real disk.
func TestManyBreakers(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "list")
	dead := map[string]bool{"0": true}
	for range 20 {
		put(t, OS(), name+".lock", processText+"0")
		var wg sync.WaitGroup
		var holders atomic.Int32
		for i := range 6 {
			wg.Go(func() {
				p := &process{FS: OS(), name: strconv.Itoa(i + 1), dead: dead}
				l, err := AcquireDotLock(context.Background(), p, name, DotLockOptions{TempDir: dir})
				if err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				holders.Add(-1)
				if err := l.Release(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
}

// TestMain lets the test binary be somebodyElse's process, too.
func TestMain(m *testing.M) {
	if os.Getenv("DISK_SOMEBODY_ELSE") == "" {
		os.Exit(m.Run())
	}
	fmt.Printf("%s\x01", holder.Self())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// somebodyElse starts a process, and returns the text of its lock files.
func somebodyElse(t *testing.T) (text string, kill func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "DISK_SOMEBODY_ELSE=1")
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	kill = sync.OnceFunc(func() { _ = c.Process.Kill(); _ = in.Close(); _ = c.Wait() })
	t.Cleanup(kill)
	for buf := make([]byte, 1); !strings.HasSuffix(text, "\x01"); text += string(buf) {
		_, err := io.ReadFull(out, buf)
		must(t, err)
	}
	return strings.TrimSuffix(text, "\x01"), kill
}

// A lock file whose process is gone is broken at once. That of one that lives,
// ours or Dovecot's, is never broken, however old it is. Where nobody can tell,
// its age decides.
func TestWhoseLock(t *testing.T) {
	live, _ := somebodyElse(t)
	gone, kill := somebodyElse(t)
	kill()
	if !strings.Contains(live, "\x00") {
		t.Skip("this system does not tell who a process is")
	}
	dovecot := func(text string) string { return strings.SplitN(text, "\x00", 2)[0] }
	const never, atOnce, age = time.Hour, 0, 120 * time.Second
	for _, c := range []struct {
		name, text string
		old        time.Duration // at first
		want       time.Duration // to wait
	}{
		{"lives", live, 0, never},
		{"lives and has not touched it", live, time.Hour, never},
		{"is gone", gone, 0, atOnce},
		{"is gone, on another host", strings.Replace(gone, ":", ":x", 1), 0, age},
		{"is gone, on another host, long ago", strings.Replace(gone, ":", ":x", 1), time.Hour, atOnce},
		{"lives, on another host, and has not touched it", strings.Replace(live, ":", ":x", 1), time.Hour, atOnce},
		{"is gone, in another container", strings.Replace(gone, "[", "[1", 1), 0, age},
		{"Dovecot's lives", dovecot(live), 0, never},
		{"Dovecot's is gone, or in another container", dovecot(gone), 0, age},
		{"Dovecot's is gone, long ago", dovecot(gone), time.Hour, atOnce},
		{"nobody", "", 0, age},
		{"a text that is too long", gone + strings.Repeat("x", holder.MaxText), 0, age},
		{"this one, which was suspended", holder.Self(), time.Hour, age},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewForgetful()
			put(t, m, "/list.lock", c.text)
			clock := newClock() // of the waiter
			clock.t = time.Now()
			must(t, m.Chtimes("/list.lock", clock.now().Add(-c.old)))
			opts := clock.options()
			opts.Timeout = 300 * time.Second
			start := clock.now()
			l, err := AcquireDotLock(context.Background(), m, "/list", opts)
			waited := clock.now().Sub(start)
			switch {
			case c.want == never:
				if !errors.Is(err, ErrLocked) {
					t.Errorf("broken after %v", waited)
				}
			case err != nil || waited < c.want-time.Second || waited > c.want+time.Second:
				t.Errorf("broken after %v, %v", waited, err)
			default:
				must(t, l.Release())
			}
		})
	}
}

// A holder that ends while somebody waits is noticed.
func TestHolderEndsMeanwhile(t *testing.T) {
	text, kill := somebodyElse(t)
	if !strings.Contains(text, "\x00") {
		t.Skip("this system does not tell who a process is")
	}
	m, c := dotFS(t)
	put(t, m, "/list.lock", text)
	n := 0
	c.slept = func() {
		if n++; n == 20 {
			kill()
		}
	}
	start := c.now()
	if _, err := AcquireDotLock(context.Background(), m, "/list", c.options()); err != nil {
		t.Fatal(err)
	}
	if waited := c.now().Sub(start); n < 20 || waited > 5*time.Second {
		t.Errorf("waited %v", waited)
	}
}

// On a full disk a lock does not say whose it is; the next one does, when it can.
func TestLockOnFullDisk(t *testing.T) {
	m, c := dotFS(t)
	f := NewFaulty(m, Fault{Op: OpWrite, Err: syscall.ENOSPC, Short: true})
	opts := c.options()
	opts.Spare = new(Spare)
	opts.Spare.At("/aside")
	for _, want := range []string{"", selfText(m), selfText(m)} {
		l, err := AcquireDotLock(context.Background(), f, "/list", opts)
		must(t, err)
		if got := get(t, m, "/list.lock"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		must(t, l.Release())
	}
}

// A lock file that cannot be removed does not keep its own process out.
func TestReleaseOfWhatStays(t *testing.T) {
	for _, spare := range []bool{false, true} {
		m, c := dotFS(t)
		f := NewFaulty(m)
		opts := c.options()
		if spare {
			opts.Spare = new(Spare)
			opts.Spare.At("/aside")
		}
		l, err := AcquireDotLock(context.Background(), f, "/list", opts)
		must(t, err)
		f.Add(Fault{Op: OpRemove, Path: "list.lock", Err: os.ErrPermission, Forever: true})
		if spare {
			f.Add(Fault{Op: OpRename, Err: os.ErrPermission, Forever: true})
		}
		if err := l.Release(); spare != errors.Is(err, os.ErrPermission) {
			t.Errorf("spare %v: %v", spare, err)
		}
		f.Clear()
		opts.Timeout = -1
		l, err = AcquireDotLock(context.Background(), f, "/list", opts)
		if err != nil {
			t.Errorf("spare %v: %v", spare, err)
			continue
		}
		if _, err := AcquireDotLock(context.Background(), f, "/list", opts); !errors.Is(err, ErrLocked) {
			t.Errorf("spare %v: a second lock: %v", spare, err)
		}
		must(t, l.Release())
	}
}
