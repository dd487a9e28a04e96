package deliverd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// directory is a userdb in memory: local parts, each with a home below root.
type directory struct {
	root  string
	known map[string]bool
	err   error
}

func (d *directory) User(_ context.Context, name, _ string) (userdbclient.UserRecord, error) {
	local, _, _ := strings.Cut(strings.ToLower(name), "@")
	switch {
	case d.err != nil:
		return userdbclient.UserRecord{}, d.err
	case !d.known[local]:
		return userdbclient.UserRecord{}, fail.New(fail.NotFound, "no such user")
	}
	return userdbclient.UserRecord{User: strings.ToLower(name), Home: filepath.Join(d.root, local)}, nil
}

// bench is an agent with its engine, in one process.
type bench struct {
	a      *agent
	dir    *directory
	engine *server.Server
	log    *obs.Recorder
}

func newBench(t testing.TB, fsys disk.FS, change func(*Config)) *bench {
	t.Helper()
	cfg := Default()
	cfg.Hostname = "mail.example.org"
	cfg.TempDir = t.TempDir()
	if change != nil {
		change(&cfg)
	}
	log, rec := obs.Capture()
	rt := &service.Runtime{Name: "deliverd", Log: log, Metrics: obs.NopMetrics(), Now: time.Now, FS: fsys}
	b := &bench{a: newAgent(rt, &cfg), log: rec}
	b.dir = &directory{root: t.TempDir(), known: map[string]bool{"alice": true, "bob": true, "carol": true}}
	b.a.users = b.dir
	var err error
	if b.engine, err = server.New(b.a.engineConfig(&cfg)); err != nil {
		t.Fatal(err)
	}
	return b
}

// dial connects go-smtp's LMTP client, a foreign peer.
func (b *bench) dial(t *testing.T) *smtp.Client {
	t.Helper()
	here, there := net.Pipe()
	go b.engine.Serve(t.Context(), there)
	c := smtp.NewClientLMTP(here)
	t.Cleanup(func() { c.Close() })
	if err := c.Hello("mx.example.org"); err != nil {
		t.Fatal(err)
	}
	return c
}

// send delivers one message and returns the verdict on each recipient.
func send(t *testing.T, c *smtp.Client, body string, rcpts ...string) map[string]error {
	t.Helper()
	got := map[string]error{}
	if err := c.Mail("x@elsewhere.test", nil); err != nil {
		t.Fatal(err)
	}
	any := false
	for _, r := range rcpts {
		if err := c.Rcpt(r, nil); err != nil {
			got[r] = err
			continue
		}
		any = true
	}
	if !any {
		return got
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	oks, err := w.CloseWithLMTPResponse()
	for r := range oks {
		got[r] = nil
	}
	var refused smtp.LMTPDataError
	if err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	for r, e := range refused {
		got[r] = e
	}
	return got
}

func (b *bench) messages(t *testing.T, local, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.dir.root, local, "Maildir", folder, "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const letterText = "Received: from a (b [192.0.2.1])\r\n\tby mx with ESMTP id QID123;\r\n\tMon, 23 Nov 2026 12:00:00 +0000\r\n" +
	"From: <x@elsewhere.test>\r\nMessage-ID: <m1@elsewhere.test>\r\nSubject: hi\r\n\r\nline\r\n..dots\r\n"

func TestOneRecipient(t *testing.T) {
	b := newBench(t, nil, nil)
	if got := send(t, b.dial(t), letterText, "Alice+tag@example.org"); got["Alice+tag@example.org"] != nil {
		t.Fatal(got)
	}
	files := b.messages(t, "alice", "")
	if len(files) != 1 {
		t.Fatalf("files: %v", files)
	}
	text := read(t, files[0])
	lines := strings.Split(text, "\n")
	want := []string{
		"Return-Path: <x@elsewhere.test>",
		"Delivered-To: Alice+tag@example.org",
		"Received: from mx.example.org",
		"\tby mail.example.org with LMTP",
	}
	for i, w := range want {
		if lines[i] != w {
			t.Errorf("line %d is %q, want %q", i+1, lines[i], w)
		}
	}
	if !strings.Contains(text, "\tfor <Alice+tag@example.org>; ") || !strings.HasSuffix(text, "\n\nline\n..dots\n") {
		t.Errorf("message:\n%s", text)
	}
	if strings.Contains(text, "\r") {
		t.Error("lines end in CRLF on disk")
	}
}

// Two recipients: one file, two names, no Delivered-To; the unknown third is
// refused by itself.
func TestSeveralRecipients(t *testing.T) {
	b := newBench(t, nil, nil)
	got := send(t, b.dial(t), letterText, "alice@example.org", "nobody@example.org", "bob@example.org")
	if got["alice@example.org"] != nil || got["bob@example.org"] != nil {
		t.Fatal(got)
	}
	var refused *smtp.SMTPError
	if !errors.As(got["nobody@example.org"], &refused) || refused.Code != 550 ||
		refused.Message != "<nobody@example.org> User doesn't exist: nobody@example.org" {
		t.Errorf("unknown user: %v", got["nobody@example.org"])
	}
	a, bb := b.messages(t, "alice", ""), b.messages(t, "bob", "")
	if len(a) != 1 || len(bb) != 1 {
		t.Fatalf("files: %v %v", a, bb)
	}
	ai, _ := os.Stat(a[0])
	bi, _ := os.Stat(bb[0])
	if !os.SameFile(ai, bi) {
		t.Error("the copies are not one file")
	}
	if strings.Contains(read(t, a[0]), "Delivered-To") {
		t.Error("one recipient's address is shown to the other")
	}
}

// The same address twice: one message, two replies.
func TestSameRecipientTwice(t *testing.T) {
	b := newBench(t, nil, nil)
	c := b.dial(t)
	send(t, c, letterText, "alice@example.org", "alice+x@example.org")
	if n := len(b.messages(t, "alice", "")); n != 1 {
		t.Errorf("%d copies", n)
	}
}

// A body beyond what is held in memory arrives whole, for one and for several.
func TestLargeBody(t *testing.T) {
	b := newBench(t, nil, nil)
	body := letterText + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5000)
	send(t, b.dial(t), body, "alice@example.org")
	send(t, b.dial(t), body, "bob@example.org", "carol@example.org")
	for _, who := range []string{"alice", "bob", "carol"} {
		files := b.messages(t, who, "")
		if len(files) != 1 {
			t.Fatalf("%s: %v", who, files)
		}
		if text := read(t, files[0]); strings.Count(text, strings.Repeat("x", 70)+"\n") != 5000 {
			t.Errorf("%s: %d bytes arrived", who, len(text))
		}
	}
	if left, _ := os.ReadDir(b.a.cfg.Load().TempDir); len(left) > 0 {
		t.Errorf("left in the temporary folder: %v", left)
	}
}

func TestDetailFolder(t *testing.T) {
	b := newBench(t, nil, func(c *Config) { c.SaveToDetail = true })
	if err := os.MkdirAll(filepath.Join(b.dir.root, "alice", "Maildir"), 0o770); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"new", "cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(b.dir.root, "alice", "Maildir", ".Lists", d), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	send(t, b.dial(t), letterText, "alice+Lists@example.org", "alice+Missing@example.org", "alice+../etc@example.org")
	if n := len(b.messages(t, "alice", ".Lists")); n != 1 {
		t.Errorf("%d messages in Lists", n)
	}
	if n := len(b.messages(t, "alice", "")); n != 1 {
		t.Errorf("%d messages in INBOX: a folder that is missing or not allowed falls back, and both are one delivery", n)
	}
}

// A userdb that cannot answer is temporary: never "User doesn't exist".
func TestLookupOutage(t *testing.T) {
	b := newBench(t, nil, nil)
	b.dir.err = fail.New(fail.Unavailable, "authd is down")
	got := send(t, b.dial(t), letterText, "alice@example.org")
	var refused *smtp.SMTPError
	if !errors.As(got["alice@example.org"], &refused) || refused.Code != 451 || strings.Contains(refused.Message, "authd") {
		t.Errorf("%v, want 451 without internals", got)
	}
}

// A full disk at any write of the delivery is temporary, leaves no file, and
// the next message goes through.
func TestDiskFull(t *testing.T) {
	for nth := 1; nth < 40; nth++ {
		faulty := disk.NewFaulty(disk.OS())
		b := newBench(t, faulty, nil)
		faulty.Add(disk.Fault{Op: disk.OpWrite, Nth: nth, Err: syscall.ENOSPC})
		got := send(t, b.dial(t), letterText, "alice@example.org")
		if faulty.Hits() == 0 {
			if nth == 1 {
				t.Fatal("the fault never hit: the test shows nothing")
			}
			return
		}
		var refused *smtp.SMTPError
		if !errors.As(got["alice@example.org"], &refused) || refused.Code/100 != 4 {
			t.Errorf("write %d: %v, want 4xx", nth, got)
		}
		if left, _ := filepath.Glob(filepath.Join(b.dir.root, "alice", "Maildir", "*", "*M*")); len(left) > 0 {
			t.Errorf("write %d left %v", nth, left)
		}
		if got := send(t, b.dial(t), letterText, "alice@example.org"); got["alice@example.org"] != nil {
			t.Errorf("write %d: service does not resume: %v", nth, got)
		}
	}
}

func TestUserConcurrency(t *testing.T) {
	b := newBench(t, nil, func(c *Config) { c.Limits.UserConcurrency = 1 })
	first, second := b.dial(t), b.dial(t)
	for _, c := range []*smtp.Client{first, second} {
		if err := c.Mail("x@y.test", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Rcpt("alice@example.org", nil); err != nil {
		t.Fatal(err)
	}
	var refused *smtp.SMTPError
	if err := second.Rcpt("alice@example.org", nil); !errors.As(err, &refused) || refused.Code != 451 {
		t.Errorf("%v, want 451", err)
	}
	if err := first.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := second.Rcpt("alice@example.org", nil); err != nil {
		t.Errorf("after the first is done: %v", err)
	}
}

// The lines that log scanners know.
func TestClassicLines(t *testing.T) {
	b := newBench(t, nil, nil)
	c := b.dial(t)
	send(t, c, letterText, "alice@example.org")
	_ = c.Quit()
	want := []string{"Connect from local", "msgid=<m1@elsewhere.test>: saved mail to INBOX"}
	var lines []string
	for _, e := range b.log.Events() {
		tag, text := e.Classic()
		lines = append(lines, tag+": "+text)
	}
	all := strings.Join(lines, "\n")
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("%q is missing in\n%s", w, all)
		}
	}
	if !strings.Contains(all, fmt.Sprintf("lmtp(alice@example.org)<%d><", os.Getpid())) {
		t.Errorf("no Dovecot tag in\n%s", all)
	}
	for _, e := range b.log.Events() {
		if s, ok := e.(saved); ok && s.qid != "QID123" {
			t.Errorf("queue id %q, want QID123", s.qid)
		}
	}
}
