package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// newServer has a verb of each sort.
func newServer() *Server {
	s := &Server{}
	s.Add(Verb{"ECHO", Admin, func(_ context.Context, args []string, emit Emit) error {
		return emit(append([]string{}, args...))
	}})
	s.Add(Verb{"COUNT", Status, func(_ context.Context, args []string, emit Emit) error {
		n, err := strconv.Atoi(args[0])
		for i := 1; i <= n && err == nil; i++ {
			err = emit(i)
		}
		return err
	}})
	s.Add(Verb{"WHO", Status, func(ctx context.Context, _ []string, emit Emit) error {
		p := PeerOf(ctx)
		return emit(map[string]any{"uid": p.UID, "admin": p.Admin})
	}})
	s.Add(Verb{"FAIL", Admin, func(_ context.Context, args []string, emit Emit) error {
		if err := emit("before"); err != nil {
			return err
		}
		if args[0] == fail.NotFound.String() {
			return fail.New(fail.NotFound, "on purpose")
		}
		return errors.New("on purpose")
	}})
	return s
}

// start serves on a socket until the test ends and returns its path.
func start(t *testing.T, s *Server) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "control")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket
}

func dial(t *testing.T, s *Server) *Client {
	t.Helper()
	c, err := Dial(t.Context(), start(t, s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestTranscripts plays testdata/*.txt: "C:" lines are sent, "S:" lines are
// expected, "peer:" says who connects, # is a comment.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { play(t, file) })
	}
}

func play(t *testing.T, file string) {
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer()
	s.identify = func(net.Conn) (Peer, error) {
		if bytes.Contains(script, []byte("\npeer: admin\n")) {
			return Peer{UID: 1, Admin: true}, nil
		}
		return Peer{UID: 1000}, nil
	}
	conn, err := net.Dial("unix", start(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for i, line := range strings.Split(string(script), "\n") {
		switch who, text, _ := strings.Cut(line, ":"); who {
		case "C":
			text = strings.ReplaceAll(strings.TrimPrefix(text, " "), `\r`, "\r")
			if _, err := conn.Write([]byte(text + "\n")); err != nil {
				t.Fatal(err)
			}
		case "S":
			got, err := in.ReadString('\n')
			if want := strings.TrimPrefix(text, " ") + "\n"; got != want || err != nil {
				t.Fatalf("line %d\nwant %sgot  %s%v", i+1, want, got, err)
			}
		}
	}
}

func TestClient(t *testing.T) {
	c := dial(t, newServer())
	var n int
	if err := c.One(t.Context(), &n, "COUNT", "3"); err != nil || n != 1 {
		t.Error(n, err)
	}
	var all []string
	err := c.Each(t.Context(), "COUNT", []string{"3"}, func(raw json.RawMessage) error {
		all = append(all, string(raw))
		return nil
	})
	if err != nil || !slices.Equal(all, []string{"1", "2", "3"}) {
		t.Error(all, err)
	}
	if err := c.One(t.Context(), nil, "COUNT", "0"); err != nil {
		t.Error(err)
	}
	if err := c.One(t.Context(), &n, "COUNT", "0"); !fail.Is(err, fail.Invalid) {
		t.Error("a missing value must be an error:", err)
	}
	if err := c.One(t.Context(), nil, "FAIL", "not found"); !fail.Is(err, fail.NotFound) || err.Error() != "on purpose" {
		t.Error(err)
	}
	if err := c.One(t.Context(), nil, "bad verb"); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
	if err := c.One(t.Context(), nil, "ECHO", strings.Repeat("x", maxRequest)); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
	stop := errors.New("enough")
	if err := c.Each(t.Context(), "COUNT", []string{"3"}, func(json.RawMessage) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func TestClientWithoutDaemon(t *testing.T) {
	if _, err := Dial(t.Context(), filepath.Join(t.TempDir(), "none")); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func TestClientGivesUpWithItsContext(t *testing.T) {
	s := &Server{}
	s.Add(Verb{"WAIT", Status, func(ctx context.Context, _ []string, emit Emit) error {
		if err := emit("started"); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}})
	c := dial(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Each(ctx, "WAIT", nil, func(json.RawMessage) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestVerbTimeout(t *testing.T) {
	s := &Server{VerbTimeout: time.Millisecond}
	s.Add(Verb{"WAIT", Status, func(ctx context.Context, _ []string, _ Emit) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	if err := dial(t, s).One(t.Context(), nil, "WAIT"); !fail.Is(err, fail.Temporary) || !strings.Contains(err.Error(), "WAIT took too long") {
		t.Error(err)
	}
}

func TestIdleClientIsClosed(t *testing.T) {
	c := dial(t, &Server{IdleTimeout: time.Millisecond})
	if _, err := c.line(); err == nil {
		t.Error("still open")
	}
}

// TestHandlerLearnsThatTheClientIsGone has a client that leaves in the middle
// of an endless answer.
func TestHandlerLearnsThatTheClientIsGone(t *testing.T) {
	s := &Server{}
	ended := make(chan error, 1)
	s.Add(Verb{"FOREVER", Status, func(ctx context.Context, _ []string, emit Emit) error {
		for emit("x") == nil {
		}
		ended <- ctx.Err()
		return nil
	}})
	c := dial(t, s)
	stop := errors.New("leave")
	if err := c.Each(t.Context(), "FOREVER", nil, func(json.RawMessage) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("ctx must have ended")
	}
}

func TestAnswersThatCannotBeSent(t *testing.T) {
	s := &Server{}
	s.Add(Verb{"CHAN", Status, func(_ context.Context, _ []string, emit Emit) error { return emit(make(chan int)) }})
	s.Add(Verb{"FAKE", Status, func(_ context.Context, _ []string, emit Emit) error {
		return emit(failure{"mine", "full"})
	}})
	c := dial(t, s)
	for _, verb := range []string{"CHAN", "FAKE"} {
		if err := c.One(t.Context(), nil, verb); !fail.Is(err, fail.Permanent) {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// TestValueThatLooksLikeAFailure is what another implementation may send.
func TestValueThatLooksLikeAFailure(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		bufio.NewReader(far).ReadString('\n')
		far.Write([]byte("{\"error\":\"a\",\"kind\":\"full\"}\n1\n\n"))
	}()
	var got []string
	err := NewClient(near).Each(t.Context(), "LIST", nil, func(raw json.RawMessage) error {
		got = append(got, string(raw))
		return nil
	})
	if err != nil || len(got) != 2 {
		t.Error(got, err)
	}
}

func TestLongRequestLine(t *testing.T) {
	conn, err := net.Dial("unix", start(t, newServer()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(bytes.Repeat([]byte("A"), maxRequest+2)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "longer than 65536 bytes") {
		t.Error(line, err)
	}
}

func TestRealPeerIsKnownByTheKernel(t *testing.T) {
	c := dial(t, newServer())
	var who struct {
		UID   int
		Admin bool
	}
	if err := c.One(t.Context(), &who, "WHO"); err != nil || who.UID != os.Getuid() || !who.Admin {
		t.Errorf("%+v %v: the daemon's own uid is always an administrator", who, err)
	}
}

// Several listeners may share a server: the control and the status socket do.
func TestTwoListeners(t *testing.T) {
	s := newServer()
	s.identify = nil
	first, second := start(t, s), start(t, s)
	for _, socket := range []string{first, second} {
		c, err := Dial(t.Context(), socket)
		if err != nil {
			t.Fatal(err)
		}
		var who struct{ UID int }
		err = c.One(t.Context(), &who, "WHO")
		if err != nil || who.UID != os.Getuid() {
			t.Errorf("%+v %v", who, err)
		}
		_ = c.Close()
	}
}

func TestAdminGroup(t *testing.T) {
	group, err := user.LookupGroupId("0")
	if err != nil {
		t.Skip("no group 0 here:", err)
	}
	s := &Server{AdminGroup: group.Name}
	if !s.inAdminGroup(Peer{UID: 4294967000, GID: 0}) {
		t.Error("the primary group counts")
	}
	if s.inAdminGroup(Peer{UID: 4294967000, GID: 12345}) || (&Server{}).inAdminGroup(Peer{}) || (&Server{AdminGroup: "no-such-group"}).inAdminGroup(Peer{}) {
		t.Error("rights out of nothing")
	}
}

func TestRequestsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		verb := rapid.StringMatching(`[A-Z][A-Z0-9_-]{0,20}`).Draw(t, "verb")
		args := rapid.SliceOfN(rapid.String(), 0, 5).Draw(t, "args")
		line, err := appendRequest(nil, verb, args)
		if err != nil || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("%q %v", line, err)
		}
		gotVerb, gotArgs, err := parseRequest(line[:len(line)-1])
		if err != nil || gotVerb != verb || !slices.Equal(gotArgs, args) {
			t.Fatalf("%q: %s %q %v", line, gotVerb, gotArgs, err)
		}
	})
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"STATUS", `A ["b"]`, `A []`, "", "A [", "\x00", `A ["\ud800"]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		verb, args, err := parseRequest(line)
		if err != nil {
			if !fail.Is(err, fail.Invalid) {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		again, err := appendRequest(nil, verb, args)
		if err != nil {
			return // escapes may make a line grow beyond the cap
		}
		verb2, args2, err := parseRequest(again[:len(again)-1])
		if err != nil || verb2 != verb || !slices.Equal(args, args2) {
			t.Fatalf("%q became %q", line, again)
		}
	})
}
