package queue

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postcote/postcote/pkg/platform/obs"
)

// metrics of the queue. Label values come from the configuration (transport)
// and from closed lists.
type metrics struct {
	attempts *prometheus.CounterVec   // transport, result: delivered deferred failed
	delays   *prometheus.HistogramVec // transport
	notices  *prometheus.CounterVec   // kind
	refused  prometheus.Counter
}

func newMetrics(m *obs.Metrics, q *Queue) *metrics {
	for _, g := range []struct {
		name, help string
		value      func(Stats) float64
	}{
		{"mtad_queue_incoming_messages", "Messages that wait for their first attempt.", func(s Stats) float64 { return float64(s.Incoming) }},
		{"mtad_queue_active_messages", "Messages being worked on.", func(s Stats) float64 { return float64(s.Active) }},
		{"mtad_queue_deferred_messages", "Messages that wait to be tried again.", func(s Stats) float64 { return float64(s.Deferred) }},
		{"mtad_queue_held_messages", "Messages on hold.", func(s Stats) float64 { return float64(s.Held) }},
		{"mtad_queue_bytes", "Size of all messages in the queue.", func(s Stats) float64 { return float64(s.Bytes) }},
		{"mtad_queue_disk_bytes", "Space used by the files of the queue.", func(s Stats) float64 { return float64(s.DiskBytes + s.LogBytes) }},
		{"mtad_queue_free_segments", "Files of small messages that wait for their next use.", func(s Stats) float64 { return float64(s.FreeSegments) }},
	} {
		m.GaugeFunc(g.name, g.help, func() float64 { return g.value(q.Stats()) })
	}
	m.GaugeFunc("mtad_queue_oldest_message_seconds", "Age of the oldest message, 0 without messages.", q.oldest)
	m.CounterFunc("mtad_queue_commits_total", "Messages made durable.", func() float64 { return float64(q.Stats().Commits) })
	m.CounterFunc("mtad_queue_syncs_total", "Times the disk was waited for.", func() float64 { return float64(q.Stats().Syncs) })
	return &metrics{
		attempts: m.Counter("mtad_queue_attempts_total", "Delivery attempts of one recipient each.", "transport", "result"),
		delays:   m.Histogram("mtad_delivery_delay_seconds", "From the arrival of a message until a recipient has it.", delayBuckets(), "transport"),
		notices:  m.Counter("mtad_queue_notifications_total", "Notifications sent to senders.", "kind"),
		refused:  m.Counter("mtad_queue_commit_failures_total", "Messages that could not be made durable.").WithLabelValues(),
	}
}

// delayBuckets reach from what a delivery takes to the lifetime of a message.
func delayBuckets() []float64 {
	return []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 5 * 24 * 3600}
}

// oldest is the age of the oldest message, in seconds.
func (q *Queue) oldest() float64 {
	arrival := q.Stats().Oldest
	if arrival.IsZero() {
		return 0
	}
	return max(q.now().Sub(arrival).Seconds(), 0)
}

// attempt counts one recipient's attempt; age is that of the message.
func (m *metrics) attempt(r Route, res Result, age time.Duration) {
	transport := r.Transport
	if transport == "" {
		transport = "none"
	}
	m.attempts.WithLabelValues(transport, res.Status.String()).Inc()
	if res.Status == Delivered {
		m.delays.WithLabelValues(transport).Observe(max(age, 0).Seconds())
	}
}

func qid(id ID) slog.Attr { return slog.String(obs.KeyQID, id.String()) }
