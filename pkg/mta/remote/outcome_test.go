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

// Next hops that say themselves what becomes of mail: their code counts, and
// the class is that of the transport.
func TestFate(t *testing.T) {
	for text, want := range map[string]string{
		"error:5.1.6 user has moved":     "bounced 5.1.6 user has moved",
		"error:4.3.5 not today":          "bounced 5.3.5 not today",
		"error:no code":                  "bounced 5.0.0 no code",
		"error:5.1.2":                    "bounced 5.0.0 5.1.2",
		"error:9.9.9 odd class":          "bounced 5.0.0 9.9.9 odd class",
		"error:5.1.6000 not a code":      "bounced 5.0.0 5.1.6000 not a code",
		"error:2.0.0 looks like success": "bounced 5.0.0 looks like success",
		"error:":                         "bounced 5.0.0 Address is undeliverable",
		"retry:4.4.1 unreachable":        "deferred 4.4.1 unreachable",
		"retry:5.1.1 no":                 "deferred 4.1.1 no",
		"retry:try later":                "deferred 4.0.0 try later",
		"discard:":                       "sent 2.0.0 discarded",
		"discard:some reason":            "sent 2.0.0 some reason",
		"discard:2.1.5 other reason":     "sent 2.1.5 other reason",
	} {
		c := New(Config{Hostname: "me.example", Resolver: zone()})
		hop, err := route.ParseHop(text)
		if err != nil {
			t.Fatal(err)
		}
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
