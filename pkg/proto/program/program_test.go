package program

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

var full = Request{
	Command: "spam%filter", Sender: "s@far.example", NextHop: "line one\nline=two", QueueID: "ABC", Size: 12,
	ClientName: "unknown", ClientAddress: "192.0.2.1", ClientHelo: "x", ClientProtocol: "ESMTP", SASLUser: "joe", SASLMethod: "PLAIN",
	Recipients: []Recipient{{"joe@ours.example", "list@ours.example"}, {`"a b"@ours.example`, ""}},
}

// helper is a helper that answers once with what f says.
func helper(t *testing.T, f func(Request, io.Reader) string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r, body, err := Receive(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, f(r, body))
	}()
	return path
}

func TestRun(t *testing.T) {
	message := "Subject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 20000)
	path := helper(t, func(r Request, body io.Reader) string {
		got, err := io.ReadAll(body)
		if !reflect.DeepEqual(r, full) || string(got) != message || err != nil {
			return fmt.Sprintf("exit 1\n%+v, %d bytes, %v", r, len(got), err)
		}
		return "exit 0\nwell done\n"
	})
	reply, err := Run(context.Background(), path, full, strings.NewReader(message))
	if err != nil || reply.Exit != 0 || reply.Output != "well done\n" {
		t.Errorf("%+v, %v", reply, err)
	}
}

// A program that does not read everything has its say all the same; a helper
// that says nothing is an outage.
func TestEnds(t *testing.T) {
	big := strings.Repeat("x", 4<<20)
	path := helper(t, func(Request, io.Reader) string { return "exit 67\nno joe here" })
	if reply, err := Run(context.Background(), path, full, strings.NewReader(big)); err != nil || reply.Exit != 67 {
		t.Errorf("%+v, %v", reply, err)
	}
	for _, answer := range []string{"", "exit", "exit x\n", "hello\n"} {
		path := helper(t, func(Request, io.Reader) string { return answer })
		if reply, err := Run(context.Background(), path, full, strings.NewReader("x")); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%q: %+v, %v", answer, reply, err)
		}
	}
	if _, err := Run(context.Background(), filepath.Join(t.TempDir(), "none"), full, strings.NewReader("")); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	path = helper(t, func(_ Request, body io.Reader) string {
		if _, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) {
			return "exit 0\n" // it took half a message
		}
		return ""
	})
	if _, err := Run(context.Background(), path, full, io.MultiReader(strings.NewReader("half"), broken{})); !fail.Is(err, fail.Corrupt) {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("damaged") }

func TestReceiveRefuses(t *testing.T) {
	for _, in := range []string{
		"\n", "recipient\n\n", "what=x\nrecipient=y\n\n", "original=x\n\n", "size=-1\nrecipient=x\n\n", "recipient=%\n\n", "recipient=%zz\n\n",
		"recipient=" + strings.Repeat("x", maxLine) + "\n\n", "recipient=x\n",
		strings.Repeat("recipient=x\n", maxPerCall+1) + "\n",
	} {
		if r, _, err := Receive(bufio.NewReader(strings.NewReader(in))); err == nil {
			t.Errorf("%.40q: %+v", in, r)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		exit   int
		output string
		dsn    string
		text   string
	}{
		{0, "", "2.0.0", ""},
		{0, "filed\nunder x\n", "2.0.0", "filed under x"},
		{0, "2.1.5 filed", "2.1.5", "filed"},
		{0, "5.1.1 liar", "2.0.0", "5.1.1 liar"},
		{67, "", "5.1.1", "user unknown"},
		{67, "no joe", "5.1.1", "user unknown. Command output: no joe"},
		{67, "4.2.1 joe is away", "4.2.1", "joe is away"},
		{75, "5.7.1 never", "5.7.1", "never"},
		{75, "2.0.0 fine", "4.3.0", "temporary failure. Command output: 2.0.0 fine"},
		{71, "", "4.3.0", "system resource problem"},
		{78, "", "5.3.5", "local configuration error"},
		{1, "bad\x1b[0m", "5.3.0", "Command died with status 1: \"prog x\". Command output: bad [0m"},
	} {
		dsn, text := Reply{tc.exit, tc.output}.Status("prog x")
		if got := fmt.Sprintf("%d.%d.%d", dsn[0], dsn[1], dsn[2]); got != tc.dsn || text != tc.text {
			t.Errorf("%d %q: %s %q", tc.exit, tc.output, got, text)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(append(full.Append(nil), "3\nabc0\n"...))
	f.Add([]byte("recipient=x\n\n5\nab"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, body, err := Receive(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			return
		}
		n, _ := io.Copy(io.Discard, body)
		if n > int64(len(in)) {
			t.Fatalf("%d bytes from %d", n, len(in))
		}
		again, _, err := Receive(bufio.NewReader(bytes.NewReader(r.Append(nil))))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v reads back as %+v, %v", r, again, err)
		}
	})
}
