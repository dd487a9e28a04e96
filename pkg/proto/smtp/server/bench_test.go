package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// discard takes every message and keeps none.
type discard struct{ nobody }

func (discard) Message(_ context.Context, _ *Transaction, content io.Reader) Result {
	_, _ = content.(io.WriterTo).WriteTo(io.Discard)
	return Result{}
}

// BenchmarkAccept is one message of 8 KB in a kept session with a pipelining
// client: two round trips over loopback TCP. The client's share is in it.
func BenchmarkAccept(b *testing.B) {
	cfg := Default()
	cfg.Hostname = "mx.test"
	cfg.Accept = func(context.Context, *Conn) (Session, Reply) { return discard{}, Reply{} }
	conn := start(b, cfg)
	in := bufio.NewReader(conn)
	reply := func(lines int) {
		for range lines {
			if line, err := in.ReadSlice('\n'); err != nil || line[0] > '3' {
				b.Fatalf("%q %v", line, err)
			}
		}
	}
	reply(1)
	_, _ = io.WriteString(conn, "EHLO client.example\r\n")
	reply(7)
	envelope := []byte("MAIL FROM:<sender@example.org> SIZE=8192 BODY=8BITMIME\r\nRCPT TO:<recipient@example.net>\r\nDATA\r\n")
	body := []byte(strings.Repeat("A line of an ordinary message, with some words in it.\r\n", 150) + ".\r\n")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = conn.Write(envelope)
		reply(3)
		_, _ = conn.Write(body)
		reply(1)
	}
}

// BenchmarkConnection is a session that sends no message, on a connection of its
// own: three round trips over loopback TCP. The client's share is in it.
func BenchmarkConnection(b *testing.B) {
	cfg := Default()
	cfg.Hostname = "mx.test"
	cfg.Accept = func(context.Context, *Conn) (Session, Reply) { return discard{}, Reply{} }
	s, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	l, err := netx.Open(conf.Listen{Address: "127.0.0.1:0"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- (&netx.Server{Handler: s.Serve}).Serve(ctx, l) }()
	defer func() {
		stop()
		<-served
	}()
	b.ReportAllocs()
	for b.Loop() {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		in := bufio.NewReader(conn)
		for _, say := range []string{"", "HELO client.example\r\n", "QUIT\r\n"} {
			_, _ = io.WriteString(conn, say)
			if line, err := in.ReadSlice('\n'); err != nil || line[0] != '2' {
				b.Fatalf("%q %v", line, err)
			}
		}
		_ = conn.Close()
	}
}
