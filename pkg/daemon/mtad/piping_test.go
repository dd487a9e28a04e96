package mtad

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/program"
)

// programs is a helper unit that does nothing but note what it is asked.
type programs struct {
	mu    sync.Mutex
	asked []string
}

func (p *programs) serve(_ context.Context, c net.Conn) {
	r, body, err := program.Receive(bufio.NewReader(c))
	if err != nil {
		return
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return
	}
	var to []string
	for _, rc := range r.Recipients {
		to = append(to, rc.Address)
	}
	p.mu.Lock()
	p.asked = append(p.asked, fmt.Sprintf("%s%s%s|%s|%s|%s|%v", r.Command, r.Text, r.File, r.NextHop, r.Sender, strings.Join(to, ","), strings.HasSuffix(string(text), "hello\r\n")))
	p.mu.Unlock()
	reply := program.Reply{Output: "well\ndone"}
	if r.Text == "unknown" {
		reply = program.Reply{Exit: 67, Output: "no list"}
	}
	_, _ = c.Write(reply.Append(nil))
}

// Transports of type pipe, commands and files of aliases go to the helper.
func TestProgramsAreTheHelpers(t *testing.T) {
	w := newWorld(t)
	p := &programs{}
	helper := serveUnix(t, filepath.Join(w.dir, "run"), p.serve)
	w.cfg.Domains.Local = []string{"host.example"}
	w.cfg.Queue.TransportRetry = conf.Duration(time.Hour)
	w.cfg.Transports = map[string]routing.Transport{"prog": {Type: "pipe", Socket: helper.path, Command: "filter", TimeLimit: conf.Duration(30 * time.Second)}}
	w.cfg.Routes = map[string]string{"far.example": "prog:a list", "elsewhere.example": "prog:another"}
	w.cfg.Rewrite.AliasTransport = "prog"
	w.cfg.Rewrite.Aliases = []string{"inline:{ {list = |post all}, {archive = /var/mail/archive}, {owner-archive = ann@ours.example}, {wrong = |unknown} }"}
	w.start()
	player := &player{t: t, w: w}
	play(t, player, `connect submit
S: 220 *
C: HELO x
S: 250 *
C: MAIL FROM:<joe@ours.example>
S: 250 *
C: RCPT TO:<a@far.example>
S: 250 *
C: RCPT TO:<b@far.example>
S: 250 *
C: RCPT TO:<list@host.example>
S: 250 *
C: RCPT TO:<archive@host.example>
S: 250 *
C: RCPT TO:<wrong@host.example>
S: 250 *
C: DATA
S: 354 *
C: hello
C: .
S: 250 *
lmtp joe@ours.example: 1
has Final-Recipient: rfc822; wrong@host.example
queued 0
log: postfix/pipe: *: to=<a@far.example>, relay=prog, *, dsn=2.0.0, status=sent (delivered via prog service (well done))
log: postfix/local: *: to=<list@host.example>, relay=local, *, status=sent (delivered to command: post all)
log: postfix/local: *: to=<archive@host.example>, relay=local, *, status=sent (delivered to file: /var/mail/archive)
log: postfix/local: *: to=<wrong@host.example>, relay=local, *, dsn=5.1.1, status=bounced (user unknown. Command output: no list)`)
	p.mu.Lock()
	got := strings.Join(p.asked, "\n") + "\n"
	p.mu.Unlock()
	for _, want := range []string{
		"filter|a list|joe@ours.example|a@far.example,b@far.example|true", "post all||joe@ours.example|list@host.example|true",
		"/var/mail/archive||owner-archive@host.example|archive@host.example|true",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	helper.down()
	play(t, player, `C: MAIL FROM:<joe@ours.example>
S: 250 *
C: RCPT TO:<c@far.example>
S: 250 *
C: DATA
S: 354 *
C: hello
C: .
S: 250 *
log: postfix/qmgr: warning: connect to transport private/prog: helper: dial unix *
log: postfix/pipe: *: to=<c@far.example>, relay=none, *, dsn=4.3.0, status=deferred (mail transport unavailable)
C: MAIL FROM:<joe@ours.example>
S: 250 *
C: RCPT TO:<d@elsewhere.example>
S: 250 *
C: DATA
S: 354 *
C: hello
C: .
S: 250 *
log: postfix/error: *: to=<d@elsewhere.example>, relay=none, *, dsn=4.3.0, status=deferred (mail transport unavailable)`)
	helper.up()
	if _, err := w.queue.Flush(t.Context(), queue.Selection{All: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program is run when the helper is back", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return strings.Contains(strings.Join(p.asked, "\n"), "|c@far.example|") && strings.Contains(strings.Join(p.asked, "\n"), "|d@elsewhere.example|")
	})
}

// A helper that ends without an answer is a transport that broke: all of it
// rests. One that takes too long is a matter of one message.
func TestHelperThatBreaks(t *testing.T) {
	w := newWorld(t)
	helper := serveUnix(t, filepath.Join(w.dir, "run"), func(ctx context.Context, c net.Conn) {
		r, body, err := program.Receive(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, body)
		if strings.HasPrefix(r.Recipients[0].Address, "slow@") {
			_, _ = io.Copy(io.Discard, c) // until mtad gives up
		}
	})
	w.cfg.Queue.TransportRetry, w.cfg.Queue.MinBackoff, w.cfg.Queue.MaxBackoff = conf.Duration(time.Hour), conf.Duration(time.Hour), conf.Duration(time.Hour)
	w.cfg.Transports = map[string]routing.Transport{
		"slow": {Type: "pipe", Socket: helper.path, Command: "filter", TimeLimit: conf.Duration(time.Second)},
		"prog": {Type: "pipe", Socket: helper.path, Command: "filter", TimeLimit: conf.Duration(time.Minute)},
	}
	w.cfg.Routes = map[string]string{"three.example": "slow:three", "four.example": "slow:four", "one.example": "prog:one", "two.example": "prog:two"}
	w.start()
	player := &player{t: t, w: w}
	send := func(to string) string {
		return "C: MAIL FROM:<joe@ours.example>\nS: 250 *\nC: RCPT TO:<" + to + ">\nS: 250 *\nC: DATA\nS: 354 *\nC: hello\nC: .\nS: 250 *\n"
	}
	tooLong := func(to string) string {
		return send(to) + "log: postfix/pipe: *: to=<" + to + `>, relay=slow, *, dsn=4.3.0, status=deferred (Command time limit exceeded: "filter")` + "\n"
	}
	play(t, player, "connect submit\nS: 220 *\nC: HELO x\nS: 250 *\n"+tooLong("slow@three.example")+tooLong("slow@four.example")+send("dies@one.example")+
		`log: postfix/qmgr: warning: private/prog socket: helper *
log: postfix/qmgr: warning: transport prog failure -- see a previous warning/fatal/panic logfile record for the problem description
log: postfix/pipe: *: to=<dies@one.example>, relay=none, *, dsn=4.3.0, status=deferred (unknown mail transport error)
`+send("other@two.example")+`log: postfix/error: *: to=<other@two.example>, relay=none, *, dsn=4.3.0, status=deferred (unknown mail transport error)`)
}
