package sqlpool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// The errors of the fake database, by the verdict that they get.
var (
	errRefused  = errors.New("syntax error")
	errStale    = errors.New("unknown statement")
	errReadOnly = errors.New("read-only")
	errLost     = errors.New("connection reset")
	errEncoding = fmt.Errorf("no such character: %w", errRefused)
)

// fake is a driver whose hosts do what a test says.
type fake struct {
	mu      sync.Mutex
	dial    map[string]func(ctx context.Context) error // by host; nil: fine
	answer  map[string]func(ctx context.Context, s *fakeSession) error
	dialed  map[string]int
	asked   []string // hosts in the order in which they were asked
	open    int
	highest int
}

func (f *fake) placeholder(int) string { return "?" }

func (f *fake) untranslatable(err error) bool { return errors.Is(err, errEncoding) }

func (f *fake) public(error) string { return "withheld" }

func (f *fake) judge(err error) verdict {
	switch {
	case errors.Is(err, errRefused):
		return answered
	case errors.Is(err, errStale):
		return stale
	case errors.Is(err, errReadOnly):
		return elsewhere
	}
	return lost
}

func (f *fake) connect(ctx context.Context, a address) (session, error) {
	f.mu.Lock()
	dial := f.dial[a.host]
	f.dialed[a.host]++
	f.mu.Unlock()
	if dial != nil {
		if err := dial(ctx); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open++
	f.highest = max(f.highest, f.open)
	return &fakeSession{f: f, host: a.host}, nil
}

// hosts sets what a host does from now on.
func (f *fake) set(host string, dial func(context.Context) error, answer func(context.Context, *fakeSession) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dial[host], f.answer[host] = dial, answer
}

func (f *fake) order() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

// fakeSession answers with its host's name.
type fakeSession struct {
	f      *fake
	host   string
	args   []string
	used   int
	broken bool
	closed bool
}

func (s *fakeSession) usable() bool { return !s.broken }

func (s *fakeSession) close() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.f.open--
	}
}

func (s *fakeSession) query(ctx context.Context, _ *Statement, args []string, row func(Row) bool) error {
	s.f.mu.Lock()
	s.args = args
	answer := s.f.answer[s.host]
	s.f.asked = append(s.f.asked, s.host)
	s.f.mu.Unlock()
	s.used++
	if s.closed {
		return fmt.Errorf("used after it was closed: %w", errRefused)
	}
	if answer != nil {
		if err := answer(ctx, s); err != nil {
			s.broken = !errors.Is(err, errRefused)
			return err
		}
	}
	row(Row{Columns: []string{"host"}, Values: []Value{{Text: s.host}}})
	return nil
}

func (s *fakeSession) exec(ctx context.Context, st *Statement, args []string, want func(int64) error) error {
	if err := s.query(ctx, st, args, func(Row) bool { return true }); err != nil {
		return err
	}
	return want(1)
}

// world is a pool over fake hosts. Its tests run in the time of a synctest
// bubble.
type world struct {
	*Pool
	*fake
	states []string
}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	cfg.Driver, cfg.TLS.Mode = PgSQL, tlsDisable
	w := &world{fake: &fake{
		dial:   map[string]func(context.Context) error{},
		answer: map[string]func(context.Context, *fakeSession) error{}, dialed: map[string]int{},
	}}
	p, err := Open(cfg, Options{Name: "mail", Notify: func(host string, why error) {
		w.states = append(w.states, fmt.Sprintf("%s %v", host, why))
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.driver = w.fake
	w.Pool = p
	t.Cleanup(func() {
		p.Close()
		if w.open != 0 {
			t.Errorf("%d connections are open after Close", w.open)
		}
	})
	return w
}

func statement() *Statement { return NewStatement("SELECT 1", 0) }

// ask returns the host that answered.
func (w *world) ask(t *testing.T) string {
	t.Helper()
	rows, err := w.Rows(context.Background(), statement(), nil, 2)
	if err != nil {
		return "error: " + err.Error()
	}
	return rows[0].Values[0].Text
}

func refuse(context.Context) error { return errors.New("connection refused") }

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func hangAnswer(ctx context.Context, _ *fakeSession) error { return hang(ctx) }

func short(d time.Duration) conf.Duration { return conf.Duration(d) }
