package obs

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics is a daemon's set of metrics and health checks. Names are given in
// full (`<daemon>_<subject>_<unit>`), label names are fixed where a metric is
// declared, label values come from closed lists. Declaring the same metric
// twice returns the first one.
type Metrics struct {
	reg    *prometheus.Registry
	health health
}

// NewMetrics makes a registry with the Go and process collectors and a
// postcote_build_info metric.
func NewMetrics(daemon, version string) *Metrics {
	m := NopMetrics()
	m.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Gauge("postcote_build_info", "Always 1; labels name the daemon and its version.", "daemon", "version").
		WithLabelValues(daemon, version).Set(1)
	return m
}

// NopMetrics is an empty set that nobody reads, for tests.
func NopMetrics() *Metrics { return &Metrics{reg: prometheus.NewRegistry()} }

// Counter declares a counter.
func (m *Metrics) Counter(name, help string, labels ...string) *prometheus.CounterVec {
	return register(m, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

// Gauge declares a gauge.
func (m *Metrics) Gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return register(m, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
}

// Histogram declares a histogram; nil buckets mean 1 ms to about 2 minutes.
func (m *Metrics) Histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	if buckets == nil {
		buckets = prometheus.ExponentialBuckets(0.001, 3.2, 11)
	}
	return register(m, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels))
}

// GaugeFunc declares a gauge whose value is asked for at every scrape.
func (m *Metrics) GaugeFunc(name, help string, value func() float64) {
	register(m, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// CounterFunc declares a counter whose value is asked for at every scrape.
func (m *Metrics) CounterFunc(name, help string, value func() float64) {
	register(m, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

// Registry is the registry behind, for collectors that do not fit the above.
func (m *Metrics) Registry() *prometheus.Registry { return m.reg }

// register adds c or returns the equal one that is there already. A clash of
// name or labels is a programming error found by the first test that runs it.
func register[C prometheus.Collector](m *Metrics, c C) C {
	err := m.reg.Register(c)
	var twice prometheus.AlreadyRegisteredError
	if errors.As(err, &twice) {
		if old, ok := twice.ExistingCollector.(C); ok {
			return old
		}
	}
	if err != nil {
		panic(fmt.Sprintf("obs: metric declared wrongly: %v", err))
	}
	return c
}
