package whole

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/test/suite"
)

// mtadActive is queue.active_messages: no more messages can be on their way, or
// arrived and not yet noted as such, when mtad is killed.
const mtadActive = 50

// mtad is killed at random moments, while it starts too, and begins anew on the
// same queue. Each message that was answered with 250 arrives. One arrives twice
// only if mtad was killed between the delivery and the note of it, and nothing
// arrives in part (docs/formats/queue.md, "What is durable when").
func TestKillMtadAtRandomMoments(t *testing.T) {
	k := newSink(t)
	s := prepared(t, suite.Options{Edit: map[string]func(string) string{"mtad": func(text string) string { return forSink(text, k.addr) }}})
	p := s.Procs["mtad"]
	senders := startSenders(t, s.Addr(25))
	moments := crashMoments()
	for range moments {
		live(t, p, &senders.done, 150)
		k.kills.Add(1)
	}
	senders.stop.Store(true)
	begin(t, p)
	senders.Wait()
	for still := (&stillness{}); ; time.Sleep(100 * time.Millisecond) {
		lost := k.missing(&senders.acked)
		if len(lost) == 0 {
			break
		}
		if still.tooLong(int64(len(lost))) {
			t.Fatalf("%d acknowledged and lost, of %d: %v", len(lost), senders.next.Load(), lost[:min(len(lost), 20)])
		}
	}
	eventually(t, "the queue is empty", func() bool { return queued(t, p) == 0 })
	p.Stop()
	k.verdict(t, &senders.acked, moments)
	if out, err := exec.Command(p.Binary(), "queue", "check", "-c", p.Config()).CombinedOutput(); err != nil {
		t.Errorf("queue check: %v\n%s", err, out)
	}
	if left, err := os.ReadDir(s.Path("lib/mtad/queue/damaged")); err == nil && len(left) > 0 {
		t.Errorf("put aside as damaged: %v", left)
	}
}

// forSink has mtad deliver to the sink, believe that all mailboxes are there,
// and use each kind of file soon.
func forSink(text, addr string) string {
	head, rest, _ := strings.Cut(text, "domains:")
	_, rest, _ = strings.Cut(rest, "auth_socket:")
	auth, rest, _ := strings.Cut(rest, "exists_socket:")
	_, queue, _ := strings.Cut(rest, "queue:")
	return head + fmt.Sprintf(`domains: {mailbox: [demo.test], tables: []}
client_names: false
exists_socket: ""
deliver: {lmtp: "%s"}
auth_socket:%squeue:
  active_messages: %d
  active_recipients: %d
  segment_size: 1MiB
  large_message: 64KiB
  min_free: 1MiB`, addr, auth, mtadActive, 2*mtadActive) + queue
}

// queued is how many messages are in the queue.
func queued(t *testing.T, p *suite.Process) int {
	t.Helper()
	out, err := exec.Command(p.Binary(), "queue", "list", "-c", p.Config(), "--json").Output()
	if err != nil {
		t.Fatalf("queue list: %v", err)
	}
	return strings.Count(string(out), "\n")
}

// sizeOf is how large message n is: some of each way in which a queue may keep it.
func sizeOf(n int) int {
	switch {
	case n%20 == 0:
		return 100 << 10
	case n%3 == 0:
		return 8 << 10
	}
	return 500
}

// recipientsOf are those of message n.
func recipientsOf(n int) []string {
	if n%5 == 0 {
		return []string{"alice@demo.test", "bob@demo.test"}
	}
	return []string{"alice@demo.test"}
}

// sendersCrowd sends numbered messages until it is told to stop.
type sendersCrowd struct {
	sync.WaitGroup
	stop  atomic.Bool
	next  atomic.Int64
	done  atomic.Int64 // messages that were acknowledged
	acked sync.Map     // numbers
}

func startSenders(t *testing.T, addr string) *sendersCrowd {
	c := &sendersCrowd{}
	for range 8 {
		c.Add(1)
		go func() {
			defer c.Done()
			for !c.stop.Load() {
				c.session(addr)
			}
		}()
	}
	t.Cleanup(func() { c.stop.Store(true) })
	return c
}

// session sends until its server is gone. The listening socket is never closed,
// so a new connection waits for the next life.
func (c *sendersCrowd) session(addr string) {
	s, err := smtp.Dial(addr)
	if err != nil {
		return
	}
	defer s.Close()
	s.CommandTimeout, s.SubmissionTimeout = patience, patience
	for !c.stop.Load() {
		n := int(c.next.Add(1))
		if err := s.SendMail("x@elsewhere.test", recipientsOf(n), strings.NewReader(numberedText(n, sizeOf(n)))); err != nil {
			return
		}
		c.acked.Store(n, true)
		c.done.Add(1)
	}
}

// copyOf is a message for one of its recipients.
type copyOf struct {
	n  int
	to string
}

// sink is an LMTP server that counts what it gets in which life of its client.
type sink struct {
	t     *testing.T
	addr  string
	kills atomic.Int64

	mu  sync.Mutex
	got map[copyOf][]int64 // the life in which each of its copies came
}

func newSink(t *testing.T) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &sink{t: t, addr: l.Addr().String(), got: map[copyOf][]int64{}}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &sinkSession{k: k, life: k.kills.Load()}, nil
	}))
	srv.LMTP, srv.Domain = true, "sink.test"
	srv.ErrorLog = log.New(io.Discard, "", 0) // it would tell of each kill
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return k
}

// sinkSession is made when the client has said who it is, and answered before
// it can send anything: the client lived then.
type sinkSession struct {
	k    *sink
	life int64
	to   []string
}

func (c *sinkSession) Mail(string, *smtp.MailOptions) error { return nil }
func (c *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = append(c.to, to)
	return nil
}
func (c *sinkSession) Reset()        { c.to = nil }
func (c *sinkSession) Logout() error { return nil }

func (c *sinkSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err // cut off by the kill
	}
	header, _, _ := strings.Cut(string(text), "\r\n\r\n")
	_, subject, _ := strings.Cut(header, "\r\nSubject: ")
	n := numberOf(subject)
	if n < 0 || !whole(string(text), n, sizeOf(n)) {
		c.k.t.Errorf("a message arrived in part, or changed (%d octets):\n%.300s", len(text), text)
		return nil
	}
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	for _, to := range c.to {
		c.k.got[copyOf{n, to}] = append(c.k.got[copyOf{n, to}], c.life)
	}
	return nil
}

// missing are acknowledged messages that did not come to each recipient.
func (k *sink) missing(acked *sync.Map) (list []copyOf) {
	k.mu.Lock()
	defer k.mu.Unlock()
	acked.Range(func(n, _ any) bool {
		for _, to := range recipientsOf(n.(int)) {
			if c := (copyOf{n.(int), to}); len(k.got[c]) == 0 {
				list = append(list, c)
			}
		}
		return true
	})
	return list
}

// verdict holds the copies against what a kill may repeat.
func (k *sink) verdict(t *testing.T, acked *sync.Map, moments int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	repeated, unheard, all := map[int64]map[int]bool{}, 0, 0
	for c, came := range k.got {
		if _, ok := acked.Load(c.n); !ok {
			unheard++
		}
		all++
		for i, life := range came[1:] {
			if life == came[i] {
				t.Errorf("message %d came to %s twice in one life: %v", c.n, c.to, came)
			}
			if repeated[came[i]] == nil {
				repeated[came[i]] = map[int]bool{}
			}
			repeated[came[i]][c.n] = true
		}
	}
	twice, most := 0, 0
	for life, numbers := range repeated {
		twice, most = twice+len(numbers), max(most, len(numbers))
		if len(numbers) > mtadActive {
			t.Errorf("kill %d repeated %d messages, of which %d can have been active", life, len(numbers), mtadActive)
		}
	}
	if all < moments {
		t.Errorf("only %d messages in %d lives: the test shows nothing", all, moments)
	}
	told := 0
	acked.Range(func(any, any) bool { told++; return true })
	t.Logf("%d kills, %d messages acknowledged, %d copies; lost: none; %d messages repeated, at most %d after one kill; %d copies of messages whose 250 did not come", moments, told, all, twice, most, unheard)
}
