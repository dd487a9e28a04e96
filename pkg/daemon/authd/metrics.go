package authd

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// metrics of the daemon. Label values: mech as offered; db a name of an entry of
// passdb, a mechanism for what it refused itself, or empty; result ok, refused,
// invalid, outage, cancelled; kind user, exists, pass, redeem, list, socketmap; its result ok,
// notfound, outage; type as in the configuration.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	lookups  *prometheus.CounterVec
	conns    *prometheus.CounterVec
}

func newMetrics(m *obs.Metrics) metrics {
	return metrics{
		requests: m.Counter("authd_requests_total", "Logins decided.", "mech", "db", "result"),
		seconds:  m.Histogram("authd_request_seconds", "Time from request to verdict, delays included.", nil, "mech", "result"),
		lookups:  m.Counter("authd_lookups_total", "Users and domains looked up.", "kind", "result"),
		conns:    m.Counter("authd_connections_total", "Connections served.", "type"),
	}
}

func (m metrics) request(mech, db, result string, took time.Duration) {
	m.requests.WithLabelValues(mech, db, result).Inc()
	m.seconds.WithLabelValues(mech, result).Observe(took.Seconds())
}

func (m metrics) lookup(kind string, err error) {
	result := "ok"
	switch {
	case fail.Is(err, fail.NotFound):
		result = "notfound"
	case err != nil:
		result = "outage"
	}
	m.lookups.WithLabelValues(kind, result).Inc()
}
