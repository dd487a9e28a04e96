package mtad

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// asked answers as it is told and counts the questions.
type asked struct {
	n   int
	err error
}

func (a *asked) Exists(context.Context, addr.Address) error {
	a.n++
	return a.err
}

func (a *asked) HasMailboxes(context.Context, string) (bool, error) {
	a.n++
	if fail.Is(a.err, fail.NotFound) {
		return false, nil
	}
	return a.err == nil, a.err
}

// Only that something is there is remembered, and only for the time set; then
// it is asked for again, so that an end of it, and an outage, are noticed.
func TestRecentAnswers(t *testing.T) {
	for name, ask := range map[string]func(*asked, *recent) error{
		"mailbox": func(a *asked, r *recent) error {
			return recentRecipients{a, r}.Exists(context.Background(), addr.Address{Local: "Joe", Domain: "ours.example"})
		},
		"domain": func(a *asked, r *recent) error {
			yes, err := recentDomains{a, r}.HasMailboxes(context.Background(), "ours.example")
			if !yes && err == nil {
				err = fail.New(fail.NotFound, "no")
			}
			return err
		},
	} {
		now := time.Unix(1000, 0)
		r := newRecent(10*time.Second, func() time.Time { return now })
		a := &asked{}
		for i, step := range []struct {
			after time.Duration
			truth error
			want  fail.Kind
			asked int
		}{
			{0, fail.New(fail.NotFound, "no"), fail.NotFound, 1},
			{0, fail.New(fail.Unavailable, "away"), fail.Unavailable, 2},
			{0, nil, 0, 3},
			{9 * time.Second, fail.New(fail.Unavailable, "away"), 0, 3},
			{time.Second, fail.New(fail.Unavailable, "away"), fail.Unavailable, 4},
			{0, nil, 0, 5},
			{-time.Hour, nil, 0, 6}, // the clock was set back
		} {
			now = now.Add(step.after)
			a.err = step.truth
			err := ask(a, r)
			if (err == nil) != (step.want == 0) || err != nil && fail.KindOf(err) != step.want || a.n != step.asked {
				t.Errorf("%s, step %d: %v after %d questions", name, i, err, a.n)
			}
		}
	}
}

func TestRecentOff(t *testing.T) {
	a := &asked{}
	r := recentRecipients{a, newRecent(0, time.Now)}
	for range 3 {
		_ = r.Exists(context.Background(), addr.Address{Local: "joe", Domain: "ours.example"})
	}
	if a.n != 3 {
		t.Errorf("asked %d times", a.n)
	}
}

// However many names are found, memory stays within two halves, and what was
// found last is remembered.
func TestRecentIsBounded(t *testing.T) {
	r := newRecent(time.Minute, time.Now)
	for i := range 5 * maxRecent / 2 {
		r.found(fmt.Sprint(i))
		if !r.has(fmt.Sprint(i)) || !r.has(fmt.Sprint(max(i-maxRecent+1, 0))) {
			t.Fatalf("name %d is forgotten too early", i)
		}
	}
	if n := len(r.young) + len(r.old); n > 2*maxRecent {
		t.Errorf("%d names", n)
	}
}
