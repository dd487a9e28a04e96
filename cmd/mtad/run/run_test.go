package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/program"
)

func load(t *testing.T, text string) Config {
	t.Helper()
	cfg := Default()
	if err := conf.Parse("run.yaml", []byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

const message = "Subject: x\r\nDelivered-To: other@ours.example\r\n\r\nhello\r\n.dot\r\nFrom here\r\n"

// ask has one request served as from a socket.
func ask(t *testing.T, cfg Config, r program.Request) program.Reply {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			err = serve(c, cfg)
			c.Close()
		}
		done <- err
	}()
	reply, err := program.Run(t.Context(), path, r, strings.NewReader(message))
	if err != nil {
		t.Fatal(err, <-done)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return reply
}

var request = program.Request{
	ClientPort: "4711", EnvelopeID: "EID",
	Sender: "s@far.example", QueueID: "QID", Size: int64(len(message)), NextHop: "next",
	Recipients: []program.Recipient{{Address: "Joe+Detail@Ours.example"}, {Address: `"a; touch x"@ours.example`, Original: "list@ours.example"}},
}

func TestCommands(t *testing.T) {
	cfg := load(t, `
commands:
  args: {argv: [/usr/bin/printf, "[%s]", "-f", "${sender}", "$$x", "${recipient}", "$user:$extension:$mailbox:${domain}", "${nexthop}", $(size), "$client_port$sasl_sender${envid}"], flags: hu}
  quoted: {argv: [/usr/bin/printf, "[%s]", "${recipient}"], flags: q}
  mail: {argv: [/bin/cat], flags: "FRODB.>"}
  crlf: {argv: [/usr/bin/od, -c], crlf: true}
  unknown: {argv: [/bin/sh, -c, "echo no such user; exit 67"]}
  coded: {argv: [/bin/sh, -c, "echo 4.2.2 full; exit 75"]}
  slow: {argv: [/bin/sleep, "60"], time_limit: 1s}
  killed: {argv: [/bin/sh, -c, "kill -9 $$$$"]}
  missing: {argv: [/nonexistent/program]}
  small: {argv: [/bin/cat], size_limit: 10B}
  where: {argv: [/bin/sh, -c, "pwd; echo $$X; test -z \"$$HOME\""], environment: {X: y}}
  "/usr/lib/list post all": {argv: [/bin/echo, listed]}
`)
	for _, tc := range []struct{ command, want string }{
		{"args", fmt.Sprintf("0 [-f][s@far.example][$x][joe+detail@ours.example][a; touch x@ours.example][joe:detail:joe+detail:ours.example][a; touch x::a; touch x:ours.example][next][%d][4711EID]", len(message))},
		{"quoted", `0 [Joe+Detail@ours.example]["a; touch x"@ours.example]`},
		{"unknown", "67 no such user\n"},
		{"coded", "75 4.2.2 full\n"},
		{"slow", "69 5.3.0 Command time limit exceeded"},
		{"killed", "75 4.3.0 Command died with signal: killed"},
		{"missing", "75 4.3.5 fork/exec /nonexistent/program: no such file or directory"},
		{"small", fmt.Sprintf("69 5.2.3 message size %d exceeds the limit of 10", len(message))},
		{"where", "0 /\ny\n"},
		{"nothing", "78 this helper has no such command"},
	} {
		r := request
		r.Command = tc.command
		if got := ask(t, cfg, r); fmt.Sprintf("%d %s", got.Exit, got.Output) != tc.want {
			t.Errorf("%s: %d %q", tc.command, got.Exit, got.Output)
		}
	}
	r := request
	r.Text = "/usr/lib/list post all"
	if got := ask(t, cfg, r); got.Output != "listed\n" {
		t.Errorf("an alias: %+v", got)
	}
	r.Text = "/usr/lib/list post other"
	if got := ask(t, cfg, r); got.Exit != program.ExitConfig {
		t.Errorf("an alias that nobody allowed: %+v", got)
	}
	r = request
	r.Command = "mail"
	got := ask(t, cfg, r).Output
	first, rest, _ := strings.Cut(got, "\n")
	want := "Return-Path: <s@far.example>\nX-Original-To: Joe+Detail@Ours.example\nDelivered-To: Joe+Detail@Ours.example\n" +
		"Subject: x\nDelivered-To: other@ours.example\n\nhello\n..dot\n>From here\n\n"
	if !strings.HasPrefix(first, "From s@far.example  ") || rest != want {
		t.Errorf("%q", got)
	}
	r.Recipients = []program.Recipient{{Address: "other@ours.example"}}
	if got := ask(t, cfg, r); got.Exit == 0 || !strings.HasPrefix(got.Output, "5.4.6 mail forwarding loop") {
		t.Errorf("a loop: %+v", got)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	cfg := load(t, fmt.Sprintf("files: [%s/box, %s/folder/]\n", dir, dir))
	for range 2 {
		for _, f := range []string{"box", "folder/"} {
			r := request
			r.File = filepath.Join(dir, f)
			if strings.HasSuffix(f, "/") {
				r.File += "/"
			}
			if got := ask(t, cfg, r); got.Exit != 0 {
				t.Fatalf("%s: %+v", f, got)
			}
		}
	}
	box, err := os.ReadFile(filepath.Join(dir, "box"))
	if err != nil || strings.Count(string(box), "\nhello\n.dot\n>From here\n\n") != 2 || !bytes.HasPrefix(box, []byte("From s@far.example  ")) {
		t.Errorf("%q, %v", box, err)
	}
	list, err := os.ReadDir(filepath.Join(dir, "folder", "new"))
	if err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "box.lock")); err == nil {
		t.Error("the lock file is still there")
	}
	r := request
	r.File = dir + "/other"
	if got := ask(t, cfg, r); got.Exit != program.ExitConfig {
		t.Errorf("a file that nobody allowed: %+v", got)
	}
}

// A mailbox is not touched while another program has its lock file.
func TestMailboxIsLocked(t *testing.T) {
	box := filepath.Join(t.TempDir(), "box")
	if err := os.WriteFile(box+".lock", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, "files: ["+box+"]\n")
	done := make(chan program.Reply, 1)
	go func() {
		r := request
		r.File = box
		done <- ask(t, cfg, r)
	}()
	select {
	case got := <-done:
		t.Errorf("delivered under a lock: %+v", got)
	case <-time.After(300 * time.Millisecond):
	}
	if _, err := os.Stat(box); err == nil {
		t.Error("the mailbox was made")
	}
	if err := os.Remove(box + ".lock"); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.Exit != 0 {
		t.Errorf("%+v", got)
	}
	if text, err := os.ReadFile(box); err != nil || !strings.Contains(string(text), "hello") {
		t.Errorf("%q, %v", text, err)
	}
}

// What was cut off reaches no program.
func TestHalfAMessage(t *testing.T) {
	near, far := net.Pipe()
	go func() {
		r := request
		r.Command = "touch"
		_, _ = far.Write(append(r.Append(nil), "100\nonly a part"...))
		_ = far.Close()
	}()
	mark := filepath.Join(t.TempDir(), "mark")
	cfg := load(t, "commands: {touch: {argv: [/usr/bin/touch, "+mark+"]}}")
	_ = serve(near, cfg)
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program ran")
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, text := range []string{
		"commands: {x: {argv: []}}", "commands: {x: {argv: [cat]}}", "commands: {x: {argv: [/bin/cat, '${nothing}']}}",
		"commands: {x: {argv: ['/bin/${user}']}}", "commands: {x: {argv: [/bin/cat], flags: Z}}", "files: [relative]", "forward_path: [x]", "forward_path: ['${home}/${sender}']", "what: x",
	} {
		cfg := Default()
		if err := conf.Parse("run.yaml", []byte(text), &cfg); err == nil {
			t.Errorf("%s: taken", text)
		}
	}
}

func TestLastLineWithoutEnd(t *testing.T) {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	if err := (Command{}).write(w, request, io.MultiReader(strings.NewReader("a\r"), strings.NewReader("\nb")), time.Now()); err != nil {
		t.Fatal(err)
	}
	_ = w.Flush()
	if out.String() != "a\nb\n" {
		t.Errorf("%q", out.String())
	}
}
