package queue

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// notified counts the notices among events, by kind.
func notified(events []string) map[string]int {
	n := map[string]int{}
	for _, e := range events {
		if _, kind, ok := strings.Cut(e, "notified "); ok {
			n[kind]++
		}
	}
	return n
}

// refusing refuses what is for bad.example and delivers the rest.
func refusing(_ context.Context, job *Job) Outcome {
	if job.Route.NextHop == "bad.example" {
		return all(job, refused("550 5.1.1 no such user"))
	}
	return all(job, delivered())
}

// The postmaster gets copies and double bounces if he wants to, and nothing
// about what was for himself.
func TestPostmasterIsTold(t *testing.T) {
	for _, c := range []struct {
		classes, sender  string
		failures, copies int
		doubles          int
	}{
		{"", "a@good.example", 1, 0, 0},
		{"", "a@bad.example", 1, 0, 0},
		{"bounce", "a@good.example", 1, 1, 0},
		{"2bounce", "a@good.example", 1, 0, 0},
		{"2bounce", "a@bad.example", 1, 0, 1},
		{"bounce 2bounce delay", "a@bad.example", 1, 1, 1},
		{"bounce 2bounce", "", 0, 0, 1}, // others' notifications too, as with Postfix (RFC 3461 section 5.2)
		{"bounce", "", 0, 0, 0},
	} {
		change := func(s *Settings) {
			s.NotifyClasses = strings.Fields(c.classes)
			s.BounceNotice, s.DoubleNotice = "postmaster@good.example", "postmaster@bad.example"
		}
		inBubble(t, change, func(t *testing.T, w *world) {
			w.deliver = refusing
			env := to("x@bad.example")
			if env.Sender.Local, env.Sender.Domain, _ = strings.Cut(c.sender, "@"); c.sender == "" {
				env.Sender.Domain = ""
			}
			w.submit(env)
			synctest.Wait()
			w.sleep(time.Minute)
			events := w.log()
			if n := notified(events); n["failure"] != c.failures || n["failure_copy"] != c.copies || n["double"] != c.doubles {
				t.Errorf("%q from <%s>: %v: %q", c.classes, c.sender, n, events)
			}
			if n := len(w.list(Filter{})); n != 0 {
				t.Errorf("%d messages are left", n)
			}
		})
	}
}

// Whoever was warned of a delay hears that it is over, once.
func TestDelayIsOver(t *testing.T) {
	for _, confirm := range []bool{false, true} {
		change := func(s *Settings) { s.DelayWarning, s.ConfirmDelay = conf.Duration(time.Hour), confirm }
		inBubble(t, change, func(t *testing.T, w *world) {
			w.deliver = func(_ context.Context, job *Job) Outcome {
				if job.Route.NextHop == "slow.example" && time.Since(w.began) < 3*time.Hour {
					return all(job, deferred("450 4.2.0 later"))
				}
				return all(job, delivered())
			}
			w.submit(to("x@slow.example"))
			w.submit(to("x@quick.example"))
			w.sleep(6 * time.Hour)
			want := 0
			if confirm {
				want = 1
			}
			if n := notified(w.log()); n["delay"] != 1 || n["success"] != want {
				t.Errorf("confirm %v: %v", confirm, n)
			}
		})
	}
}

// With soft_bounce nothing comes back, or nothing from the transport that has it.
func TestSoftBounce(t *testing.T) {
	for where, set := range map[string]func(*Settings){
		"everywhere":         func(s *Settings) { s.SoftBounce = true },
		"the transport":      func(s *Settings) { s.Transports = map[string]Limits{"smtp": {SoftBounce: true}} },
		"all transports":     func(s *Settings) { s.Default.SoftBounce = true },
		"another transport:": func(s *Settings) { s.Transports = map[string]Limits{"lmtp": {SoftBounce: true}} },
	} {
		inBubble(t, set, func(t *testing.T, w *world) {
			w.deliver = refusing
			w.submit(to("x@bad.example"))
			synctest.Wait()
			list := w.list(Filter{Recipient: "x@bad.example"})
			if soft := len(list) == 1 && list[0].Recipients[0].Status == Deferred && list[0].Recipients[0].Code.String() == "4.1.1"; soft == (where == "another transport:") {
				t.Errorf("%s: %+v", where, list)
			}
		})
	}
}

// An alias that stands for several is reported and not delivered.
func TestExpandedAlias(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		var about []string
		w.compose = func(n *Notice) error {
			for _, r := range n.Recipients {
				about = append(about, n.Kind.String()+" "+r.Addr.String()+" "+r.Transport)
			}
			return nil
		}
		w.deliver = func(_ context.Context, job *Job) Outcome { return all(job, delivered()) }
		env := to()
		env.Recipients = Expand(Recipient{Addr: mustParse("team@x.example"), Notify: NotifySuccess},
			[]addr.Address{mustParse("a@x.example"), mustParse("b@y.example")})
		w.submit(env)
		synctest.Wait()
		w.sleep(time.Minute)
		if len(about) != 1 || about[0] != "success team@x.example expanded" {
			t.Errorf("reported: %q", about)
		}
		if w.try("a@x.example") != 1 || w.try("b@y.example") != 1 || w.try("team@x.example") != 0 {
			t.Errorf("tried: %v", w.tries)
		}
	})
}

// What only the postmaster hears of, as the sender does not want to, he hears
// once: of a failure while others of the message still wait, and of a delay.
func TestCopiesAreMadeOnce(t *testing.T) {
	change := func(s *Settings) {
		s.NotifyClasses = []string{"bounce", "delay"}
		s.BounceNotice, s.DelayNotice = "postmaster@good.example", "postmaster@good.example"
		s.DelayWarning = conf.Duration(time.Hour)
	}
	inBubble(t, change, func(t *testing.T, w *world) {
		w.deliver = func(ctx context.Context, job *Job) Outcome {
			if job.Route.NextHop == "slow.example" {
				return all(job, deferred("450 4.2.0 later"))
			}
			return refusing(ctx, job)
		}
		env := to("never@bad.example", "late@slow.example")
		env.Sender.Domain = "good.example"
		env.Recipients[0].Notify, env.Recipients[1].Notify = NotifyNever, NotifyFailure
		w.submit(env)
		w.sleep(30 * time.Hour)
		events := w.log()
		if n := notified(events); n["failure_copy"] != 1 || n["delay_copy"] != 1 || n["failure"] != 0 || n["delay"] != 0 {
			t.Errorf("%v: %q", n, events)
		}
		w.sleep(100 * time.Hour) // it expires, of which the sender wants to hear
		if n := notified(w.log()); n["failure_copy"] != 1 || n["failure"] != 1 || n["delay_copy"] != 0 {
			t.Errorf("at the end: %v", n)
		}
		if left := w.list(Filter{}); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}
