package tables

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/lookup/text"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// maxLogged is how many problems of tables are logged in a minute; `mtad table
// check` shows all.
const maxLogged = 100

// Log makes events of what goes on.
func Log(l *obs.Logger) Events {
	c := &counter{}
	return Events{
		Problem: func(p text.Problem) {
			switch n := c.next(time.Now()); {
			case n < maxLogged:
				l.Log(badLine{p})
			case n == maxLogged:
				l.Log(badLine{text.Problem{Source: p.Source, Text: "there are more problems; mtad table check shows all"}})
			}
		},
		Host: func(table, host string, why error) { l.Log(hostChanged{table, host, why}) },
	}
}

// counter counts within a minute.
type counter struct {
	mu    sync.Mutex
	since time.Time
	count int
}

func (c *counter) next(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.since) >= time.Minute {
		c.since, c.count = now, -1
	}
	c.count++
	return c.count
}

// badLine is a line of a table that does not count.
type badLine struct{ text.Problem }

func (badLine) Event() string { return "problem in a table" }

func (badLine) Level() slog.Level { return slog.LevelWarn }

func (e badLine) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("table", e.Source), slog.Int("line", e.Line), slog.String("problem", e.Text)}
}

// Classic is obs.Event's.
func (e badLine) Classic() (string, string) {
	return "postfix/trivial-rewrite", "warning: " + e.String()
}

// hostChanged: a server of a database went down, or is back.
type hostChanged struct {
	table, host string
	why         error // nil: it is back
}

func (e hostChanged) Event() string {
	if e.why == nil {
		return "database is back"
	}
	return "database is down"
}

func (e hostChanged) Level() slog.Level {
	if e.why == nil {
		return slog.LevelInfo
	}
	return slog.LevelError
}

func (e hostChanged) Attrs() []slog.Attr {
	a := []slog.Attr{slog.String("table", e.table), slog.String("host", e.host)}
	if e.why != nil {
		a = append(a, obs.Err(e.why))
	}
	return a
}

// Classic is obs.Event's.
func (e hostChanged) Classic() (string, string) {
	if e.why == nil {
		return "postfix/proxymap", fmt.Sprintf("%s: connected again to host %s", e.table, e.host)
	}
	return "postfix/proxymap", fmt.Sprintf("warning: %s: connect to host %s failed: %v", e.table, e.host, e.why)
}
