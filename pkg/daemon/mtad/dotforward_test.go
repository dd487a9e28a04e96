package mtad

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/program"
)

// forwards is a helper unit that knows some .forward files.
func forwards(files map[string]string) func(context.Context, net.Conn) {
	return func(_ context.Context, c net.Conn) {
		r, body, err := program.Receive(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, body)
		name, _, _ := strings.Cut(r.Recipients[0].Address, "@")
		reply := program.Reply{Exit: program.ExitNoInput}
		if text, ok := files[name]; ok {
			reply = program.Reply{Output: string(program.ForwardFile{Path: "/home/" + name + "/.forward", Text: text}.Append(nil))}
		}
		if files[name] == "bad" {
			reply = program.Reply{Exit: program.ExitNoPerm, Output: "file /home/bad/.forward is world writable"}
		}
		_, _ = c.Write(reply.Append(nil))
	}
}

// Users forward as they do with local(8): copies to elsewhere and to the own
// mailbox, programs by the user's own helper; a circle ends.
func TestForwardFilesOfUsers(t *testing.T) {
	w := newWorld(t)
	helper := serveUnix(t, filepath.Join(w.dir, "forward"), forwards(map[string]string{
		"joe": "\\joe, joe@far.example", "ping": "pong", "pong": "ping", "prog": "|post all", "noprog": "/x", "bad": "bad",
	}))
	p := &programs{}
	serveUnix(t, filepath.Join(w.dir, "prog"), p.serve)
	w.cfg.Domains.Local = []string{"host.example"}
	w.cfg.Rewrite.Origin = "host.example"
	w.cfg.Rewrite.ForwardSocket = helper.path
	w.cfg.Rewrite.ForwardPrograms = filepath.Join(w.dir, "${user}")
	w.cfg.Rewrite.Aliases = []string{"inline:{ {team = joe, \\bad} }"}
	w.start()
	player := &player{t: t, w: w}
	send := func(to string) string {
		return "C: MAIL FROM:<s@far.example>\nS: 250 *\nC: RCPT TO:<" + to + "@host.example>\nS: 250 *\nC: DATA\nS: 354 *\nC: hello\nC: .\nS: 250 *\n"
	}
	play(t, player, "connect submit\nS: 220 *\nC: HELO x\nS: 250 *\n"+send("joe")+`far joe@far.example: 1
lmtp joe@host.example: 1
log: postfix/local: *: to=<joe@host.example>, relay=local, *, dsn=2.0.0, status=sent (forwarded as *)
`+send("team")+`far joe@far.example: 2
lmtp joe@host.example: 2
lmtp bad@host.example: 1
`+send("bad")+`lmtp bad@host.example: 2
`+send("ping")+`far s@far.example: 1
has mail forwarding loop for ping@host.example
`+send("prog")+`log: postfix/local: *: to=<prog@host.example>, relay=local, *, status=sent (delivered to command: *)
`+send("noprog")+`log: postfix/local: *: to=<noprog@host.example>, relay=local, *, status=deferred (helper: *`)
	p.mu.Lock()
	got := strings.Join(p.asked, "\n")
	p.mu.Unlock()
	if got != "post all||s@far.example|prog@host.example|true" {
		t.Errorf("programs: %s", got)
	}
	helper.down()
	play(t, player, send("joe")+"log: postfix/local: *: to=<joe@host.example>, relay=*, *, status=deferred (*helper: *")
}
