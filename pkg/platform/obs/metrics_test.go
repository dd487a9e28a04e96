package obs

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Body.String()
}

func TestMetricsHandler(t *testing.T) {
	m := NewMetrics("mtad", "1.2.3")
	m.Counter("mtad_smtp_commands_total", "Commands.", "verb", "result").WithLabelValues("MAIL", "ok").Add(2)
	m.Counter("mtad_smtp_commands_total", "Commands.", "verb", "result").WithLabelValues("MAIL", "ok").Inc()
	m.Gauge("mtad_queue_messages", "Messages.", "state").WithLabelValues("active").Set(7)
	m.Histogram("mtad_delivery_seconds", "Time.", nil, "transport").WithLabelValues("smtp").Observe(0.5)
	m.GaugeFunc("mtad_open", "Open.", func() float64 { return 4 })
	m.CounterFunc("mtad_seen_total", "Seen.", func() float64 { return 5 })

	code, body := get(t, m.Handler(), "GET", "/metrics")
	if code != 200 {
		t.Fatal(code, body)
	}
	for _, want := range []string{
		`postcote_build_info{daemon="mtad",version="1.2.3"} 1`,
		`mtad_smtp_commands_total{result="ok",verb="MAIL"} 3`,
		`mtad_queue_messages{state="active"} 7`,
		`mtad_delivery_seconds_count{transport="smtp"} 1`,
		"mtad_open 4", "mtad_seen_total 5", "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

func TestMetricClashIsFoundByTheFirstTest(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("two metrics of one name and different labels must not go unnoticed")
		}
	}()
	m := NopMetrics()
	m.Counter("a_total", "A.", "x")
	m.Counter("a_total", "A.", "y")
}

func TestHealth(t *testing.T) {
	m := NopMetrics()
	var queue error
	m.Health("queue", func() error { return queue })
	m.Health("authd", func() error { return errors.New("connection refused") })
	m.Health("authd", func() error { return nil })
	if code, body := get(t, m.Handler(), "GET", "/healthz"); code != 200 || body != "ok\n" {
		t.Error(code, body)
	}
	queue = errors.New("disk full")
	m.Health("dns", func() error { return errors.New("timeout") })
	if code, body := get(t, m.Handler(), "GET", "/healthz"); code != 503 || body != "dns: timeout\nqueue: disk full\n" {
		t.Error(code, body)
	}
	if code, _ := get(t, m.Handler(), "POST", "/healthz"); code != 405 {
		t.Error(code)
	}
	if code, _ := get(t, m.Handler(), "GET", "/debug/pprof/"); code != 404 {
		t.Error("the listener has no access control, so it must offer nothing else:", code)
	}
}
