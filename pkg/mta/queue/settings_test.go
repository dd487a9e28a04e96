package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/window"
	"github.com/postcote/postcote/pkg/platform/conf"
)

func TestSettingsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.yaml")
	text := "min_backoff: 1m\ntransports:\n  smtp: {concurrency: 10, destination_concurrency: 40}\n  lmtp: {recipients: 1}\n" +
		"  slow: {positive_feedback: 1 / concurrency, negative_feedback: 0.5, failed_cohort_limit: -1}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := DefaultSettings()
	if err := conf.Load(file, &s); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Limits{
		"smtp": {Concurrency: 10, Initial: 5, Destination: 10, Recipients: 50, Cohort: 1}, // a destination cannot have more than the transport
		"lmtp": {Concurrency: 100, Initial: 5, Destination: 20, Recipients: 1, Cohort: 1},
		"none": {Concurrency: 100, Initial: 5, Destination: 20, Recipients: 50, Cohort: 1},
	} {
		want.SlotCost, want.SlotLoan, want.SlotDiscount, want.MinimumSlots = 5, 3, 50, 3
		want.Positive, want.Negative = window.Whole(), window.Whole()
		if got := s.limits(name); got != want {
			t.Errorf("limits of %s: %+v, want %+v", name, got, want)
		}
	}
	slow := s.limits("slow")
	if got := fmt.Sprint(slow.window()); got != "{5 20 1 / concurrency 0.5 -1}" {
		t.Errorf("rules: %s", got)
	}
	if s.MinBackoff.Std() != time.Minute || s.MaxBackoff.Std() != 4000*time.Second {
		t.Errorf("back-off %v to %v", s.MinBackoff, s.MaxBackoff)
	}
	if got := (&Settings{}).limits("smtp"); got != defaultLimits() {
		t.Errorf("limits of nothing: %+v", got)
	}
}

func TestBackoff(t *testing.T) {
	s := DefaultSettings()
	for age, want := range map[time.Duration]time.Duration{
		0: 300 * time.Second, 300 * time.Second: 300 * time.Second, 1200 * time.Second: 1200 * time.Second,
		24 * time.Hour: 4000 * time.Second, -time.Hour: 300 * time.Second,
	} {
		if got := s.backoff(age); got != want {
			t.Errorf("after %v: wait %v, want %v", age, got, want)
		}
	}
}
