package obs

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type health struct {
	mu     sync.Mutex
	checks map[string]func() error
}

// Health registers a check under a name; nil means healthy. Checks must be
// quick and must not block. A later registration of the same name replaces
// the earlier one.
func (m *Metrics) Health(name string, check func() error) {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	if m.health.checks == nil {
		m.health.checks = map[string]func() error{}
	}
	m.health.checks[name] = check
}

// Failing runs all checks and returns "name: cause" of those that fail, sorted.
func (m *Metrics) Failing() []string {
	m.health.mu.Lock()
	checks := make(map[string]func() error, len(m.health.checks))
	for name, check := range m.health.checks {
		checks[name] = check
	}
	m.health.mu.Unlock()
	var failing []string
	for name, check := range checks {
		if err := check(); err != nil {
			failing = append(failing, name+": "+err.Error())
		}
	}
	sort.Strings(failing)
	return failing
}

// Handler serves /metrics and /healthz; the latter answers 503 with the names
// of the failing checks.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{Registry: m.reg}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		failing := m.Failing()
		if len(failing) == 0 {
			fmt.Fprintln(w, "ok")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, strings.Join(failing, "\n"))
	})
	return mux
}
