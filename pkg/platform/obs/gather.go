package obs

import (
	"bytes"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// gatherTime is how long a line waits for others. After a pause of that
	// length a line waits for none.
	gatherTime = 5 * time.Millisecond
	// gatherBytes is when lines wait no longer.
	gatherBytes = 64 << 10
)

// gather stands before a place that takes many lines in one write: with a lot
// to say, writing each line for itself is what a log costs most. What is worth
// a warning is written at once, with all that came before it.
type gather struct {
	sink sink
	lost func(lines int)

	writing sync.Mutex  // held while lines are written, and taken before mu
	failed  atomic.Bool // of the lines written last some were lost

	mu    sync.Mutex
	buf   []byte // lines, without the end of the last one
	spare []byte
	at    time.Time // of the last line
	last  time.Time // when lines were written last
	armed bool      // the timer will do it
	timer *time.Timer
}

func newGather(s sink, lost func(int)) *gather {
	g := &gather{sink: s, lost: lost}
	g.timer = time.AfterFunc(time.Hour, g.flush)
	g.timer.Stop()
	return g
}

// add takes a line. It blocks as long as the sink does if too much waits.
func (g *gather) add(line []byte, level slog.Level, now time.Time) {
	g.mu.Lock()
	if len(g.buf) > 0 {
		g.buf = append(g.buf, '\n')
	}
	g.buf = append(g.buf, line...)
	g.at = now
	due := level >= slog.LevelWarn || len(g.buf) >= gatherBytes || !g.armed && now.Sub(g.last) >= gatherTime
	if !due && !g.armed {
		g.armed = true
		g.timer.Reset(gatherTime)
	}
	g.mu.Unlock()
	if due {
		g.flush()
	}
}

// flush writes what waits.
func (g *gather) flush() {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	text, at := g.buf, g.at
	g.buf, g.spare = g.spare[:0], nil
	g.last, g.armed = at, false
	g.mu.Unlock()
	if len(text) == 0 {
		return
	}
	n := g.sink.write(text, at)
	g.failed.Store(n > 0)
	if n > 0 {
		g.lost(n)
	}
	g.mu.Lock()
	if cap(text) <= 2*gatherBytes {
		g.spare = text
	}
	g.mu.Unlock()
}

// unwritten is how many lines are in the rest of a text.
func unwritten(rest []byte) int {
	if len(rest) == 0 {
		return 0
	}
	return 1 + bytes.Count(rest[:len(rest)-1], []byte("\n"))
}
