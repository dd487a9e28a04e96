package login

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/pkg/proto/imap/wire/wiretest"
)

// TestTranscripts plays testdata/DOOR-*.txt; what is logged follows "# log:"
// lines at the end of the file, and names with "remote" are from strangers.
func TestTranscripts(t *testing.T) {
	wiretest.Dir(t, "testdata/*.txt", func(t *testing.T, name string) *wiretest.Script {
		w := newWorld(t, options{remote: strings.Contains(name, "remote")})
		text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(text)) {
			if l, ok := strings.CutPrefix(strings.TrimSpace(line), "# log: "); ok {
				want = append(want, l)
			}
		}
		t.Cleanup(func() { w.checkLog(want) }) // runs before the world stops
		return w.script(name)
	})
}

func (w *world) checkLog(want []string) {
	if w.t.Failed() {
		return
	}
	got := w.lines(len(want))
	for i := range want {
		if i >= len(got) || !wiretest.Match(got[i], want[i]) {
			w.t.Errorf("log line %d\ngot  %q\nwant %q", i, got, want[i])
		}
	}
}

// session logs alice in over a fresh connection.
func (w *world) login(door string) (net.Conn, *bufio.Reader) {
	w.t.Helper()
	c := w.dial(door)
	r := bufio.NewReader(c)
	line := func() string { l, _ := r.ReadString('\n'); return l }
	line()
	if strings.HasPrefix(door, "pop3") {
		fmt.Fprintf(c, "USER alice\r\nPASS secret\r\n")
		line()
	} else {
		fmt.Fprintf(c, "a LOGIN alice secret\r\n")
	}
	if l := line(); !strings.Contains(l, "OK Logged in") {
		w.t.Fatalf("login at %s: %q", door, l)
	}
	return c, r
}

// refused is login where the session role takes nobody.
func (w *world) refused(door string) {
	w.t.Helper()
	c := w.dial(door)
	fmt.Fprintf(c, "a LOGIN alice secret\r\n")
	r := bufio.NewReader(c)
	for {
		switch l, err := r.ReadString('\n'); {
		case strings.HasPrefix(l, "a NO [UNAVAILABLE]"):
			return
		case err != nil || strings.HasPrefix(l, "a "):
			w.t.Fatalf("login at %s: %q, %v", door, l, err)
		}
	}
}

func TestFrameAndRequest(t *testing.T) {
	w := newWorld(t, options{})
	for door, proto := range map[string]handover.Protocol{"imap": handover.IMAP, "imaps": handover.IMAP, "pop3": handover.POP3, "pop3s": handover.POP3} {
		c, _ := w.login(door)
		f := <-w.session.frames
		tls := strings.HasSuffix(door, "s")
		if f.Protocol != proto || f.ClientPID != uint32(os.Getpid()) || f.Mechanism != "PLAIN" || !f.Secured || (f.TLSVersion == "TLSv1.3") != tls ||
			(f.TLSCipher != "") != tls || f.Peer.String() != c.LocalAddr().String() || f.Local.String() != c.RemoteAddr().String() {
			t.Errorf("%s: %+v", door, f)
		}
		all := w.authd.requests()
		r := all[len(all)-1]
		if r.Service != proto.String() || r.Session != f.Session || r.Remote != f.Peer || r.Local != f.Local || !r.Secured || r.NoLogin || (r.LocalName == "localhost") != tls {
			t.Errorf("%s: %+v", door, r)
		}
	}
}

// TestPlainDescriptorMoves: without TLS the session role gets the client's
// own socket, and nothing of the connection stays here.
func TestPlainDescriptorMoves(t *testing.T) {
	w := newWorld(t, options{})
	c, r := w.login("imap")
	for w.role.server.Active() != 0 {
		time.Sleep(time.Millisecond)
	}
	_, _ = io.WriteString(c, "hello\r\n")
	if l, _ := r.ReadString('\n'); l != "echo hello\r\n" {
		t.Fatalf("%q", l)
	}
}

// TestPump moves megabytes both ways at once through TLS.
func TestPump(t *testing.T) {
	w := newWorld(t, options{})
	c, r := w.login("imaps")
	const size = 3 << 20
	sent := make(chan error, 1)
	go func() {
		_, err := fmt.Fprintf(c, "SEND %d\r\nTAKE %d\r\n", size, size)
		if err == nil {
			_, err = c.Write(make([]byte, size))
		}
		sent <- err
	}()
	if n, err := io.CopyN(io.Discard, r, size); err != nil {
		t.Fatal(n, err)
	}
	if l, _ := r.ReadString('\n'); l != fmt.Sprintf("took %d\r\n", size) {
		t.Fatalf("%q", l)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// TestIdleHoldsNoBuffer: sessions that have been busy give everything back.
func TestIdleHoldsNoBuffer(t *testing.T) {
	w := newWorld(t, options{})
	for range 5 {
		c, r := w.login("imaps")
		for range 3 {
			_, _ = io.WriteString(c, "SEND 40000\r\n")
			if _, err := io.CopyN(io.Discard, r, 40000); err != nil {
				t.Fatal(err)
			}
		}
	}
	for deadline := time.Now().Add(30 * time.Second); w.role.held.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d buffers are held by 5 idle sessions", w.role.held.Load())
		}
	}
	if w.role.server.Active() != 5 {
		t.Fatal("the sessions have ended")
	}
}

func TestEndsOfSessions(t *testing.T) {
	w := newWorld(t, options{})
	gone := func() {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); w.role.server.Active() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the connection is still served")
			}
		}
	}

	// The session ends: the client gets its last words and a proper end.
	c, r := w.login("imaps")
	_, _ = io.WriteString(c, "BYE\r\nmore that nobody reads\r\n")
	if all, err := io.ReadAll(r); err != nil || string(all) != "bye\r\n" {
		t.Fatalf("%q %v", all, err)
	}
	_ = c.Close()
	gone()

	// The client has no more to say, and still gets what it asked for.
	c, r = w.login("imaps")
	_, _ = io.WriteString(c, "hello\r\n")
	if err := netx.CloseWrite(c); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(r); err != nil || string(all) != "echo hello\r\nend of input\r\n" {
		t.Fatalf("%q %v", all, err)
	}
	_ = c.Close()
	gone()

	// The client breaks off.
	c, _ = w.login("imaps")
	tcp := netx.Base(c).(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
	gone()

	// The session role dies.
	c, r = w.login("imaps")
	w.session.mu.Lock()
	for s := range w.session.open {
		_ = s.Close()
	}
	w.session.mu.Unlock()
	if all, err := io.ReadAll(r); err != nil || len(all) != 0 {
		t.Fatalf("%q %v", all, err)
	}
	_ = c.Close()
	gone()
}

func TestStalledClientIsCut(t *testing.T) {
	w := newWorld(t, options{change: func(c *Config) { c.Limits.Stall = conf.Duration(200 * time.Millisecond) }})
	c, r := w.login("imaps")
	_, _ = io.WriteString(c, "SEND 50000000\r\n")
	for deadline := time.Now().Add(30 * time.Second); w.role.server.Active() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still pumping into a client that takes nothing")
		}
	}
	if n, err := io.Copy(io.Discard, r); err == nil && n == 50000000 {
		t.Fatal("everything arrived")
	}
}

// TestShutdown: those without a login hear BYE at once, sessions go on.
func TestShutdown(t *testing.T) {
	w := newWorld(t, options{drain: time.Minute})
	pre := bufio.NewReader(w.dial("imaps"))
	_, _ = pre.ReadString('\n')
	pop := bufio.NewReader(w.dial("pop3"))
	_, _ = pop.ReadString('\n')
	c, r := w.login("imaps")
	w.cancel()
	if l, _ := pre.ReadString('\n'); !strings.HasPrefix(l, "* BYE ") {
		t.Fatalf("%q", l)
	}
	if l, _ := pop.ReadString('\n'); !strings.HasPrefix(l, "-ERR ") {
		t.Fatalf("%q", l)
	}
	_, _ = io.WriteString(c, "hello\r\n")
	if l, _ := r.ReadString('\n'); l != "echo hello\r\n" {
		t.Fatalf("a session was cut off: %q", l)
	}
	_ = c.Close() // then the role has nobody left to wait for
}

// TestDrainLimit: sessions do not go on for longer than that.
func TestDrainLimit(t *testing.T) {
	w := newWorld(t, options{drain: 50 * time.Millisecond})
	_, r := w.login("imaps")
	began := time.Now()
	w.cancel()
	if err := <-w.ended; err != nil {
		t.Fatal(err)
	}
	w.ended <- nil
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("the session was given %v", took)
	}
	if _, err := r.ReadString('\n'); err == nil {
		t.Fatal("still there after the limit")
	}
}

func (w *world) dialAndSend(door, text string) net.Conn {
	c := w.dial(door)
	_, _ = io.WriteString(c, text)
	return c
}

// TestQueueOfStrangers: when the places are full, the oldest goes.
func TestQueueOfStrangers(t *testing.T) {
	w := newWorld(t, options{change: func(c *Config) { c.Limits.WithoutLogin = 2 }})
	var conns []*bufio.Reader
	for range 3 {
		c := bufio.NewReader(w.dial("imap"))
		if l, _ := c.ReadString('\n'); !strings.HasPrefix(l, "* OK ") {
			t.Fatalf("%q", l)
		}
		conns = append(conns, c)
	}
	if l, _ := conns[0].ReadString('\n'); !strings.HasPrefix(l, "* BYE ") {
		t.Fatalf("%q", l)
	}
	if l := w.lines(1)[0]; !strings.HasPrefix(l, "imap-login: Disconnected: Connection queue full (no auth attempts in 0 secs): user=<>, rip=127.0.0.1") {
		t.Error(l)
	}
	w.login("imap") // pushes out one more and takes no place afterwards
	if n := w.role.waiting.count(); n > 1 {
		t.Error(n)
	}
}

func TestPlacesOfOneAddress(t *testing.T) {
	w := newWorld(t, options{change: func(c *Config) { c.Limits.PerAddress, c.Limits.Exempt = 1, nil }})
	first := w.dial("imap")
	_, _ = bufio.NewReader(first).ReadString('\n')
	for door, want := range map[string]string{"imap": "* BYE Too many connections", "pop3": "-ERR Too many connections"} {
		if l, _ := bufio.NewReader(w.dial(door)).ReadString('\n'); !strings.HasPrefix(l, want) {
			t.Errorf("%s: %q", door, l)
		}
	}
	_ = first.Close()
	for w.role.waiting.count() > 0 {
		time.Sleep(time.Millisecond)
	}
	w.login("imap")
	w.login("imap") // sessions take no place
}

func TestTotalLimit(t *testing.T) {
	w := newWorld(t, options{change: func(c *Config) { c.Limits.Connections, c.Limits.WithoutLogin = 1, 1 }})
	w.login("imaps")
	for door, want := range map[string]string{"imap": "* BYE Too many connections", "pop3": "-ERR Too many connections"} {
		if l, _ := bufio.NewReader(w.dial(door)).ReadString('\n'); !strings.HasPrefix(l, want) {
			t.Errorf("%s: %q", door, l)
		}
	}
}

func TestInstances(t *testing.T) {
	w := newWorld(t, options{change: func(c *Config) { c.SessionSockets = filepath.Dir(c.SessionSocket) }})
	second := newSessionRole(t, w.dir)
	second.start(filepath.Join(w.dir, "two"))
	defer second.stop()
	for user, want := range map[string]string{
		"at-two": "OK Logged in as at-two", "at-none": "NO [UNAVAILABLE] ", "at-../session": "NO [UNAVAILABLE] ", "alice": "OK Logged in as alice",
	} {
		r := bufio.NewReader(w.dialAndSend("imap", "a LOGIN "+user+" secret\r\n"))
		_, _ = r.ReadString('\n')
		if l, _ := r.ReadString('\n'); !strings.HasPrefix(l, "a "+want) {
			t.Errorf("%s: %q", user, l)
		}
	}
	if len(second.frames) != 1 || len(w.session.frames) != 1 {
		t.Error("at the wrong instance")
	}
}

func TestFailedHandshakes(t *testing.T) {
	w := newWorld(t, options{})
	c, err := net.Dial("tcp", w.doors["imaps"].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "a LOGIN alice secret\r\n")
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, err = io.Copy(io.Discard, c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	want := "imap-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=127.0.0.1, lip=127.0.0.1, TLS handshaking: tls: first record does not look like a TLS handshake, session=<<any>>"
	if l := w.lines(1); !wiretest.Match(l[0], want) {
		t.Errorf("got  %q\nwant %q", l[0], want)
	}
}

func TestReload(t *testing.T) {
	w := newWorld(t, options{})
	fresh := *w.role.cfg.Load()
	fresh.Greeting, fresh.AuthSocket = "Changed.", "/elsewhere"
	fresh.Limits.BadCommands = 1
	w.role.reload(&fresh)
	r := bufio.NewReader(w.dialAndSend("imap", "a BLAH\r\n"))
	if l, _ := r.ReadString('\n'); !strings.HasSuffix(l, "] Changed.\r\n") {
		t.Errorf("%q", l)
	}
	_, _ = r.ReadString('\n')
	if l, _ := r.ReadString('\n'); !strings.HasPrefix(l, "* BYE Too many invalid") {
		t.Errorf("%q", l)
	}
	if w.role.cfg.Load().AuthSocket == "/elsewhere" {
		t.Error("a key that needs a restart was taken over")
	}
}

// fail2ban is the part of its filter for Dovecot that finds failed logins.
func TestFail2banFindsFailures(t *testing.T) {
	// The groups of filter.d/dovecot.conf, for a line after the program's name.
	filter := regexp.MustCompile(`^(?:Aborted login|Disconnected|Remote closed connection|Client has quit the connection)(?::(?: [^ \(]+)+)? \((?:auth failed, \d+ attempts(?: in \d+ secs)?|tried to use (?:disabled|disallowed) \S+ auth|proxy dest auth failed)\):(?: user=<[^>]*>,)?(?: method=\S+,)? rip=([0-9.]+)(?:[^>]*(?:, session=<\S+>)?)\s*$`)
	w := newWorld(t, options{})
	r := bufio.NewReader(w.dialAndSend("imaps", "a LOGIN \"al<i>ce\" wrong\r\nb LOGOUT\r\n"))
	_, _ = io.ReadAll(r)
	line, ok := strings.CutPrefix(w.lines(1)[0], "imap-login: ")
	if m := filter.FindStringSubmatch(line); !ok || m == nil || m[1] != "127.0.0.1" {
		t.Errorf("not found in %q", line)
	}
	if !strings.Contains(line, "user=<al?i?ce>") {
		t.Errorf("a user name can forge fields: %q", line)
	}
}

func TestSessionIDs(t *testing.T) {
	at := time.UnixMicro(0x60F20B4FF50E)
	if got := sessionID(at, netip.MustParseAddrPort("127.0.0.1:53516")); got != "DvVPC/JgDNF/AAAB" {
		t.Error(got)
	}
	if got := sessionID(at, netip.MustParseAddrPort("[2001:db8::1]:1")); len(got) != 32 || len(got) > handover.MaxSession {
		t.Error(got)
	}
	if got := sessionID(at, netip.AddrPort{}); len(got) == 0 {
		t.Error("none for a Unix socket")
	}
}

// Once the session role has told the name of its key, logins come to it with
// authd's answer, and it asks nothing about them (world_test.go opens them). One
// that refuses such a login may be another process, which has no use for that key.
func TestLoginsComeSealed(t *testing.T) {
	w := newWorld(t, options{})
	if err := w.session.auth.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, sealed := range []bool{false, true, true, false, true} {
		if i == 2 {
			w.session.refuse.Store(true)
			w.refused("imaps")
			w.session.refuse.Store(false)
		} else {
			w.login("imaps")
		}
		if f := <-w.session.frames; (f.Sealed != "") != sealed || strings.Contains(f.Sealed, "alice") {
			t.Errorf("login %d: %+v", i, f)
		}
	}
}
