package mtad

import (
	"testing"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/mta/queue"
	smtpclient "github.com/postcote/postcote/pkg/proto/smtp/client"
)

// Who is told from whom a message came, and what.
func TestForwardedTo(t *testing.T) {
	cfg := Default()
	cfg.Hostname, cfg.ExistsSocket = "mx.ours.example", ""
	cfg.Deliver.Forward = true
	cfg.Transports = map[string]routing.Transport{"filter": {Type: "smtp", Forward: true}, "plain": {Type: "lmtp"}}
	st, err := newState(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := queue.Client{Name: "c.example", Addr: "192.0.2.1", Port: 25, Helo: "h", Proto: "ESMTP"}
	whole := smtpclient.Forward{Name: "c.example", Addr: "192.0.2.1", Port: "25", Helo: "h", Proto: "ESMTP", Source: "REMOTE"}
	local := smtpclient.Forward{Proto: "ESMTP", Source: "LOCAL"}
	for _, tc := range []struct {
		hop  string
		env  queue.Envelope
		want *smtpclient.Forward
	}{
		{"filter:[127.0.0.1]:10024", queue.Envelope{Client: client}, &whole},
		{"filter:[127.0.0.1]:10024", queue.Envelope{Client: queue.Client{Proto: "ESMTP"}, Origin: "submit"}, &local},
		{"smtp:far.example", queue.Envelope{Client: client}, nil},
		{"lmtp:unix:/run/x", queue.Envelope{Client: client}, &whole},
		{"plain:unix:/run/x", queue.Envelope{Client: client}, nil},
	} {
		hop, err := st.routes.ParseHop(tc.hop)
		if err != nil {
			t.Fatal(err)
		}
		job := &queue.Job{ID: 1, Envelope: &tc.env}
		got := st.forwarded(job, hop)
		if got != nil {
			if got.Ident != job.ID.String() {
				t.Errorf("%s: ident %q", tc.hop, got.Ident)
			}
			got.Ident = ""
		}
		if (got == nil) != (tc.want == nil) || got != nil && *got != *tc.want {
			t.Errorf("%s: %+v, want %+v", tc.hop, got, tc.want)
		}
	}
}

// A report of success says relayed where others may have to go on.
func TestWhatRelays(t *testing.T) {
	st := &state{cfg: Config{}}
	st.cfg.Transports = map[string]routing.Transport{
		"isp": {Type: "smtp"}, "mailman": {Type: "lmtp"}, "prog": {Type: "pipe"}, "final": {Type: "pipe", Final: true}, "box": {Type: "virtual"},
	}
	for name, want := range map[string]bool{"smtp": true, "lmtp": false, "local": false, "isp": true, "mailman": false, "prog": true, "final": false, "box": false} {
		if got := st.relays(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
