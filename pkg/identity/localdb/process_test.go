package localdb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// TestMain lets the test binary be another process that changes a store: it
// adds users PREFIX0, PREFIX1, …, each with an app password and an alias, and
// prints each name when it is acknowledged.
func TestMain(m *testing.M) {
	if file := os.Getenv("LOCALDB_WRITE"); file != "" {
		if err := writeForever(file, os.Getenv("LOCALDB_PREFIX")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func writeForever(file, prefix string) error {
	s, err := Open(Config{File: file}, Options{Create: true})
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s%d@example.org", prefix, i)
		if err := s.AddUser(ctx, User{Address: name, Enabled: true}); err != nil {
			return err
		}
		if _, err := s.AddAppPassword(ctx, name, "phone", mustScopes("imap"), time.Time{}); err != nil {
			return err
		}
		if err := s.AddAlias(ctx, "to-"+name, []string{name}, true, true); err != nil {
			return err
		}
		if _, err := fmt.Println(name); err != nil {
			return err
		}
	}
}

type process struct {
	cmd *exec.Cmd
	out *bufio.Scanner
	err strings.Builder
}

func startWriter(t *testing.T, file, prefix string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), "LOCALDB_WRITE="+file, "LOCALDB_PREFIX="+prefix)
	p.cmd.Stderr = &p.err
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	return p
}

// acknowledged reads n names.
func (p *process) acknowledged(t *testing.T, n int) (names []string) {
	t.Helper()
	for len(names) < n && p.out.Scan() {
		names = append(names, p.out.Text())
	}
	if len(names) < n {
		_ = p.cmd.Wait()
		t.Fatalf("the writer ended: %s", p.err.String())
	}
	return names
}

// kill ends the process in the middle of whatever it does, and returns what
// it had acknowledged besides.
func (p *process) kill() (names []string) {
	_ = p.cmd.Process.Kill()
	for p.out.Scan() {
		names = append(names, p.out.Text())
	}
	_ = p.cmd.Wait()
	return names
}

// What was acknowledged is there after a crash, whole, and the store is sound.
func TestCrash(t *testing.T) {
	w := newWorld(t, nil)
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	total := 0
	for i := range rounds {
		p := startWriter(t, w.Path(), fmt.Sprintf("r%d-", i))
		names := p.acknowledged(t, 1+2*i)
		names = append(names, p.kill()...)
		total += len(names)
		for _, name := range names {
			a, err := w.account(name, "imap")
			if err != nil || len(a.Alternatives) != 1 {
				t.Errorf("%s: %+v %v", name, a, err)
			}
			if targets, err := w.Aliases(w.ctx(), "to-"+name); err != nil || len(targets) != 1 {
				t.Errorf("%s: %v %v", name, targets, err)
			}
		}
		if f, err := w.Check(w.ctx()); err != nil || len(f.Problems) > 0 || f.Users < total || f.Users > total+i+1 {
			t.Fatalf("round %d, %d users acknowledged: %+v %v", i, total, f, err)
		}
	}
}

// Durability is a matter of settings.
func TestSettings(t *testing.T) {
	w := newWorld(t, nil)
	w.must(w.read(w.ctx(), func(c *conn) error {
		for sql, want := range map[string]string{
			"PRAGMA journal_mode": "wal", "PRAGMA synchronous": "2", "PRAGMA foreign_keys": "1", "PRAGMA secure_delete": "1", "PRAGMA trusted_schema": "0",
		} {
			if got, err := c.text(sql); got != want || err != nil {
				t.Errorf("%s: %s %v", sql, got, err)
			}
		}
		return nil
	}))
}

// The daemon looks up, lets in and notes uses while two commands change the
// store and a third puts a backup back; each answer is right for some moment.
func TestDaemonAndCommands(t *testing.T) {
	w := newWorld(t, func(_ *Config, o *Options) { o.Now = time.Now })
	w.add(User{Address: "alice@example.org", Stored: "{PLAIN}a", Enabled: true})
	phone := w.app("alice@example.org", "phone", "imap", noTime)
	one, two := startWriter(t, w.Path(), "one"), startWriter(t, w.Path(), "two")
	stop := make(chan struct{})
	var lookups sync.WaitGroup
	for range 8 {
		lookups.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := w.account("alice@example.org", "imap")
				if err != nil || len(a.Alternatives) != 1 || !a.Alternatives[0].Matches(phone) {
					t.Errorf("%+v %v", a, err)
					return
				}
				a.Alternatives[0].OnUse()
				if _, err := w.account("nobody@example.org", "imap"); !fail.Is(err, fail.NotFound) {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, p := range []*process{one, two} {
		for range 5 {
			for _, name := range p.acknowledged(t, 4) {
				if _, err := w.account(name, "imap"); err != nil {
					t.Errorf("%s is not seen at once: %v", name, err)
				}
			}
			w.must(w.Store.SetPassword(w.ctx(), "alice@example.org", "{PLAIN}b"))
		}
	}
	for _, p := range []*process{one, two} {
		p.kill()
	}
	close(stop)
	lookups.Wait()
	if f, err := w.Check(w.ctx()); err != nil || len(f.Problems) > 0 {
		t.Errorf("%+v %v", f, err)
	}
	if list, err := w.AppPasswords(w.ctx(), "alice@example.org"); err != nil || list[0].LastUsed.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
}

// Calls end with their context, also while another process holds the lock.
func TestCallsEndWithTheirContext(t *testing.T) {
	w := newWorld(t, nil)
	w.add(User{Address: "alice@example.org"})
	c, err := openConn(w.ctx(), w.Path(), steps(), 0)
	w.must(err)
	defer c.close()
	w.must(c.run("BEGIN IMMEDIATE"))
	ctx, cancel := context.WithTimeout(w.ctx(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := w.Store.SetPassword(ctx, "alice@example.org", "x"); !fail.Is(err, fail.Unavailable) || !strings.Contains(err.Error(), w.Path()) {
		t.Error(err)
	}
	if waited := time.Since(began); waited > busyTimeout/2 {
		t.Errorf("took %v", waited)
	}
	done, cancel := context.WithCancel(w.ctx())
	cancel()
	if err := w.Ready(done); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	if err := w.Ready(w.ctx()); err != nil {
		t.Errorf("a reader waits for nobody: %v", err)
	}
	w.must(c.run("ROLLBACK"))
	w.must(w.Store.SetPassword(w.ctx(), "alice@example.org", "x"))
	w.Close()
	if err := w.Ready(w.ctx()); !fail.Is(err, fail.Unavailable) || errors.Is(err, context.Canceled) {
		t.Errorf("closed: %v", err)
	}
}
