package mtad

import (
	"context"
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
		v := s.Rcpt(context.Background(), &server.Transaction{More: more}, server.Recipient{To: addr.Address{Local: "joe", Domain: "ours.example"}})
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
