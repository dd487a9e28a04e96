package verifying

import (
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
)

func TestSender(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	for in, want := range map[string]string{
		"": "double-bounce@mail.example", "<>": "", "probe": "probe@mail.example", "probe@example.org": "probe@example.org",
	} {
		s, err := Config{Sender: in}.NewSender("double-bounce", "mail.example", clock)
		if err != nil || s.Now().String() != want {
			t.Errorf("%q: %q, %v", in, s.Now(), err)
		}
		if a, ok := s.Lasting(s.Now()); ok {
			t.Errorf("%q: %s comes and goes", in, a)
		}
	}
	for _, in := range []string{"@example.org", "a b@", "a@b@"} {
		if s, err := (Config{Sender: in}).NewSender("double-bounce", "mail.example", clock); err == nil {
			t.Errorf("%q gives %q", in, s.Now())
		}
	}
}

// The name changes with time; the latest are taken, and in any case of
// letters.
func TestSenderThatChanges(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, err := Config{SenderTTL: conf.Duration(time.Hour)}.NewSender("double-bounce", "mail.example", func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	first := s.Now()
	if first.String() != "double-bouncego91@mail.example" {
		t.Errorf("%s", first)
	}
	loud := first
	loud.Local = "Double-BounceGO91"
	for _, c := range []struct {
		after time.Duration
		a     addr.Address
		want  bool
	}{
		{0, first, true},
		{0, loud, true},
		{0, addr.Address{Local: first.Local, Domain: "other.example"}, false},
		{0, addr.Address{Local: "double-bounce", Domain: "mail.example"}, false},
		{0, addr.Address{Local: "double-bouncex", Domain: "mail.example"}, false},
		{time.Hour, first, true},
		{2 * time.Hour, first, false},
		{-time.Hour, first, true},
		{-2 * time.Hour, first, false},
	} {
		now = time.Unix(1_800_000_000, 0).Add(c.after)
		got, ok := s.Lasting(c.a)
		if ok != c.want || ok && got.String() != "double-bounce@mail.example" {
			t.Errorf("%s after %v: %s, %v", c.a, c.after, got, ok)
		}
	}
}
