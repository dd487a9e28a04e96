package mtad

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// metrics of receiving; the queue has its own. Label values come from closed
// lists: listener is a name from the configuration, verb the command table's.
type metrics struct {
	sessions *prometheus.CounterVec // listener, end
	open     *prometheus.GaugeVec   // listener
	commands *prometheus.CounterVec // verb, result: ok error
	rejects  *prometheus.CounterVec // stage, code: 4xx 5xx, reason: see gate.Verdict
	accepted *prometheus.CounterVec // listener
	bytes    *prometheus.CounterVec // listener
	logins   *prometheus.CounterVec // listener, result: ok denied unavailable invalid
	refused  *prometheus.CounterVec // listener, reason
}

func newMetrics(m *obs.Metrics) *metrics {
	return &metrics{
		sessions: m.Counter("mtad_smtp_sessions_total", "Sessions that ended, by how.", "listener", "end"),
		open:     m.Gauge("mtad_smtp_sessions_open", "Sessions now.", "listener"),
		commands: m.Counter("mtad_smtp_commands_total", "Commands received.", "verb", "result"),
		rejects:  m.Counter("mtad_smtp_rejections_total", "Commands refused by policy.", "stage", "code", "reason"),
		accepted: m.Counter("mtad_messages_accepted_total", "Messages taken into the queue.", "listener"),
		bytes:    m.Counter("mtad_messages_accepted_bytes_total", "Their size.", "listener"),
		logins:   m.Counter("mtad_logins_total", "Logins tried.", "listener", "result"),
		refused:  m.Counter("mtad_connections_refused_total", "Connections turned away before their session.", "listener", "reason"),
	}
}

// ended counts a finished session.
func (m *metrics) ended(listener string, s server.Summary) {
	m.open.WithLabelValues(listener).Dec()
	m.sessions.WithLabelValues(listener, s.End.String()).Inc()
	for _, c := range s.Counts {
		m.commands.WithLabelValues(c.Verb, "ok").Add(float64(c.OK))
		m.commands.WithLabelValues(c.Verb, "error").Add(float64(c.Total - c.OK))
	}
}
