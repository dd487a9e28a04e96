package login

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/platform/fail"
)

type verifier struct{ asked passdb.Query }

func (v *verifier) Verify(_ context.Context, q passdb.Query) (passdb.Account, error) {
	v.asked = q
	switch {
	case q.User == "down@example.org":
		return passdb.Account{}, fail.New(fail.Unavailable, "down")
	case q.Password != "pw":
		return passdb.Account{}, fail.Wrap(fail.Denied, &passdb.Refused{DB: "x", Reason: passdb.Mismatch}, "")
	}
	return passdb.Account{User: q.User}, nil
}

func TestTry(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	ip := netip.MustParseAddr("192.0.2.1")
	for _, tc := range []struct {
		name     string
		a        Attempt
		user     string
		refused  bool
		outage   bool
		failures int
	}{
		{"right", Attempt{User: "Alice", Password: "pw", Remote: ip}, "alice@example.org", false, false, 0},
		{"wrong", Attempt{User: "alice@EXAMPLE.org", Password: "no", Remote: ip}, "alice@example.org", true, false, 1},
		{"wrong behind a trusted proxy", Attempt{User: "alice", Password: "no", Remote: ip, NoPenalty: true}, "alice@example.org", true, false, 0},
		{"outage", Attempt{User: "down", Password: "no", Remote: ip}, "down@example.org", false, true, 0},
		{"as oneself", Attempt{User: "alice", ActAs: "ALICE@example.org", Password: "pw", Remote: ip}, "alice@example.org", false, false, 0},
		{"as another", Attempt{User: "alice", ActAs: "bob", Password: "pw", Remote: ip}, "alice@example.org", true, false, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := &verifier{}
			memory := throttle.NewMemory(time.Hour, now)
			s := Service{Verifier: v, DefaultDomain: "Example.org", Guard: &throttle.Guard{Store: memory}}
			told := ""
			got, err := s.Try(t.Context(), tc.a, func(user string, _ error) { told = user })
			refused := fail.Is(err, fail.Denied)
			if refused != tc.refused || (err != nil && !refused) != tc.outage || told != tc.user || v.asked.User != tc.user {
				t.Errorf("%v: told about %q", err, told)
			}
			if err == nil && got.User != tc.user {
				t.Errorf("logged in as %q", got.User)
			}
			if memory.Keys() != 2*tc.failures {
				t.Errorf("%d failures counted", memory.Keys())
			}
		})
	}
	s := Service{Verifier: &verifier{}}
	if _, err := s.Try(t.Context(), Attempt{User: "a", ActAs: "b", Password: "pw"}, nil); !errors.Is(err, ErrActAs) {
		t.Error(err)
	}
}

// The verdict is logged at once; the refusal is told after the delay.
func TestRefusalIsDelayed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := Service{Verifier: &verifier{}, Delay: throttle.Delay{For: time.Hour, Now: time.Now}}
	done := make(chan error, 1)
	decided := make(chan struct{})
	go func() {
		_, err := s.Try(ctx, Attempt{User: "a", Password: "no"}, func(string, error) { close(decided) })
		done <- err
	}()
	<-decided
	select {
	case err := <-done:
		t.Fatalf("told at once: %v", err)
	default:
	}
	cancel()
	if err := <-done; !fail.Is(err, fail.Denied) {
		t.Fatal(err)
	}
}
