package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"
)

// client believes what it is told, as a mail client does: messages by
// number, with the UID and the flags it has seen.
type client struct {
	s    *session
	out  *bytes.Buffer
	msgs []seen
	tag  int
}

type seen struct {
	uid   string // "" unknown
	flags string // "" unknown
}

// recording is a connection that keeps what is written.
type recording struct {
	net.Conn
	out *bytes.Buffer
}

func (r recording) Write(p []byte) (int, error)    { return r.out.Write(p) }
func (recording) Read([]byte) (int, error)         { return 0, io.EOF }
func (recording) SetWriteDeadline(time.Time) error { return nil }
func (recording) SetReadDeadline(time.Time) error  { return nil }

func newClient(t *rapid.T, a *fakeAccount) *client {
	c := &client{out: new(bytes.Buffer)}
	c.s = newSession(sequential(Config{}), recording{nil, c.out}, Start{Account: a})
	c.s.begin(context.Background())
	c.do(t, "SELECT INBOX")
	return c
}

// do runs one command and takes in the answer.
func (c *client) do(t *rapid.T, command string) (result string) {
	c.tag++
	c.s.r.Preload([]byte(fmt.Sprintf("t%d %s\r\n", c.tag, command)))
	c.s.perform(c.s.next())
	_ = c.s.w.Flush()
	counts := regexp.MustCompile(`^(FETCH|STORE|SEARCH)`).MatchString(command)
	for _, line := range strings.Split(strings.TrimSuffix(c.out.String(), "\r\n"), "\r\n") {
		if rest, tagged := strings.CutPrefix(line, fmt.Sprintf("t%d ", c.tag)); tagged {
			result = rest
			continue
		}
		if err := c.take(line, counts); err != nil {
			t.Fatalf("%s: %q: %v", command, line, err)
		}
	}
	c.out.Reset()
	return result
}

var fetchLine = regexp.MustCompile(`^\* (\d+) FETCH \((?:UID (\d+) ?)?(?:FLAGS \((.*)\))?\)$`)

// take learns from an untagged line, and refuses what must not be said.
func (c *client) take(line string, counts bool) error {
	var n int
	switch {
	case strings.HasSuffix(line, " EXPUNGE"):
		_, _ = fmt.Sscanf(line, "* %d EXPUNGE", &n)
		if counts {
			return fmt.Errorf("EXPUNGE in the answer to a command that counts messages")
		}
		if n < 1 || n > len(c.msgs) {
			return fmt.Errorf("there are %d messages", len(c.msgs))
		}
		c.msgs = append(c.msgs[:n-1], c.msgs[n:]...)
	case strings.HasSuffix(line, " EXISTS"):
		_, _ = fmt.Sscanf(line, "* %d EXISTS", &n)
		if n < len(c.msgs) {
			return fmt.Errorf("there are %d messages already", len(c.msgs))
		}
		c.msgs = append(c.msgs, make([]seen, n-len(c.msgs))...)
	case strings.Contains(line, " FETCH ("):
		m := fetchLine.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("not understood")
		}
		n, _ = strconv.Atoi(m[1])
		if n > len(c.msgs) {
			return fmt.Errorf("there are %d messages", len(c.msgs))
		}
		if known := &c.msgs[n-1]; m[2] != "" {
			if known.uid != "" && known.uid != m[2] {
				return fmt.Errorf("its UID was %s", known.uid)
			}
			known.uid = m[2]
		}
		c.msgs[n-1].flags = "(" + strings.TrimSuffix(strings.ReplaceAll(m[3], "\\Recent", ""), " ") + ")"
	}
	return nil
}

// Whatever other sessions and deliveries do, what a client has been told is
// what the mailbox is, once it asks for news.
func TestViewProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newFakeAccount("Other")
		a.mu.Lock()
		for range rapid.IntRange(0, 5).Draw(t, "start") {
			a.boxes["INBOX"].deliver("x\r\n", a.now, Row{})
		}
		a.mu.Unlock()
		cs := []*client{newClient(t, a), newClient(t, a)}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			c := rapid.SampledFrom(cs).Draw(t, "client")
			step(t, a, c)
		}
		for _, c := range cs {
			agree(t, a, c)
		}
	})
}

// step does one thing that may happen.
func step(t *rapid.T, a *fakeAccount, c *client) {
	set := "1"
	if n := len(c.msgs); n > 0 {
		x, y := rapid.IntRange(1, n).Draw(t, "from"), rapid.IntRange(1, n).Draw(t, "to")
		set = fmt.Sprintf("%d:%d", x, y)
	}
	flag := rapid.SampledFrom([]string{`\Seen`, `\Deleted`, `$k`, `\Flagged`}).Draw(t, "flag")
	sign := rapid.SampledFrom([]string{"+", "-", ""}).Draw(t, "sign")
	what := rapid.SampledFrom([]string{
		"NOOP", "FETCH " + set + " (UID FLAGS)", "UID FETCH " + set + " FLAGS",
		"STORE " + set + " " + sign + "FLAGS (" + flag + ")", "UID STORE " + set + " " + sign + "FLAGS (" + flag + ")",
		"STORE " + set + " " + sign + "FLAGS.SILENT (" + flag + ")",
		"EXPUNGE", "UID EXPUNGE " + set, "SEARCH ALL", "COPY " + set + " INBOX", "UID MOVE " + set + " Other", "STATUS INBOX (MESSAGES)",
		"deliver", "expunge", "flag",
	}).Draw(t, "what")
	b := a.boxes["INBOX"]
	switch what {
	case "deliver":
		a.mu.Lock()
		b.deliver("x\r\n", a.now, Row{})
		a.mu.Unlock()
	case "expunge", "flag":
		h := &fakeHandle{b}
		if snap := h.Snapshot(); snap.Len() > 0 {
			uid := imap.UID(snap.At(rapid.IntRange(0, snap.Len()-1).Draw(t, "victim")).UID)
			if what == "flag" {
				_, _ = h.Store(context.Background(), imap.UIDSetNum(uid), Change{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.Flag(flag)}})
				return
			}
			_, _ = h.Store(context.Background(), imap.UIDSetNum(uid), Change{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}})
			_ = h.Expunge(context.Background(), imap.UIDSetNum(uid))
		}
	default:
		c.do(t, what)
		if strings.Contains(what, "SILENT") {
			// A client works out itself what it has silenced; ours does not.
			for i := range c.msgs {
				c.msgs[i].flags = ""
			}
		}
	}
}

// agree compares a client with the mailbox after a NOOP.
func agree(t *rapid.T, a *fakeAccount, c *client) {
	c.do(t, "NOOP")
	before := append([]seen(nil), c.msgs...)
	if n := a.boxes["INBOX"].cur.Len(); n != len(before) {
		t.Fatalf("the client knows %d messages of %d", len(before), n)
	}
	c.do(t, "FETCH 1:* (UID FLAGS)")
	for i, m := range c.msgs {
		if m.uid != strconv.Itoa(int(a.boxes["INBOX"].cur.rows[i].UID)) {
			t.Fatalf("message %d is UID %s, not %d", i+1, m.uid, a.boxes["INBOX"].cur.rows[i].UID)
		}
		if b := before[i]; b.flags != "" && b.flags != m.flags {
			t.Fatalf("message %d: the client believed %s, it has %s", i+1, b.flags, m.flags)
		}
	}
}
