package obs

import (
	"bufio"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clockLogger logs to a syslog socket with a clock the test moves.
func clockLogger(t *testing.T, cfg Config, at places) (*Logger, *time.Time) {
	t.Helper()
	now := testTime()
	l, err := newLogger(cfg, "mtad", at)
	if err != nil {
		t.Fatal(err)
	}
	l.now = func() time.Time { return now }
	t.Cleanup(func() { l.Close() })
	return l, &now
}

func TestSyslogSurvivesRestartOfItsDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, now := clockLogger(t, Config{Style: "classic", Target: "syslog", Level: "info"}, places{syslog: path})

	l.Info("nobody listens yet")
	if l.Lost() != 1 {
		t.Fatalf("%d lost", l.Lost())
	}
	daemon := listenSyslog(t, path)
	l.Info("within the rest")
	if l.Lost() != 2 {
		t.Fatal("a dead place must not be tried for every line")
	}
	*now = now.Add(patience)
	l.Info("first")
	if got := receive(t, daemon); !strings.HasSuffix(got, ": first") || !strings.HasPrefix(got, "<22>Nov  3") {
		t.Error(got)
	}
	if got := receive(t, daemon); !strings.HasSuffix(got, ": warning: log lines were lost count=2") {
		t.Error(got)
	}

	daemon.Close()
	os.Remove(path)
	daemon = listenSyslog(t, path)
	defer daemon.Close()
	l.Info("after the restart")
	if got := receive(t, daemon); !strings.HasSuffix(got, ": after the restart") {
		t.Error(got)
	}
	if l.Lost() != 2 {
		t.Errorf("%d lost", l.Lost())
	}
}

// TestStuckSyslogCostsASecondOnce fills the socket of a daemon that does not
// read any more.
func TestStuckSyslogCostsASecondOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	daemon := listenSyslog(t, path)
	defer daemon.Close()
	l, _ := clockLogger(t, Config{Style: "json", Target: "syslog", Level: "info"}, places{syslog: path})
	start := time.Now()
	for l.Lost() < 1000 {
		l.Info("line")
	}
	if took := time.Since(start); took > 60*patience {
		t.Errorf("took %v", took)
	}
}

func TestStreamSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l, _ := clockLogger(t, Config{Style: "json", Target: "syslog", Level: "info"}, places{syslog: path})
	l.Info("one")
	l.Info("two")
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewScanner(conn)
	for _, want := range []string{"one", "two"} {
		if !in.Scan() || !strings.Contains(in.Text(), "mtad[") || !strings.Contains(in.Text(), `"event":"`+want+`"`) {
			t.Errorf("want %s, got %q", want, in.Text())
		}
	}
}

func TestJournalIgnoresTarget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	daemon := listenSyslog(t, path)
	defer daemon.Close()
	l, _ := clockLogger(t, Config{Style: "journald", Target: "stderr", Level: "info"}, places{journal: path})
	l.Info("hello")
	if got := receive(t, daemon); !strings.HasPrefix(got, "MESSAGE=hello\n") {
		t.Error(got)
	}
}

// TestStuckPipe has a reader that stops: lines are lost, the daemon is not
// held up, and what comes after starts on a line of its own.
func TestStuckPipe(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	l, now := clockLogger(t, Config{Style: "json", Target: "stderr", Level: "info"}, places{stderr: w})
	long := strings.Repeat("x", 3000)
	for l.Lost() == 0 {
		l.Info("line", slog.String("a", long), slog.String("b", long))
	}
	*now = now.Add(2 * patience)
	done := make(chan struct{})
	var lines []string
	go func() {
		defer close(done)
		in := bufio.NewScanner(r)
		for in.Scan() {
			lines = append(lines, in.Text())
			if strings.Contains(in.Text(), "the end") {
				return
			}
		}
	}()
	for l.Lost() > 0 { // until the reader made room
		before := l.Lost()
		l.Info("the end")
		*now = now.Add(2 * patience)
		if l.Lost() == before {
			break
		}
	}
	<-done
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "{") || !strings.HasSuffix(last, "}") {
		t.Errorf("the last line is not whole: %.80q", last)
	}
}
