package errormail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

func TestClasses(t *testing.T) {
	down := errors.New("down")
	for _, c := range []struct {
		v    gate.Verdict
		want Class
	}{
		{gate.Verdict{Code: 554, Enhanced: smtp.EnhancedCode{5, 7, 1}, Text: "<a@b.example>: Relay access denied"}, Policy},
		{gate.Verdict{Code: 550, Enhanced: smtp.EnhancedCode{5, 1, 1}, Text: "<a@b.example>: User unknown"}, Bounce},
		{gate.Verdict{Code: 451, Enhanced: smtp.EnhancedCode{4, 3, 0}, Text: "<a@b.example>: Temporary lookup failure", Cause: down}, Data},
		{gate.Verdict{Code: 451, Enhanced: smtp.EnhancedCode{4, 3, 0}, Text: "Error: queue file write error", Cause: down}, Software},
		{gate.Verdict{Code: 452, Enhanced: smtp.EnhancedCode{4, 3, 1}, Text: "Insufficient system storage", Cause: fail.New(fail.Full, "no space")}, Resource},
	} {
		if got := Of(c.v); got != c.want {
			t.Errorf("%s: %s, want %s", c.v.Text, got, c.want)
		}
	}
	for want, e := range map[Class]server.Event{
		Policy:   {Why: server.Unwanted},
		Protocol: {Reply: server.MakeReply(502, 5, 5, 1, "Error: command not recognized")},
	} {
		if got := OfEngine(e); got != want {
			t.Errorf("%+v: %s, want %s", e, got, want)
		}
	}
	if got := OfEngine(server.Event{Reply: server.MakeReply(552, 5, 3, 4, "Message size exceeds fixed limit")}); got != Policy {
		t.Errorf("size: %s, want policy", got)
	}
}

// A session of any length, with any bytes, gives a letter of limited size.
func TestLetterIsBounded(t *testing.T) {
	var tr Transcript
	for i := range 10000 {
		tr.In(fmt.Sprintf("%d\x00\xff\r\nBcc: x%s", i, strings.Repeat("y", 3000)))
		tr.Out("500-no\r\n500 no\r\n")
	}
	got := letter(&tr, "mx.ours.example", Server, "a\r\nb[192.0.2.1]", "ID", addr.Address{Local: "postmaster", Domain: "ours.example"}, time.Unix(0, 0).UTC())
	if len(got) > 80<<10 || !strings.Contains(got, " lines before)\r\n") {
		t.Errorf("%d bytes: %.600s", len(got), got)
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(got, "\r\n"), "\r\n") {
		if len(l) > 600 || strings.ContainsAny(l, "\r\n\x00") || strings.Contains(l, "\xff") || strings.HasPrefix(l, "Bcc") {
			t.Errorf("line %.80q", l)
		}
	}
	if !strings.Contains(got, "Subject: Postcote SMTP server: errors from a??b[192.0.2.1]\r\n") {
		t.Errorf("%.600s", got)
	}
}

// Whatever strangers do, no more than so many are sent in an hour.
func TestHourly(t *testing.T) {
	q, err := queue.Open(context.Background(), queue.Config{Settings: queue.DefaultSettings(), Dir: "/q", FS: disk.NewForgetful()})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	now := time.Unix(1e9, 0)
	s := &Sender{Queue: q, Now: func() time.Time { return now }}
	to := To{Hostname: "mx.ours.example", On: []Class{Policy, Bounce}, Errors: addr.Address{Local: "e", Domain: "ours.example"}, Bounces: addr.Address{Local: "b", Domain: "ours.example"}}
	send := func(c Class) {
		tr := new(Transcript)
		tr.In("QUIT")
		tr.Note(c)
		if err := s.Send(context.Background(), tr, Server, "c[192.0.2.1]", to); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int) {
		for range q.List(queue.Filter{}) {
			n++
		}
		return n
	}
	send(Protocol) // is not on
	if n := count(); n != 0 {
		t.Errorf("%d letters of a class that is off", n)
	}
	for range 3 * MaxHourly {
		send(Policy)
	}
	if n := count(); n != MaxHourly {
		t.Errorf("%d letters in an hour", n)
	}
	now = now.Add(time.Hour)
	send(Bounce)
	for f := range q.List(queue.Filter{}) {
		if f.Recipients[0].Addr.Local == "b" {
			c, err := q.Open(f.ID)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(c.Reader())
			c.Close()
			if !strings.Contains(string(text), "To: Postmaster <b@ours.example>\r\n") {
				t.Errorf("%s", text)
			}
			return
		}
	}
	t.Error("no letter of the next hour")
}
