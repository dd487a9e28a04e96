package login

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postcote/postcote/pkg/platform/obs"
)

type metrics struct {
	connections *prometheus.CounterVec // protocol
	logins      *prometheus.CounterVec // protocol; result: ok, failed, unavailable, internal
	ended       *prometheus.CounterVec // protocol; reason: see endings
	handshakes  *prometheus.CounterVec // result: ok, resumed, failed
	pumped      *prometheus.CounterVec // direction: in, out
	sessions    *prometheus.GaugeVec   // protocol
}

func newMetrics(m *obs.Metrics) metrics {
	return metrics{
		connections: m.Counter("imapd_login_connections_total", "Connections accepted.", "protocol"),
		logins:      m.Counter("imapd_login_logins_total", "Attempts to log in, by result.", "protocol", "result"),
		ended:       m.Counter("imapd_login_ended_total", "Connections that ended without a login, by reason.", "protocol", "reason"),
		handshakes:  m.Counter("imapd_login_tls_handshakes_total", "TLS handshakes, by result.", "result"),
		pumped:      m.Counter("imapd_login_pumped_bytes_total", "Bytes of sessions that went through the TLS pump.", "direction"),
		sessions:    m.Gauge("imapd_login_tls_sessions", "Sessions that are being pumped.", "protocol"),
	}
}
