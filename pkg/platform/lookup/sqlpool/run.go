package sqlpool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/postcote/postcote/pkg/platform/fail"
)

var (
	errConnect = errors.New("no connection within connect_timeout")
	errQuery   = errors.New("no answer within query_timeout")
)

// job is one use of the database, over as many connections as it takes.
type job struct {
	use    func(ctx context.Context, s session) error
	own    bool // on connections that are not shared
	begun  bool // part of the answer was handed on, so there is no second try
	secret bool // a parameter must not appear in error texts
}

// Rows runs s and returns the first limit rows of its answer.
func (p *Pool) Rows(ctx context.Context, s *Statement, args []string, limit int) ([]Row, error) {
	var rows []Row
	err := p.queued(ctx, p.slots, &job{secret: s.secret, use: func(ctx context.Context, c session) error {
		rows = nil // of a try that failed
		return p.within(ctx, func(ctx context.Context) error {
			err := c.query(ctx, s, args, func(r Row) bool {
				rows = append(rows, r)
				return len(rows) < limit
			})
			if err != nil && p.driver.untranslatable(err) && p.onlyArgs(ctx, c, s, args) {
				rows, err = nil, nil
			}
			return err
		})
	}})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// onlyArgs reports whether it is the parameters that cannot be translated: with
// others in plain ASCII the query works. Then no row holds what they say, which
// a database with an old encoding reports as an error and not as no row.
func (p *Pool) onlyArgs(ctx context.Context, c session, s *Statement, args []string) bool {
	plain := make([]string, len(args))
	for i, a := range args {
		plain[i] = strings.Map(func(r rune) rune {
			if r > unicode.MaxASCII {
				return '?'
			}
			return r
		}, a)
	}
	return !slices.Equal(plain, args) && c.query(ctx, s, plain, func(Row) bool { return false }) == nil
}

// Exec runs s in a transaction that is undone unless want is content with the
// number of rows changed. s may run twice when a connection breaks, so it has to
// be one that does no harm then.
func (p *Pool) Exec(ctx context.Context, s *Statement, args []string, want func(rows int64) error) error {
	return p.queued(ctx, p.slots, &job{secret: s.secret, use: func(ctx context.Context, c session) error {
		return p.within(ctx, func(ctx context.Context) error {
			return c.exec(ctx, s, args, func(n int64) error {
				if err := want(n); err != nil {
					return final{err}
				}
				return nil
			})
		})
	}})
}

// within limits f to query_timeout.
func (p *Pool) within(ctx context.Context, f func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, p.cfg.QueryTimeout.Std(), errQuery)
	defer cancel()
	err := f(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return errQuery
	}
	return err
}

// queued runs j when there is a slot for it.
func (p *Pool) queued(ctx context.Context, slots chan struct{}, j *job) error {
	if err := p.slot(ctx, slots); err != nil {
		return err
	}
	defer func() { <-slots }()
	var (
		tried uint64
		why   []error
		start = p.start()
	)
	for {
		h := p.pick(&tried, start)
		if h == nil {
			return p.down(why)
		}
		next, err := p.ask(ctx, h, j)
		if !next {
			return err
		}
		why = append(why, err)
	}
}

// ask runs j at one host; next says that another one should be asked.
func (p *Pool) ask(ctx context.Context, h *host, j *job) (next bool, err error) {
	for fresh := j.own; ; fresh = true {
		l, err := p.link(ctx, h, fresh)
		if err != nil {
			return p.failed(ctx, h, err, false)
		}
		err = j.use(ctx, l)
		v := p.verdict(ctx, err)
		if v != answered || j.own {
			l.close()
		} else {
			p.put(l)
		}
		switch {
		case err == nil:
			p.succeeded(h)
			return false, nil
		case v == lost && (j.begun || ctx.Err() != nil || !l.reused || errors.Is(err, errQuery)):
			next, err = p.failed(ctx, h, err, j.own && errors.Is(err, errQuery))
			if next && j.begun {
				return false, p.down([]error{err})
			}
			return next, err
		case v == lost, v == stale && l.reused:
			// It died while it was idle, as all of them do when a server
			// is restarted.
			h.drop()
			continue
		}
		p.succeeded(h)
		return v == elsewhere, p.refused(h, j, err)
	}
}

// link takes an idle connection, unless it has to be fresh, or makes one.
func (p *Pool) link(ctx context.Context, h *host, fresh bool) (*link, error) {
	if !fresh {
		if l := h.take(p.now()); l != nil {
			return l, nil
		}
	}
	return p.connect(ctx, h)
}

// verdict says what became of a connection.
func (p *Pool) verdict(ctx context.Context, err error) verdict {
	var f final
	switch {
	case err == nil, errors.As(err, &f):
		return answered
	case ctx.Err() != nil, errors.Is(err, errQuery):
		return lost
	}
	return p.driver.judge(err)
}

func (p *Pool) succeeded(h *host) {
	if h.succeeded() {
		p.notify(h.addr.text, nil)
	}
}

// failed notes that h cannot be asked, unless it was the caller who gave up or
// it is merely slow over a long answer, which need not hold up logins.
func (p *Pool) failed(ctx context.Context, h *host, err error, slow bool) (next bool, _ error) {
	if ctx.Err() != nil {
		h.untried()
		return false, fail.Wrap(fail.Temporary, context.Cause(ctx), "database %s", p.name)
	}
	err = fail.Wrap(fail.Unavailable, err, "host %s", h.addr.text)
	if slow {
		h.untried()
		return true, err
	}
	if h.failed(p.now(), err) {
		p.notify(h.addr.text, err)
	}
	h.drop()
	return true, err
}

// refused is the error for a statement that the database did not like.
func (p *Pool) refused(h *host, j *job, err error) error {
	var f final
	if j.secret && !errors.As(err, &f) {
		err = errors.New(p.driver.public(err))
	}
	kind := fail.Unavailable
	if errors.As(err, &f) {
		kind = fail.KindOf(f.error)
	}
	return fail.Wrap(kind, err, "database %s: host %s", p.name, h.addr.text)
}
