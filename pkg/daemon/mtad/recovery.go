package mtad

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// probeInterval is how often the socket of a delivery agent that is away is
// looked at.
const probeInterval = time.Second

// agents waits for delivery agents on this host that are away. The queue's
// back-off is made for hosts far away, where asking costs something; a local
// restart would cost every message five minutes.
type agents struct {
	d    *daemon
	lost chan string // sockets that did not work
}

func newAgents(d *daemon) *agents { return &agents{d: d, lost: make(chan string, 16)} }

// away reports a socket that did not work. It never blocks: a full channel
// means that the watch is on.
func (a *agents) away(socket string) {
	select {
	case a.lost <- socket:
	default:
	}
}

// run probes lost sockets until ctx is done, and flushes the mail for our
// mailboxes when one is back.
func (a *agents) run(ctx context.Context) {
	every := a.d.parts.Probe
	if every == 0 {
		every = probeInterval
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	watched := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case socket := <-a.lost:
			watched[socket] = true
		case <-tick.C:
			for socket := range watched {
				if a.answers(ctx, socket) {
					delete(watched, socket)
					a.flush(ctx, socket)
				}
			}
		}
	}
}

func (a *agents) answers(ctx context.Context, socket string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeInterval)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (a *agents) flush(ctx context.Context, socket string) {
	n := 0
	for _, domain := range a.d.state.Load().cfg.Domains.Mailbox {
		k, err := a.d.queue.Flush(ctx, queue.Selection{Destination: strings.ToLower(domain)})
		if err != nil {
			a.d.log.Warn("delivery agent is back, but its mail was not flushed", slog.String("domain", domain), obs.Err(err))
			return
		}
		n += k
	}
	a.d.log.Info("delivery agent is back", slog.String("socket", socket), slog.Int("messages", n))
}
