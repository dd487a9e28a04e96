package whole

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// kill -9 of each process while 200 messages are in flight: every message
// that was acknowledged arrives; one may arrive twice only when it was in
// flight at the kill.
func TestKillUnderLoad(t *testing.T) {
	for _, victim := range suite.Names {
		t.Run(victim, func(t *testing.T) { killUnderLoad(t, victim) })
	}
}

const (
	inFlight = 200
	senders  = 10
)

func killUnderLoad(t *testing.T, victim string) {
	s := start(t, suite.Options{})
	bob := s.Accounts[1]
	var acked sync.Map
	var attempts, done atomic.Int64
	var wg sync.WaitGroup
	for w := range senders {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range inFlight / senders {
				mark := fmt.Sprintf("load-%d-%d", w, i)
				attempts.Add(1)
				if send(s.Addr(25), "x@elsewhere.test", bob.Name, letter(bob.Name, mark)) == nil {
					acked.Store(mark, true)
				}
				done.Add(1)
			}
		}()
	}
	eventually(t, "some messages are through", func() bool { return done.Load() >= inFlight/4 })
	s.Procs[victim].Kill()
	if err := s.Procs[victim].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	checkArrived(t, s, &acked)
}

func checkArrived(t *testing.T, s *suite.Suite, acked *sync.Map) {
	t.Helper()
	missing := func() (list []string) {
		have := subjects(s, "bob")
		acked.Range(func(k, _ any) bool {
			if have[k.(string)] == 0 {
				list = append(list, k.(string))
			}
			return true
		})
		return list
	}
	for deadline := time.Now().Add(patience); len(missing()) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("acknowledged and lost: %v", missing())
		}
	}
	n, twice := 0, 0
	acked.Range(func(any, any) bool { n++; return true })
	for _, c := range subjects(s, "bob") {
		if c > 1 {
			twice += c - 1
		}
	}
	if n < inFlight/4 {
		t.Errorf("only %d messages were acknowledged", n)
	}
	if twice > senders*4 {
		t.Errorf("%d duplicates: more than can have been in flight", twice)
	}
}
