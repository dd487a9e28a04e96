package session

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postcote/postcote/pkg/platform/obs"
)

type metrics struct {
	sessions  *prometheus.GaugeVec     // protocol: imap, pop3
	handovers *prometheus.CounterVec   // result: taken, refused
	hints     *prometheus.CounterVec   // result: taken, gap
	commands  *prometheus.HistogramVec // command: the table's names and "unknown"; result: ok, no, bad
}

func newMetrics(m *obs.Metrics) metrics {
	return metrics{
		sessions:  m.Gauge("imapd_sessions", "Open sessions.", "protocol"),
		handovers: m.Counter("imapd_handovers_total", "Logins handed over by the login role.", "result"),
		hints:     m.Counter("imapd_hints_total", "Deliveries heard of from deliverd.", "result"),
		commands: m.Histogram("imapd_command_seconds", "Time taken by IMAP commands.",
			prometheus.ExponentialBuckets(0.0001, 4, 10), "command", "result"),
	}
}

// command counts one finished command.
func (m metrics) command(verb, result string, took time.Duration) {
	m.commands.WithLabelValues(verb, result).Observe(took.Seconds())
}
