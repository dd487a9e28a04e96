package service

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Progress shows how far a long command is, on a terminal only and only when
// it takes a while. The zero value shows nothing. It is used by one goroutine.
type Progress struct {
	out   io.Writer // nil: show nothing
	what  string
	total int64
	done  int64
	now   func() time.Time
	begun time.Time
	drawn time.Time
	wide  int // columns that the last drawing took
}

// When the first drawing comes, and how often the next ones.
const (
	progressAfter = 500 * time.Millisecond
	progressEvery = 100 * time.Millisecond
	progressBar   = 30
)

// NewProgress begins at nothing of total; a total of 0 is unknown. out is
// usually standard error: what a command prints is for programs, too.
func NewProgress(out io.Writer, what string, total int64) *Progress {
	p := &Progress{what: what, total: total, now: time.Now}
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		p.out = out
	}
	p.begun = p.now()
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Set says what is being done, and how much of it.
func (p *Progress) Set(what string, done, total int64) {
	p.what, p.done, p.total = what, done, total
	p.draw()
}

// Add counts n more.
func (p *Progress) Add(n int64) {
	p.done += n
	p.draw()
}

// Clear takes the drawing away, so that other output can follow.
func (p *Progress) Clear() {
	if p.out != nil && p.wide > 0 {
		fmt.Fprintf(p.out, "\r%*s\r", p.wide, "")
		p.wide = 0
	}
}

func (p *Progress) draw() {
	if p.out == nil {
		return
	}
	now := p.now()
	if now.Sub(p.begun) < progressAfter || now.Sub(p.drawn) < progressEvery {
		return
	}
	p.drawn = now
	line := p.line(now)
	fmt.Fprintf(p.out, "\r%-*s", p.wide, line)
	p.wide = max(p.wide, len(line))
}

func (p *Progress) line(now time.Time) string {
	what := strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7F {
			return '?'
		}
		return r
	}, p.what)
	if p.total <= 0 {
		return fmt.Sprintf("%s: %d", what, p.done)
	}
	part := min(float64(p.done)/float64(p.total), 1)
	full := int(part * progressBar)
	line := fmt.Sprintf("%s [%s%s] %3.0f %%", what, strings.Repeat("#", full), strings.Repeat(".", progressBar-full), part*100)
	if left := p.left(now, part); left > 0 {
		line += fmt.Sprintf(", %s left", left)
	}
	return line
}

// left guesses from what has passed.
func (p *Progress) left(now time.Time, part float64) time.Duration {
	if part <= 0 || part >= 1 {
		return 0
	}
	passed := now.Sub(p.begun)
	return time.Duration(float64(passed) * (1 - part) / part).Round(time.Second)
}
