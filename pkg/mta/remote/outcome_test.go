package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
)

func TestErrorHop(t *testing.T) {
	for text, want := range map[string]string{
		"5.1.6 user has moved":     "bounced 5.1.6 user has moved",
		"4.3.5 not today":          "deferred 4.3.5 not today",
		"no code":                  "bounced 5.0.0 no code",
		"5.1.2":                    "bounced 5.0.0 5.1.2",
		"9.9.9 odd class":          "bounced 5.0.0 9.9.9 odd class",
		"5.1.6000 not a code":      "bounced 5.0.0 5.1.6000 not a code",
		"2.0.0 looks like success": "bounced 5.0.0 2.0.0 looks like success",
	} {
		c := New(Config{Hostname: "me.example", Resolver: zone()})
		hop := route.Hop{Transport: route.Error, Text: text}
		o := c.Deliver(context.Background(), hop, Message{}, []Recipient{{To: addr.Address{Local: "r"}}})[0]
		if got := fmt.Sprintf("%v %s %s", o.Status, o.Code(), o.Text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestSystemText(t *testing.T) {
	for want, err := range map[string]error{
		"Connection refused":       &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		"No route to host":         syscall.EHOSTUNREACH,
		"Network is unreachable":   syscall.ENETUNREACH,
		"Connection reset by peer": &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
		"Connection timed out":     &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded},
		"No such file or directory": &net.OpError{
			Op: "dial", Err: os.NewSyscallError("connect", syscall.ENOENT),
		},
		"Connection closed": io.ErrUnexpectedEOF,
		"Host not found":    &net.DNSError{Err: "no such host"},
		"something else":    errors.New("something else"),
	} {
		if got := systemText(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
	if got := systemText(context.DeadlineExceeded); got != "Connection timed out" {
		t.Error(got)
	}
}

// A daemon that stops defers what it was doing, and blames nobody.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := New(Config{Hostname: "me.example", Resolver: zone(), Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled after the end")
		return nil, context.Canceled
	}})
	hop := route.Hop{Host: "192.0.2.1"}
	outs := c.Deliver(ctx, hop, Message{}, make([]Recipient, 2))
	for _, o := range outs {
		if len(outs) != 2 || o.Status != Deferred || o.Site || o.Code() != "4.3.2" {
			t.Errorf("%+v", o)
		}
	}
}
