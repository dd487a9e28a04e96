//go:build interop

package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// patience bounds a wait for what must happen. It is long because a machine
// under load is slow; what goes well takes none of it.
const patience = 90 * time.Second

// need skips the test when a program is missing, except in CI, where the
// programs are installed and a missing one is a failure.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join("/usr/sbin", p)); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// start runs a suite for the test. Mail folders are open to everybody below
// it, because foreign programs run as other users.
func start(t *testing.T, edit map[string]func(string) string) *suite.Suite {
	t.Helper()
	dir, err := os.MkdirTemp("", "postcote")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := suite.Start(context.Background(), suite.Options{Dir: dir, Bin: "../../bin", Edit: edit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			dumpLogs(t, s)
		}
		os.RemoveAll(dir)
	})
	return s
}

func dumpLogs(t *testing.T, s *suite.Suite) {
	for _, n := range suite.Names {
		b, _ := os.ReadFile(s.Procs[n].LogFile())
		if len(b) > 6000 {
			b = b[len(b)-6000:]
		}
		t.Logf("log of %s:\n%s", n, b)
	}
}

// run executes a program and returns its output; the test fails when it fails.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	out, err := try(stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin:"+os.Getenv("PATH"))
	// A file and not a pipe: a daemon that the program leaves behind would
	// hold a pipe open, and Run would wait for it.
	out, err := os.CreateTemp("", "output")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, rerr := os.ReadFile(out.Name())
	if err == nil {
		err = rerr
	}
	return string(text), err
}

// eventually polls until what holds or patience is over.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// messages returns the texts of all message files below a Maildir.
func messages(maildir string) []string {
	var all []string
	for _, sub := range []string{"new", "cur"} {
		files, _ := filepath.Glob(filepath.Join(maildir, sub, "*"))
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil {
				all = append(all, string(b))
			}
		}
	}
	return all
}

// arrived waits for a message with the mark in the account's INBOX.
func arrived(t *testing.T, s *suite.Suite, local, mark string) string {
	t.Helper()
	var found string
	eventually(t, "a message with "+mark+" for "+local, func() bool {
		for _, m := range messages(filepath.Join(s.Home(local), "Maildir")) {
			if strings.Contains(m, mark) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// letter is a small message with a mark in its subject.
func letter(from, to, mark string) string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n"+
		"Message-ID: <%s@interop.test>\r\n\r\nline one\r\n.dot first\r\nlast line\r\n", from, to, mark, mark)
}

// freePort finds a port for a peer that opens it only later. It lies below the
// suites' and below the kernel's range for outgoing connections, one of which
// would have it by then; an abstract socket of its name keeps other tests from
// it, of this process and of others, until the test is over.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 4000 + rand.IntN(6000)
		name, err := net.Listen("unix", fmt.Sprintf("@postcote-interop-%d", port))
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			name.Close()
			continue
		}
		l.Close()
		t.Cleanup(func() { name.Close() })
		return port
	}
	t.Fatal("no free port")
	return 0
}

func waitPort(t *testing.T, port int) {
	t.Helper()
	eventually(t, fmt.Sprintf("port %d answers", port), func() bool { return listens(port) })
}

func listens(port int) bool {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// stopped waits until no thread of a process that was sent SIGSTOP runs any
// more: one may still answer a request before it notices.
func stopped(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the server stands still", func() bool { return standsStill(pid) })
}

func standsStill(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, file := range threads {
		stat, _ := os.ReadFile(file)
		if _, rest, ok := strings.Cut(string(stat), ") "); ok && rest[0] != 'T' && rest[0] != 'Z' {
			return false
		}
	}
	return len(threads) > 0
}
