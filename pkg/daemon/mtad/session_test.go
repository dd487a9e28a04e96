package mtad

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// faulty are recipients that nobody should have programmed.
type faulty struct{}

func (faulty) Exists(context.Context, addr.Address) error { panic("out of range") }

// A check that panics is a temporary refusal of its recipient, whether it runs
// beside the session or in it.
func TestCheckPanics(t *testing.T) {
	cfg := Default()
	cfg.Hostname, cfg.Domains = "mx.ours.example", routing.Domains{Mailbox: []string{"ours.example"}}
	st, err := newState(cfg, faulty{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	log, lines := obs.Capture()
	policy := gate.MX()
	s := &session{d: &daemon{log: log}, st: st, c: &server.Conn{}, policy: &policy, l: &listening{undecided: server.DefaultReplies().Internal}}
	for _, more := range []bool{false, true} {
		s.slow = 1 // as after a slow check in this transaction
		v := s.Rcpt(context.Background(), &server.Transaction{Number: 1, More: more}, server.Recipient{To: addr.Address{Local: "joe", Domain: "ours.example"}})
		if v.Pending != nil {
			v.Reply = <-v.Pending
		}
		if v.Reply.Code != 451 {
			t.Errorf("more=%v: got %s", more, v.Reply)
		}
	}
	if n := len(lines.Events()); n != 2 {
		t.Errorf("%d lines in the log", n)
	}
}

// distant are recipients that are looked up elsewhere: the first takes its
// time, the others are answered when all of them have been asked for.
type distant struct {
	asked atomic.Int32
	all   chan struct{}
}

func (d *distant) Exists(context.Context, addr.Address) error {
	switch d.asked.Add(1) {
	case 1:
		time.Sleep(2 * slowCheck)
		return nil
	case 4:
		close(d.all)
	}
	<-d.all
	return nil
}

// When one check has been slow, those after it in the transaction do not wait
// for each other.
func TestSlowChecksRunSideBySide(t *testing.T) {
	cfg := Default()
	cfg.Hostname, cfg.Domains = "mx.ours.example", routing.Domains{Mailbox: []string{"ours.example"}}
	st, err := newState(cfg, &distant{all: make(chan struct{})}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	log, _ := obs.Capture()
	policy := gate.MX()
	s := &session{d: &daemon{log: log}, st: st, c: &server.Conn{}, policy: &policy, l: &listening{rcptOK: server.DefaultReplies().Rcpt}}
	var verdicts []server.Verdict
	for i, name := range []string{"a", "b", "c", "d"} {
		verdicts = append(verdicts, s.Rcpt(context.Background(), &server.Transaction{Number: 7, More: i < 3, Value: &submission{}}, server.Recipient{To: addr.Address{Local: name, Domain: "ours.example"}}))
	}
	for i, v := range verdicts {
		if (v.Pending != nil) != (i == 1 || i == 2) {
			t.Errorf("recipient %d: pending %v", i, v.Pending != nil)
		}
		if v.Pending != nil {
			v.Reply = <-v.Pending
		}
		if v.Reply.Code != 250 {
			t.Errorf("recipient %d: %s", i, v.Reply)
		}
	}
}
