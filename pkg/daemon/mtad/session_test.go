package mtad

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/dnsx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// slow never answers before its context ends.
type slow struct{ dnsx.Static }

func (s *slow) PTR(ctx context.Context, _ netip.Addr) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestClientName(t *testing.T) {
	ip := netip.MustParseAddr
	zone := &dnsx.Static{
		Hosts: map[string][]netip.Addr{"good.example": {ip("192.0.2.1")}, "other.example": {ip("192.0.2.99")}},
		PTRs: map[netip.Addr][]string{
			ip("192.0.2.1"): {"nowhere.example", "good.example"},
			ip("192.0.2.2"): {"other.example"},
			ip("192.0.2.3"): {"x1.example", "x2.example", "x3.example", "good.example"},
			ip("192.0.2.4"): {"down.example"},
		},
	}
	zone.Fail("down.example", dnsx.TemporaryFailure("down.example"))
	for _, tc := range []struct{ ip, name, claimed string }{
		{"192.0.2.1", "good.example", ""},
		{"192.0.2.2", "unknown", "other.example"},
		{"192.0.2.3", "unknown", ""},
		{"192.0.2.4", "unknown", ""},
		{"192.0.2.5", "unknown", ""},
	} {
		if name, claimed := clientName(context.Background(), zone, ip(tc.ip), time.Second); name != tc.name || claimed != tc.claimed {
			t.Errorf("%s: got %s, %q", tc.ip, name, claimed)
		}
	}
	if name, _ := clientName(context.Background(), &slow{}, ip("192.0.2.1"), time.Millisecond); name != "unknown" {
		t.Errorf("a name server that hangs: got %s", name)
	}
}

// faulty are recipients that nobody should have programmed.
type faulty struct{}

func (faulty) Exists(context.Context, addr.Address) error { panic("out of range") }

// A check that panics is a temporary refusal of its recipient, whether it runs
// beside the session or in it.
func TestCheckPanics(t *testing.T) {
	cfg := Default()
	cfg.Hostname, cfg.Domains = "mx.ours.example", Domains{Mailbox: []string{"ours.example"}}
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
