package whole

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// crashMoments is how often the daemons are killed; CRASH_MOMENTS is another
// number.
func crashMoments() int {
	if n, err := strconv.Atoi(os.Getenv("CRASH_MOMENTS")); err == nil {
		return n
	}
	return 30
}

// prepared is a suite of which nothing runs yet.
func prepared(t *testing.T, o suite.Options) *suite.Suite {
	t.Helper()
	dir, err := os.MkdirTemp("", "pc")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Bin = dir, binDir
	s, err := suite.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { discard(t, s) })
	return s
}

// live starts a process and kills it: sometimes while it starts, otherwise when
// done has grown by a random number below most. What is done counts, not time, so
// that a machine under load kills as late as others do.
func live(t *testing.T, p *suite.Process, done *atomic.Int64, most int64) {
	t.Helper()
	if rand.IntN(4) == 0 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(150*time.Millisecond))))
		defer cancel()
		if err := p.Start(ctx); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		p.Kill()
		return
	}
	begin(t, p)
	until := done.Load() + rand.Int64N(most)
	still := &stillness{}
	for n := done.Load(); n < until; n = done.Load() {
		if still.tooLong(n) {
			t.Fatalf("%s does nothing", p.Name)
		}
		time.Sleep(100 * time.Microsecond)
	}
	p.Kill()
}

// stillness is how long a number has not changed. How long a piece of work takes is
// up to the machine; that none of it is done is not.
type stillness struct {
	n     int64
	since time.Time
}

// tooLong reports whether n is what it was for as long as patience lasts.
func (s *stillness) tooLong(n int64) bool {
	if now := time.Now(); n != s.n || s.since.IsZero() {
		s.n, s.since = n, now
	}
	return time.Since(s.since) > patience
}

func begin(t *testing.T, p *suite.Process) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// numberedText is message n, between the words that begin and end it: its text
// tells whether all of it is there.
func numberedText(n, size int) string {
	var b strings.Builder
	// A header that nothing is missing from is not changed on the way.
	b.WriteString("From: <x@elsewhere.test>\r\nTo: <alice@demo.test>\r\nDate: Sun, 29 Nov 2026 12:00:00 +0000\r\n" +
		"Message-ID: <" + strconv.Itoa(n) + "@elsewhere.test>\r\nSubject: " + strconv.Itoa(n) + "\r\n\r\n")
	for i := 0; b.Len() < size; i++ {
		b.WriteString(strconv.Itoa(n) + " has a line " + strconv.Itoa(i) + "\r\n.and one with a dot in front\r\n")
	}
	b.WriteString("end of " + strconv.Itoa(n) + "\r\n")
	return b.String()
}

// numberOf is the number of a message; -1 if it has none.
func numberOf(subject string) int {
	n, err := strconv.Atoi(strings.TrimSpace(subject))
	if err != nil {
		return -1
	}
	return n
}

// whole reports whether text, with header fields that were added on its way,
// ends with message n as it was sent.
func whole(text string, n, size int) bool {
	return strings.HasSuffix(text, numberedText(n, size))
}
