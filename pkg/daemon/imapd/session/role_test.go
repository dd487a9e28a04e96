package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/pkg/proto/hint"
	"github.com/postcote/postcote/pkg/proto/imap/wire/wiretest"
)

// TestTranscripts plays testdata against the whole role: frames over a
// seqpacket socket, logins redeemed at a master socket, mail in Maildirs. The
// prefix of the file's name is the protocol.
func TestTranscripts(t *testing.T) {
	wiretest.Dir(t, "testdata/*.txt", func(t *testing.T, name string) *wiretest.Script {
		w := newWorld(t, func(c *Config) {
			if strings.Contains(name, "namespace") {
				c.IMAP.Namespace = "INBOX."
			}
		})
		protocol := handover.IMAP
		if strings.HasPrefix(name, "pop3") {
			protocol = handover.POP3
		}
		return &wiretest.Script{
			Dial:  func(int) net.Conn { return w.dial(protocol, "alice") },
			Event: w.event,
		}
	})
}

// event is something that happens outside of the sessions.
func (w *world) event(words []string) error {
	switch words[0] {
	case "deliver": // deliver SUBJECT: as deliverd does, with a hint
		return w.deliver("alice", words[1], true)
	case "drop": // drop SUBJECT: without a hint
		return w.deliver("alice", words[1], false)
	case "stop":
		w.stop()
		return nil
	}
	return fmt.Errorf("no event %s", words[0])
}

func (w *world) maildir(user string) string {
	return filepath.Join(w.auth.home, user, "Maildir")
}

// deliver puts a message into a user's INBOX as another process would.
func (w *world) deliver(user, subject string, tell bool) error {
	text := "From: Bob <bob@example.org>\nSubject: " + subject + "\n\nHello.\n"
	root := w.maildir(user)
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o700); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("%d.M%dP1.test,S=%d,W=%d", 1700000000+w.nextID, w.nextID, len(text), len(text)+strings.Count(text, "\n"))
	w.nextID++
	tmp := filepath.Join(root, "tmp", name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(root, "new", name)); err != nil || !tell {
		return err
	}
	s := hint.NewSender(func(context.Context) (net.Conn, error) { return w.connect("events"), nil }, 1, time.Now)
	defer s.Close()
	for {
		err := s.Send(context.Background(), hint.Hint{User: user, Mailbox: "INBOX", File: name, Size: int64(len(text))})
		if !errors.Is(err, os.ErrDeadlineExceeded) { // a busy machine: its 20 ms were over before it had its turn
			return err
		}
	}
}

// A frame is worth what its login is worth: once, and what authd says of it
// (CVE-2020-24386: whoever could write to a session's state read others' mail).
func TestLoginIsRedeemedOnce(t *testing.T) {
	w := newWorld(t, nil)
	f := w.frame(handover.IMAP, "alice")
	if _, _, err := w.offer(f); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]func(*handover.Frame){
		"again":        func(*handover.Frame) {},
		"other cookie": func(f *handover.Frame) { f.RequestID++; f.Cookie = "guess" },
		"other pid":    func(f *handover.Frame) { f.ClientPID++ },
	} {
		g := *f
		bad(&g)
		conn, a, err := w.offer(&g)
		if !fail.Is(err, fail.Unavailable) || a.Taken || a.Why != "denied" {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
		if b, _ := io.ReadAll(conn); len(b) > 0 {
			t.Errorf("%s: the client was told %q; that is the login role's duty", what, b)
		}
	}
	if _, a, err := w.offer(w.frame(handover.IMAP, "bob")); err != nil {
		t.Errorf("the connection is of no use after a refusal: %+v, %v", a, err)
	}
}

// A master that does not answer costs the client a "later", not the session
// role a connection.
func TestMasterIsSilent(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.AuthWait = 1 })
	w.auth.mu.Lock()
	w.auth.silent = true
	w.auth.mu.Unlock()
	if _, a, err := w.offer(w.frame(handover.IMAP, "alice")); err == nil || a.Taken || a.Why != "unavailable" {
		t.Errorf("%+v, %v", a, err)
	}
}

// Garbage on the sockets ends that connection and nothing else.
func TestGarbage(t *testing.T) {
	w := newWorld(t, nil)
	for _, socket := range []string{"session", "events"} {
		conn := w.connect(socket)
		_, _ = conn.Write([]byte("\xff\xff garbage"))
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", socket, err)
		}
	}
	greeted(t, w.dial(handover.IMAP, "alice"))
}

// greeted reads the answer to the login.
func greeted(t *testing.T, conn net.Conn) {
	t.Helper()
	expect(t, conn, "a0 OK [CAPABILITY ")
}

// expect reads a line that begins with want.
func expect(t *testing.T, conn net.Conn, want string) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	var line []byte
	for !strings.HasSuffix(string(line), "\r\n") {
		var b [1]byte
		if _, err := conn.Read(b[:]); err != nil {
			t.Fatalf("%q, then %v; want %q", line, err, want)
		}
		line = append(line, b[0])
	}
	if !strings.HasPrefix(string(line), want) {
		t.Fatalf("%q, want %q", line, want)
	}
	return string(line)
}

// The session goes on when the connection that it was handed over on ends.
func TestSessionOutlivesTheHandover(t *testing.T) {
	w := newWorld(t, nil)
	conn := w.dial(handover.IMAP, "alice")
	greeted(t, conn)
	_ = w.login.Close()
	w.login = w.connect("session")
	greeted(t, w.dial(handover.IMAP, "alice")) // the role has seen the end of the first one by now
	_, _ = io.WriteString(conn, "a1 NOOP\r\n")
	expect(t, conn, "a1 OK")
}

func TestSessionsPerUserAndAddress(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.PerUser = 2 })
	first := w.dial(handover.IMAP, "alice")
	greeted(t, first)
	greeted(t, w.dial(handover.IMAP, "alice"))
	third := w.dial(handover.IMAP, "alice")
	expect(t, third, "a0 NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)")
	expect(t, third, "* BYE ")
	expect(t, w.dial(handover.POP3, "alice"), "+OK Logged in.") // another protocol
	greeted(t, w.dial(handover.IMAP, "bob"))                    // another user
	_, _ = io.WriteString(first, "a1 LOGOUT\r\n")
	expect(t, first, "* BYE")
	_, _ = io.ReadAll(first)
	greeted(t, w.dial(handover.IMAP, "alice"))
}

// SIGTERM: every client is told, everything is flushed, and the log has the
// closing lines.
func TestStop(t *testing.T) {
	w := newWorld(t, nil)
	imap, pop := w.dial(handover.IMAP, "alice"), w.dial(handover.POP3, "bob")
	greeted(t, imap)
	expect(t, pop, "+OK Logged in.")
	if err := w.end(); err != nil {
		t.Error(err)
	}
	expect(t, imap, "* BYE Server shutting down.")
	expect(t, pop, "-ERR [SYS/TEMP] Server shutting down.")
	for event, user := range map[string]string{"imap session closed": "alice", "pop3 session closed": "bob"} {
		found := w.logs.Named(event)
		if len(found) != 1 {
			t.Fatalf("%s: %d", event, len(found))
		}
		if tag, text := found[0].Classic(); !strings.Contains(tag, "("+user+")<") || !strings.HasPrefix(text, "Disconnected: Server shutting down.") {
			t.Errorf("%s: %s", tag, text)
		}
	}
}

// verb runs an operator's verb over a control socket.
func (w *world) verb(name string, args ...string) (out []string, err error) {
	err = w.controlled(func(ctx context.Context, path string) error {
		c, err := control.Dial(ctx, path)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Each(ctx, name, args, func(v json.RawMessage) error {
			out = append(out, string(v))
			return nil
		})
	})
	return out, err
}

// command runs an operator's command as the program does.
func (w *world) command(sub *cobra.Command, args ...string) (out string, err error) {
	var b bytes.Buffer
	err = w.controlled(func(ctx context.Context, path string) error {
		root := &cobra.Command{Use: "imapd", SilenceUsage: true, SilenceErrors: true}
		root.PersistentFlags().String("control", path, "")
		root.AddCommand(sub)
		root.SetArgs(append([]string{sub.Name()}, args...))
		root.SetOut(&b)
		return root.ExecuteContext(ctx)
	})
	return b.String(), err
}

// controlled runs fn while the control socket is served.
func (w *world) controlled(fn func(ctx context.Context, path string) error) error {
	path := filepath.Join(w.dir, "control")
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.rt.ServeControl(ctx, l) }()
	defer func() { cancel(); <-done; _ = os.Remove(path) }()
	return fn(ctx, path)
}

func TestVerbs(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.dial(handover.IMAP, "alice"), w.dial(handover.IMAP, "bob")
	greeted(t, alice)
	greeted(t, bob)
	out, err := w.verb("WHO")
	if err != nil || len(out) != 2 || !strings.Contains(out[0], `"user":"alice","protocol":"imap","peer":"192.0.2.1","session":"S1"`) {
		t.Errorf("%v, %v", out, err)
	}
	if out, err = w.verb("KICK", "bob"); err != nil || out[0] != `{"kicked":1}` {
		t.Errorf("%v, %v", out, err)
	}
	expect(t, bob, "* BYE Disconnected by the administrator.")
	if out, err = w.verb("FLUSH", "alice"); err != nil || out[0] != `{"flushed":"alice"}` {
		t.Errorf("%v, %v", out, err)
	}
	if out, err = w.verb("FLUSH", "ALICE"); err != nil || out[0] != `{"flushed":"alice"}` {
		t.Errorf("another spelling: %v, %v", out, err)
	}
	if out, err = w.verb("RELEASE", "alice"); err != nil || !strings.Contains(out[0], `"released":"alice"`) {
		t.Errorf("%v, %v", out, err)
	}
	expect(t, alice, "* BYE ")
	// Somebody who was never here is released all the same.
	if out, err = w.verb("RELEASE", "carol"); err != nil || !strings.Contains(out[0], `"released":"carol","kicked":0`) && !strings.Contains(out[0], `"kicked":0,"released":"carol"`) {
		t.Errorf("%v, %v", out, err)
	}
	// An operator who mistypes a name must not believe that its mail is frozen.
	for _, verb := range []string{"RELEASE", "FREEZE", "FLUSH"} {
		if out, err = w.verb(verb, "nobody"); !fail.Is(err, fail.NotFound) || len(out) > 0 {
			t.Errorf("%s of nobody: %v, %v", verb, out, err)
		}
	}
	for _, verb := range []string{"KICK", "RELEASE", "FREEZE"} {
		if _, err = w.verb(verb); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s without a user: %v", verb, err)
		}
	}
}

// FLUSH of everybody does not stop at one whose mail is frozen, and has nothing
// to do there.
func TestFlushPassesOverTheFrozen(t *testing.T) {
	w := newWorld(t, nil)
	greeted(t, w.dial(handover.IMAP, "alice"))
	greeted(t, w.dial(handover.IMAP, "bob"))
	var flushed []string
	err := w.controlled(func(ctx context.Context, path string) error {
		freezer, err := control.Dial(ctx, path)
		if err != nil {
			return err
		}
		defer freezer.Close()
		freezing, thaw := context.WithCancel(ctx)
		defer thaw()
		var flush error
		err = freezer.Each(freezing, "FREEZE", []string{"alice"}, func(json.RawMessage) error {
			c, err := control.Dial(ctx, path)
			if err != nil {
				return err
			}
			defer c.Close()
			flush = c.Each(ctx, "FLUSH", nil, func(v json.RawMessage) error {
				flushed = append(flushed, string(v))
				return nil
			})
			thaw()
			return nil
		})
		if freezing.Err() != nil {
			err = flush // the freeze has ended as it should
		}
		return err
	})
	if err != nil || len(flushed) != 1 || flushed[0] != `{"flushed":"bob"}` {
		t.Errorf("%v, %v", flushed, err)
	}
}

// What a session changed is in the file names when the role has stopped.
func TestFlagsReachFileNames(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.deliver("alice", "one", false); err != nil {
		t.Fatal(err)
	}
	conn := w.dial(handover.IMAP, "alice")
	greeted(t, conn)
	_, _ = io.WriteString(conn, "a1 SELECT INBOX\r\na2 STORE 1 +FLAGS.SILENT (\\Flagged \\Answered)\r\n")
	for !strings.HasPrefix(expect(t, conn, ""), "a2 OK") {
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(w.maildir("alice"), "cur"))
	if err != nil || len(files) != 1 || !strings.HasSuffix(files[0].Name(), ":2,FR") {
		t.Errorf("%v, %v", files, err)
	}
}
