package mtad

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// Each file of testdata is one world, from start to stop:
//
//	set YAML            changes the configuration; before the first connect
//	connect LISTENER    smtpd, submission/smtpd, smtps/smtpd, submit
//	C: text             sends a line; C| text sends Go-escaped bytes as they are
//	S: text             a line that must come; * stands for anything
//	starttls            the client's handshake
//	eof                 the server closes
//	hangup              the client closes
//	authd|lmtp|far down|up, disk full|tight|well, restart
//	disk free N         so many octets are left of it; 0 for what there is
//	lmtp|far TO: N      waits until N messages for TO have arrived there ...
//	lmtp|far first TO   goes back to the first of them
//	  has text          ... the last of them holds this (\r\n for line ends)
//	  hasnt text
//	  told text         ... and XFORWARD said this before it
//	  asked text        ... and its DSN parameters were these
//	lmtp|far dsn|plain|seven  announces DSN from now on, or no SMTPUTF8, or neither that nor 8BITMIME
//	lmtp|far says A: R  answers R to RCPT TO:<A> from now on
//	old: text           waits for a command at bombs.af.mil, a host of 1982
//	queued N            waits until N messages are in the queue
//	log: tag: text      waits for a line in Postfix's form
//	nolog: text         no line is like that
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			p := &player{t: t, w: newWorld(t)}
			for n, line := range strings.Split(string(text), "\n") {
				if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
					continue
				}
				if err := p.step(line); err != nil {
					t.Fatalf("%s:%d: %s: %v\nlog:\n%s", f, n+1, line, err, strings.Join(p.w.log.Classic(), "\n"))
				}
			}
		})
	}
}

type player struct {
	t    *testing.T
	w    *world
	conn net.Conn
	r    *bufio.Reader
	last []received // of the latest "lmtp" or "far" line
}

func (p *player) step(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "set":
		return conf.Parse("set", []byte(rest), &p.w.cfg)
	case "connect":
		p.begin()
		p.conn = p.w.connect(rest)
		if rest == "smtps/smtpd" {
			p.conn = tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true})
		}
		p.r = bufio.NewReader(p.conn)
		return nil
	case "C:":
		return p.send(rest + "\r\n")
	case "C|":
		raw, err := strconv.Unquote(rest)
		if err != nil {
			return err
		}
		return p.send(raw)
	case "S:":
		return p.expect(rest)
	case "starttls":
		p.conn = tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true})
		p.r = bufio.NewReader(p.conn)
		return nil
	case "eof":
		_ = p.conn.SetReadDeadline(time.Now().Add(patience))
		if line, err := p.r.ReadString('\n'); err == nil || line != "" {
			return fmt.Errorf("got %q, want the end", line)
		}
		return nil
	case "hangup":
		return p.conn.Close()
	}
	return p.outside(word, rest)
}

// outside steps are about the world around the connection.
func (p *player) outside(word, rest string) error {
	switch word {
	case "authd":
		turn(p.w.authd, rest)
		turn(p.w.exists, rest)
	case "lmtp", "far":
		s := p.w.lmtp
		if word == "far" {
			s = p.w.far
		}
		if rest == "dsn" || rest == "plain" || rest == "seven" {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dsn, s.plain, s.seven = rest == "dsn", rest == "plain", rest == "seven"
			return nil
		}
		if saying, ok := strings.CutPrefix(rest, "says "); ok {
			return s.say(saying)
		}
		if to, ok := strings.CutPrefix(rest, "first "); ok {
			p.last = s.messages(to)[:1]
			return nil
		}
		if rest == "down" || rest == "up" {
			turn(s.service, rest)
			return nil
		}
		return p.arrived(s, rest)
	case "old:":
		return p.commanded(rest)
	case "asked":
		if len(p.last) == 0 || p.last[len(p.last)-1].asked != rest {
			return fmt.Errorf("arrived: %+v", p.last)
		}
	case "told":
		if len(p.last) == 0 || !like(rest, p.last[len(p.last)-1].told) {
			return fmt.Errorf("arrived: %+v", p.last)
		}
	case "has", "hasnt":
		return p.content(word == "has", rest)
	case "disk":
		p.w.disk.Clear()
		if n, ok := strings.CutPrefix(rest, "free "); ok {
			free, err := strconv.ParseInt(n, 10, 64)
			p.w.room.free.Store(free)
			return err
		}
		switch rest {
		case "full":
			p.w.disk.Add(disk.Fault{Op: disk.OpWrite, Err: syscall.ENOSPC, Forever: true})
		case "tight": // writing still works
			p.w.disk.Add(disk.Fault{Op: disk.OpStatfs, Err: syscall.ENOSPC, Forever: true})
		}
	case "restart":
		p.begin()
		p.w.stopMTA()
		p.w.start()
	case "queued":
		return p.queued(rest)
	case "log:":
		return p.logged(rest)
	case "nolog:":
		for _, l := range p.w.log.Classic() {
			if strings.Contains(l, rest) {
				return fmt.Errorf("logged: %s", l)
			}
		}
	default:
		return fmt.Errorf("unknown step")
	}
	return nil
}

func turn(s *outside, how string) {
	if how == "down" {
		s.down()
		return
	}
	s.up()
}

// begin starts mtad once the configuration is set.
func (p *player) begin() {
	if p.w.stop == nil {
		p.w.start()
	}
}

func (p *player) send(text string) error {
	_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := p.conn.Write([]byte(text))
	return err
}

func (p *player) expect(want string) error {
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	got, err := p.r.ReadString('\n')
	if got = strings.TrimRight(got, "\r\n"); err != nil || !like(want, got) {
		return fmt.Errorf("got %q, %v", got, err)
	}
	return nil
}

// like matches a text against a pattern in which only * is special.
func like(pattern, text string) bool {
	quoted := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `?`, `\?`, `/`, "\x00").Replace(pattern)
	ok, err := path.Match(quoted, strings.ReplaceAll(text, "/", "\x00"))
	return err == nil && ok
}

func (p *player) arrived(s *sink, rest string) error {
	to, count, _ := strings.Cut(rest, ": ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	p.last = nil
	for end := time.Now().Add(patience); len(p.last) < n || n == 0; time.Sleep(2 * time.Millisecond) {
		if p.last = s.messages(to); time.Now().After(end) || n == 0 {
			break
		}
	}
	if len(p.last) != n {
		return fmt.Errorf("%d messages arrived", len(p.last))
	}
	return nil
}

func (p *player) content(want bool, rest string) error {
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(rest, `"`, `\"`) + `"`)
	if err != nil {
		return err
	}
	if len(p.last) == 0 {
		return fmt.Errorf("no message")
	}
	if got := p.last[len(p.last)-1].text; strings.Contains(got, text) != want {
		return fmt.Errorf("message is\n%s", got)
	}
	return nil
}

func (p *player) queued(rest string) error {
	want, err := strconv.Atoi(rest)
	if err != nil {
		return err
	}
	p.begin()
	n := 0
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		n = 0
		for range p.w.queue.List(queue.Filter{}) {
			n++
		}
		if n == want {
			return nil
		}
	}
	return fmt.Errorf("%d messages are queued", n)
}

func (p *player) logged(want string) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		for _, l := range p.w.log.Classic() {
			if like(want, l) {
				return nil
			}
		}
	}
	return fmt.Errorf("never logged")
}

// commanded waits for a command at the old host.
func (p *player) commanded(want string) error {
	h := p.w.old
	var heard []string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		h.mu.Lock()
		heard = slices.Clone(h.heard)
		h.mu.Unlock()
		if slices.Contains(heard, want) {
			return nil
		}
	}
	return fmt.Errorf("heard %q", heard)
}
