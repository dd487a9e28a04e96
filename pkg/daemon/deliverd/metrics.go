package deliverd

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postcote/postcote/pkg/platform/obs"
)

type metrics struct {
	deliveries *prometheus.CounterVec // result: stored, deferred
	seconds    prometheus.Observer
}

func newMetrics(m *obs.Metrics) metrics {
	return metrics{
		deliveries: m.Counter("deliverd_deliveries_total", "Recipients of accepted messages by result.", "result"),
		seconds: m.Histogram("deliverd_store_append_seconds", "Time from the end of a message to its file being durable.",
			prometheus.ExponentialBuckets(0.0005, 2, 14)).WithLabelValues(),
	}
}
