package obs

import (
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shelf keeps what is written to it, and can refuse.
type shelf struct {
	mu     sync.Mutex
	writes []string
	refuse bool
	wrote  chan struct{} // gets a value for each write, while there is room
}

func (s *shelf) write(lines []byte, _ time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return unwritten(lines)
	}
	s.writes = append(s.writes, string(lines))
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return 0
}

func (s *shelf) close() error { return nil }

func (s *shelf) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.writes...)
}

func TestLinesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which no time passes between two lines
		s := &shelf{wrote: make(chan struct{}, 10)}
		g := newGather(s, func(int) { t.Error("lost") })
		now := testTime()
		g.add([]byte("alone"), slog.LevelInfo, now)
		if got := s.all(); len(got) != 1 {
			t.Fatalf("a line after a pause must not wait: %q", got)
		}
		<-s.wrote
		g.add([]byte("one"), slog.LevelInfo, now)
		g.add([]byte("two"), slog.LevelInfo, now)
		<-s.wrote // by the timer
		g.add([]byte("three"), slog.LevelInfo, now)
		g.add([]byte("trouble"), slog.LevelWarn, now)
		want := []string{"alone", "one\ntwo", "three\ntrouble"}
		if got := s.all(); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestMuchDoesNotWait(t *testing.T) {
	s := &shelf{}
	g := newGather(s, func(int) { t.Error("lost") })
	line := []byte(strings.Repeat("x", 1000))
	sum := 0
	for range 1000 {
		g.add(line, slog.LevelInfo, testTime())
		g.mu.Lock()
		waiting := len(g.buf)
		g.mu.Unlock()
		if waiting > gatherBytes {
			t.Fatalf("%d bytes wait", waiting)
		}
	}
	g.flush()
	for _, w := range s.all() {
		sum += strings.Count(w, "\n") + 1
	}
	if sum != 1000 {
		t.Errorf("%d of 1000 lines", sum)
	}
}

// What was lost is told when lines are taken again, not before.
func TestGatheredLossIsTold(t *testing.T) {
	s := &shelf{refuse: true}
	l := &Logger{style: &jsonStyle{program: testProgram()}, sink: s, now: testTime}
	l.calm = newGather(s, func(n int) { l.lost.Add(uint64(n)) })
	for range 3 {
		l.Warn("lost")
	}
	if l.Lost() != 3 {
		t.Errorf("%d lost", l.Lost())
	}
	s.refuse = false
	l.Warn("taken")
	if got := strings.Join(s.all(), "\n"); strings.Count(got, "log lines were lost") != 1 || !strings.Contains(got, `"count":3`) {
		t.Error(got)
	}
}

func TestCloseWritesWhatWaits(t *testing.T) {
	l, content := testLogger(t, Config{Style: "json", Level: "info"})
	for range 10 {
		l.Info("line")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(content(), "\n"); got != 10 {
		t.Errorf("%d lines", got)
	}
}

// A pipe takes some of the lines: only the others are lost.
func TestLossInTheMiddleOfABatch(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s := newStreamSink(w)
	line := strings.Repeat("x", 999)
	lines := strings.TrimSuffix(strings.Repeat(line+"\n", 100), "\n")
	lost := s.write([]byte(lines), testTime())
	if lost < 30 || lost > 60 || !s.part {
		t.Errorf("%d of 100 lines lost in a pipe of 64 KiB", lost)
	}
}

func TestTimeLayout(t *testing.T) {
	for _, at := range []time.Time{testTime(), time.Unix(0, 1000), time.Unix(4102444799, 999999999)} {
		if got, want := string(appendTime(nil, at.UTC())), at.UTC().Format("2006-01-02T15:04:05.000000Z"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
