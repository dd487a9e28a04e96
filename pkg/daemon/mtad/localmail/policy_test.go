package localmail

import (
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
)

const someone = 54321 // a uid without a name

func TestListed(t *testing.T) {
	for _, c := range []struct {
		list []string
		uid  int
		want bool
	}{
		{nil, someone, false},
		{nil, 0, true},
		{[]string{"anyone"}, someone, true},
		{[]string{"54321"}, someone, true},
		{[]string{"!54321", "anyone"}, someone, false},
		{[]string{"anyone", "!54321"}, someone, true},
		{[]string{"!54321", "anyone"}, someone + 1, true},
		{[]string{"daemon"}, 1, true},
	} {
		if got := Listed(c.list, c.uid); got != c.want {
			t.Errorf("%v, uid %d: %v", c.list, c.uid, got)
		}
	}
}

func TestLimits(t *testing.T) {
	now := time.Unix(1e9, 0)
	cfg := DefaultSubmit()
	cfg.Rate, cfg.Share = 3, 5
	p := NewPolicy(cfg, func() time.Time { return now })
	send := func(id queue.ID) int {
		v := p.Mail(someone, addr.Address{Local: "a", Domain: "b.example"})
		if !v.Refused() {
			p.Queued(someone, id)
		}
		return v.Code
	}
	for i, want := range []int{0, 0, 0, 450} {
		if got := send(queue.ID(i)); got != want {
			t.Errorf("message %d: %d, want %d", i, got, want)
		}
	}
	now = now.Add(time.Minute)
	for i, want := range []int{0, 0, 452} {
		if got := send(queue.ID(10 + i)); got != want {
			t.Errorf("a minute later, message %d: %d, want %d", i, got, want)
		}
	}
	p.Removed(0)
	p.Removed(99) // not one of the counted
	if got := send(20); got != 0 {
		t.Errorf("one has left: %d", got)
	}
	// An operator has deleted one: nobody said so.
	p.Has = func(id queue.ID) bool { return id != 1 }
	now = now.Add(time.Minute)
	for i, want := range []int{0, 452} {
		if got := send(queue.ID(30 + i)); got != want {
			t.Errorf("one was deleted, message %d: %d, want %d", i, got, want)
		}
	}
	if v := p.Mail(0, addr.Address{}); v.Refused() {
		t.Errorf("root: %v", v)
	}
}

func TestSenders(t *testing.T) {
	cfg := DefaultSubmit()
	cfg.Senders = Senders{"54321": {"@shop.example", "me@x.example", "<>"}, "*": {"*"}}
	p := NewPolicy(cfg, time.Now)
	for sender, want := range map[string]bool{
		"a@shop.example": true, "A@SHOP.EXAMPLE": true, "me@x.example": true, "": true, "you@x.example": false, "a@sub.shop.example": false,
	} {
		a, _ := addr.Parse(sender)
		if v := p.Mail(someone, a); v.Refused() == want {
			t.Errorf("<%s>: %v", sender, v)
		}
		if v := p.Mail(someone+1, a); v.Refused() {
			t.Errorf("<%s> of somebody else: %v", sender, v)
		}
	}
}
