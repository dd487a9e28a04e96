package queuecmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

// host is a daemon with a queue and the operator's commands for it.
type host struct {
	t      *testing.T
	fsys   *disk.Forgetful
	q      *queue.Queue
	socket string
	now    time.Time
	result queue.Result
}

func newHost(t *testing.T) *host {
	h := &host{t: t, fsys: disk.NewForgetful(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)}
	var err error
	h.q, err = queue.Open(context.Background(), h.config())
	if err != nil {
		t.Fatal(err)
	}
	h.socket = filepath.Join(t.TempDir(), "control")
	l, err := net.Listen("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	var s control.Server
	for _, v := range Verbs(h.q, Access{}) {
		s.Add(v)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = h.q.Close()
	})
	return h
}

func (h *host) config() queue.Config {
	return queue.Config{Settings: queue.DefaultSettings(), Dir: "/q", FS: h.fsys, Now: func() time.Time { return h.now }}
}

// run executes a command line and returns what it printed.
func (h *host) run(args ...string) (string, error) {
	root := &cobra.Command{Use: "mtad", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Commands(Host{
		Dial:   func(cmd *cobra.Command) (*control.Client, error) { return control.Dial(cmd.Context(), h.socket) },
		Config: func(*cobra.Command) (queue.Config, error) { return h.config(), nil },
	})...)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(append([]string{"queue"}, args...))
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

// want runs a command and compares, with ids written as ID0, ID1, ...
func (h *host) want(ids []queue.ID, out string, args ...string) {
	h.t.Helper()
	got, err := h.run(args...)
	if err != nil {
		h.t.Errorf("%v: %v", args, err)
	}
	for i, id := range ids {
		name := fmt.Sprintf("ID%d", i)
		got = strings.ReplaceAll(got, id.String(), name+strings.Repeat(".", len(id.String())-len(name)))
	}
	if got != out {
		h.t.Errorf("%v printed\n%s\nwant\n%s", args, got, out)
	}
}

func (h *host) submit(env *queue.Envelope, text string) queue.ID {
	h.t.Helper()
	m, err := h.q.Begin(context.Background(), 0)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := io.WriteString(m, text); err != nil {
		h.t.Fatal(err)
	}
	m.SetHeaders([]byte("Received: by test\r\n"), 0)
	if err := m.Commit(context.Background(), env); err != nil {
		h.t.Fatal(err)
	}
	return m.ID()
}

func env(sender string, rcpts ...string) *queue.Envelope {
	parse := func(s string) addr.Address {
		a, err := addr.Parse(s)
		if err != nil {
			panic(err)
		}
		return a
	}
	e := &queue.Envelope{Sender: parse(sender)}
	for _, r := range rcpts {
		e.Recipients = append(e.Recipients, queue.Recipient{Addr: parse(r)})
	}
	return e
}

// once runs the queue until it has tried everything once.
func (h *host) once() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- h.q.Run(ctx, queue.Consumers{Router: h, Deliverer: h, Bouncer: h}, time.Second)
	}()
	for {
		if st := h.q.Stats(); st.Incoming+st.Active == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) Route(_ context.Context, _ *queue.Envelope, rcpt addr.Address) (queue.Route, error) {
	return queue.Route{Transport: "smtp", NextHop: rcpt.Domain}, nil
}

func (h *host) Deliver(_ context.Context, job *queue.Job) queue.Outcome {
	var out queue.Outcome
	for _, r := range job.Recipients {
		res := h.result
		if r.Addr.Local == "ok" {
			res = queue.Result{Status: queue.Delivered}
		}
		out.Results = append(out.Results, res)
	}
	return out
}

func (h *host) Compose(_ context.Context, w io.Writer, _ queue.ID, _ *queue.Notice) (queue.Composed, error) {
	_, err := io.WriteString(w, "Subject: notice\r\n\r\n")
	return queue.Composed{}, err
}

func TestList(t *testing.T) {
	h := newHost(t)
	h.want(nil, "Mail queue is empty\n", "list")
	ids := []queue.ID{
		h.submit(env("ann@example.com", "bob@example.net", "ok@example.net", "carol@example.net", "dan@example.org"), "Subject: x\r\n\r\n"+strings.Repeat("x", 3000)),
		h.submit(env("", "eve@example.net"), "Subject: y\r\n\r\n"),
	}
	h.result = queue.Result{Status: queue.Deferred, Code: queue.Code{Class: 4, Subject: 4, Detail: 1}, Reason: "connect to mx.example.net[192.0.2.1]:25: Connection \x1b[2Jrefused"}
	h.once()
	held := env("ann@example.com", "fay@example.org")
	held.Hold = true
	ids = append(ids, h.submit(held, "Subject: z\r\n\r\n"))
	if _, err := h.run("expire", ids[1].String()); err != nil {
		t.Fatal(err)
	}
	h.want(ids, `----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------
ID0..........         3033 Sun Mar  1 12:00:00 ann@example.com
             (connect to mx.example.net[192.0.2.1]:25: Connection ?[2Jrefused)
                                               bob@example.net
                                               carol@example.net
                                               dan@example.org

ID1..........#          33 Sun Mar  1 12:00:00 MAILER-DAEMON
             (connect to mx.example.net[192.0.2.1]:25: Connection ?[2Jrefused)
                                               eve@example.net

ID2..........!          33 Sun Mar  1 12:00:00 ann@example.com
                                               fay@example.org

-- 3 Kbytes in 3 Requests.
`, "list")
	h.want(ids, `----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------
ID2..........!          33 Sun Mar  1 12:00:00 ann@example.com
                                               fay@example.org

-- 0 Kbytes in 1 Request.
`, "list", "--state", "hold")
	h.want(ids, "Mail queue is empty\n", "list", "--destination", "nowhere.example")
	if _, err := h.run("list", "--state", "lost"); !fail.Is(err, fail.Invalid) {
		t.Errorf("unknown state: %v", err)
	}

	out, err := h.run("list", "--json", ids[0].String())
	if err != nil {
		t.Fatal(err)
	}
	var l Listed
	if err := json.Unmarshal([]byte(out), &l); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("%q: %v", out, err)
	}
	if l.QueueName != "deferred" || l.QueueID != ids[0].String() || l.ArrivalTime != h.now.Unix() || l.MessageSize != 3033 ||
		len(l.Recipients) != 4 || l.Recipients[0].Code != "4.4.1" || l.NextAttempt != h.now.Unix()+300 {
		t.Errorf("%+v", l)
	}
	keys := regexp.MustCompile(`"([a-z_]+)":`).FindAllString(out, 7)
	if strings.Join(keys, "") != `"queue_name":"queue_id":"arrival_time":"message_size":"forced_expire":"sender":"recipients":` {
		t.Errorf("keys %v", keys)
	}
}

func TestShow(t *testing.T) {
	h := newHost(t)
	e := env("ann@example.com", "bob@example.net")
	e.Client, e.SASLUser, e.EnvID = queue.Client{Name: "c.example", Addr: "192.0.2.9", Helo: "laptop", Proto: "ESMTPSA"}, "ann", "QQ1"
	e.Recipients[0].Notify, e.Recipients[0].ORCPT = queue.NotifyFailure, "rfc822;Bob@example.net"
	long := strings.Repeat("y", 60_000)
	id := h.submit(e, "Subject: x\r\nX: y\r\n\r\nline 1\r\n\r\n"+long+"\r\n")
	headers, body := "Received: by test\nSubject: x\nX: y\n", "line 1\n\n"+long+"\n"
	facts := `queue_id:    ` + id.String() + `
state:       incoming
sender:      ann@example.com
arrival:     ` + h.now.Format(time.RFC3339) + `
size:        60051
client:      c.example[192.0.2.9]
helo:        laptop
protocol:    ESMTPSA
user:        ann
envelope_id: QQ1
recipient:   bob@example.net pending
  orcpt:     rfc822;Bob@example.net
  notify:    FAILURE

`
	h.want(nil, headers, "show", id.String(), "--headers")
	h.want(nil, body, "show", id.String(), "--body")
	h.want(nil, facts, "show", id.String(), "--envelope")
	h.want(nil, facts+headers+"\n"+body, "show", id.String())
	for arg, kind := range map[string]fail.Kind{"4dj7nd4q3nzN3": fail.NotFound, "x": fail.Invalid} {
		if _, err := h.run("show", arg); !fail.Is(err, kind) {
			t.Errorf("show %s: %v, want kind %v", arg, err, kind)
		}
	}
}

func TestShowWithoutBody(t *testing.T) {
	h := newHost(t)
	for text, want := range map[string]string{
		"Subject: x\r\n":             "Received: by test\nSubject: x\n\n",
		"Subject: x\r\n\r\n":         "Received: by test\nSubject: x\n\n",
		"Subject: x\r\n\r\n\r\n":     "Received: by test\nSubject: x\n\n\n",
		"Subject: x\r\n\r\nno end":   "Received: by test\nSubject: x\n\nno end",
		"Subject: no end of headers": "Received: by test\nSubject: no end of headers\n",
	} {
		id := h.submit(env("ann@example.com", "bob@example.net"), text)
		h.want(nil, want, "show", id.String(), "--headers", "--body")
	}
}

func TestChange(t *testing.T) {
	h := newHost(t)
	var ids []queue.ID
	for i := range 4 {
		ids = append(ids, h.submit(env("ann@example.com", fmt.Sprintf("bob@d%d.example", i)), "Subject: x\r\n\r\n"))
	}
	h.want(nil, "Placed on hold: 2 messages\n", "hold", ids[0].String(), ids[1].String())
	h.want(nil, "Released from hold: 1 message\n", "release", ids[0].String())
	h.want(nil, "Released from hold: 1 message\n", "release", "ALL")
	h.want(nil, "Flushed: 2 messages\n", "flush") // released ones count as deferred, the others are to be tried anyway
	h.want(nil, "Flushed: 1 message\n", "flush", "--destination", "d0.example")
	h.want(nil, "Requeued: 1 message\n", "requeue", ids[3].String())
	h.want(nil, "Force-expired: 1 message\n", "expire", ids[3].String())
	h.want(nil, "Deleted: 1 message\n", "delete", ids[2].String())

	out, err := h.run("delete", ids[0].String(), ids[2].String())
	if out != "Deleted: 1 message\n" || !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), ids[2].String()) {
		t.Errorf("delete of one that is not there: %q, %v", out, err)
	}
	h.want(nil, "Deleted: 2 messages\n", "delete", "ALL")
	for _, args := range [][]string{{"delete"}, {"hold"}, {"flush", "--destination", "d", "ALL"}, {"delete", "4dj7"}, {"delete", "ALL", ids[0].String()}} {
		if out, err := h.run(args...); !fail.Is(err, fail.Invalid) {
			t.Errorf("%v: %q, %v; want Invalid", args, out, err)
		}
	}
}

// More ids than one request line may hold.
func TestManyIDs(t *testing.T) {
	h := newHost(t)
	args := []string{"delete"}
	for i := range 2*idsAtOnce + 10 {
		args = append(args, queue.ID(1<<60+i).String())
	}
	args = append(args, h.submit(env("ann@example.com", "bob@example.net"), "Subject: x\r\n\r\n").String())
	out, err := h.run(args...)
	if out != "Deleted: 1 message\n" || !fail.Is(err, fail.NotFound) {
		t.Errorf("%q, %v", out, err)
	}
}

func TestCheck(t *testing.T) {
	h := newHost(t)
	h.submit(env("ann@example.com", "bob@example.net"), "Subject: x\r\n\r\n")
	if _, err := h.run("check"); !fail.Is(err, fail.Unavailable) {
		t.Errorf("check of a queue in use: %v", err)
	}
	if err := h.q.Close(); err != nil {
		t.Fatal(err)
	}
	h.want(nil, "1 message, 33 bytes, 1 segment\n", "check")
	f, err := h.fsys.OpenFile("/q/segments/segment-0000000001", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("XX"), 4096+80); err != nil {
		t.Fatal(err)
	}
	out, err := h.run("check")
	if !fail.Is(err, fail.Corrupt) || !strings.HasPrefix(out, "queue: /q/segments/segment-0000000001: offset 4096") || !strings.Contains(out, "\n0 messages") {
		t.Errorf("check of damage: %q, %v", out, err)
	}
	out, err = h.run("check", "--repair")
	if err != nil || !strings.Contains(out, "1 damaged message moved to /q/damaged") {
		t.Errorf("repair: %q, %v", out, err)
	}
	h.want(nil, "0 messages, 0 bytes, 1 segment\n", "check")
}

// Listing and flushing are open to those whom Access lets, mail itself is not.
func TestWhoMayDoWhat(t *testing.T) {
	h := newHost(t)
	open := map[string]bool{VerbList: true, VerbStats: true, VerbFlush: true, VerbTop: true}
	for _, v := range Verbs(h.q, Access{}) {
		if open[v.Name] != (v.Who == control.Status) {
			t.Errorf("%s is for %v", v.Name, v.Who)
		}
	}
}

func TestTopAndPause(t *testing.T) {
	h := newHost(t)
	for range 3 {
		h.submit(env("ann@example.com", "bob@example.net", "carol@example.net"), "Subject: x\r\n\r\n")
	}
	h.submit(env("ann@example.com", "dan@example.org"), "Subject: x\r\n\r\n")
	h.result = queue.Result{Status: queue.Deferred, Reason: "connect to mx: refused"}
	h.once()
	out, err := h.run("top")
	if err != nil || !strings.HasPrefix(out, "4 messages, 7 recipients\n\nRECIPIENTS   OLDEST  DOMAIN") ||
		!regexp.MustCompile(`\n +6 +\S+  example\.net +connect to mx: refused\n +1 +\S+  example\.org +connect to mx: refused\n`).MatchString(out) {
		t.Errorf("top: %v\n%s", err, out)
	}
	var top Top
	out, err = h.run("top", "--json")
	if err != nil || json.Unmarshal([]byte(out), &top) != nil || top.Recipients != 7 || len(top.Rows) != 2 {
		t.Errorf("top --json: %v %s", err, out)
	}
	for _, c := range []struct{ want, args string }{
		{"", "pause"},
		{"", "pause example.net"},
		{"", "pause smtp:"},
		{"example.net\nsmtp:\n", "pause"},
		{"{\"paused\":[\"example.net\",\"smtp:\"]}\n", "pause --json"},
		{"Resumed example.net: 0 messages\n", "resume example.net"},
		{"{\"changed\":4}\n", "flush --json"},
	} {
		if out, err := h.run(strings.Fields(c.args)...); err != nil || out != c.want {
			t.Errorf("%s: %q, %v", c.args, out, err)
		}
	}
	if _, err := h.run("resume", "example.net"); !fail.Is(err, fail.NotFound) {
		t.Errorf("resumed twice: %v", err)
	}
	if _, err := h.run("pause", "a b"); !fail.Is(err, fail.Invalid) {
		t.Errorf("paused nonsense: %v", err)
	}
}
