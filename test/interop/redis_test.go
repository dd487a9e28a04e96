//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/tables"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
)

// redisServer is a Redis with nothing but a Unix socket, which keeps nothing on
// disk.
type redisServer struct {
	t      *testing.T
	socket string
	cmd    *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	r := &redisServer{t: t, socket: filepath.Join(tempDir(t, "redis"), "socket")}
	t.Cleanup(r.kill)
	r.start()
	return r
}

func (r *redisServer) start() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", r.socket, "--unixsocketperm", "700", "--save", "", "--dir", filepath.Dir(r.socket))
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "Redis answers", func() bool {
		c, err := net.DialTimeout("unix", r.socket, time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		pong := make([]byte, 5)
		_, _ = c.Write([]byte("PING\r\n"))
		_, err = c.Read(pong)
		return err == nil && string(pong) == "+PONG"
	})
}

// freeze leaves a server that takes connections and never answers.
func (r *redisServer) freeze() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	stopped(r.t, r.cmd.Process.Pid)
}

func (r *redisServer) kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		r.cmd = nil
	}
}

// A table of mtad's asks a real Redis, does not take an outage for an answer,
// and finds the way back.
func TestRedisTables(t *testing.T) {
	r := startRedis(t)
	dir := tempDir(t, "redistables")
	fill := func() {
		for _, line := range []string{"SET alias:info@example.org joe@example.org", "HSET boxes joe@example.org joe/", "SADD list:team b@example.org a@example.org"} {
			run(t, "", "redis-cli", append([]string{"-s", r.socket}, strings.Fields(line)...)...)
		}
	}
	fill()
	head := "hosts = unix:" + r.socket + "\ntimeout = 4\n"
	for name, text := range map[string]string{"aliases": "prefix = alias:", "boxes": "query = boxes\nfield = %s", "lists": "query = list:%u\ncommand = smembers"} {
		write(t, dir+"/"+name, head+text+"\n", 0o600)
	}
	set := tables.New(tables.Events{})
	defer func() { _ = set.Close() }()
	say := func(name, key string) string {
		table, err := set.Open("redis:" + dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		value, err := table.Lookup(t.Context(), key)
		if err != nil {
			return fail.KindOf(err).String()
		}
		return value
	}
	for _, tc := range []struct{ name, key, want string }{
		{"aliases", "Info@example.org", "joe@example.org"},
		{"aliases", "x@example.org", "not found"},
		{"aliases", "x\r\nFLUSHALL", "not found"},
		{"boxes", "joe@example.org", "joe/"},
		{"lists", "team@example.org", "a@example.org,b@example.org"},
		{"lists", "boxes@example.org", "not found"},
	} {
		if got := say(tc.name, tc.key); got != tc.want {
			t.Errorf("%s: %q is %q, want %q", tc.name, tc.key, got, tc.want)
		}
	}
	r.freeze()
	if got := say("aliases", "info@example.org"); got != "unavailable" {
		t.Error("a server that says nothing:", got)
	}
	r.kill()
	if got := say("aliases", "x@example.org"); got != "unavailable" {
		t.Error("without a server:", got)
	}
	r.start()
	fill()
	eventually(t, "the table answers again", func() bool { return say("aliases", "info@example.org") == "joe@example.org" })
}

// node is one of several authds that share a Redis. They know alice.
type node struct {
	*authd
	client *authclient.Client
}

func startNode(t *testing.T, r *redisServer, key string) *node {
	t.Helper()
	dir := tempDir(t, "node")
	write(t, dir+"/users", "alice@demo.test:{PLAIN}secret::::::\n", 0o600)
	a := startAuthd(t, dir, fmt.Sprintf(`listeners:
  - {type: client-2.4, listen: {address: "unix:%[1]s/auth", mode: "0600"}}
passdb: [{driver: passwd-file}]
userdb: [{driver: passwd-file}]
users: {file: "%[1]s/users"}
passwords: {allow_schemes: [PLAIN]}
login: {failure_delay: 0s}
redis: {addresses: ["%[2]s"], key_file: "%[3]s", timeout: 3s}
`, dir, r.socket, key), dir+"/auth")
	n := &node{a, authclient.New(authclient.Config{Address: dir + "/auth", Patience: patience})}
	t.Cleanup(n.client.Close)
	return n
}

// login tries a password of alice's from 192.0.2.HOST, and says how long the
// answer took.
func (n *node) login(host int, password string) time.Duration {
	n.t.Helper()
	began := time.Now()
	_, _, err := n.client.Start(n.t.Context(), authclient.Request{
		Mech: "PLAIN", Service: "imap", RemoteAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(host)}), 4000),
		Initial: []byte("\x00alice@demo.test\x00" + password),
	})
	took := time.Since(began)
	if right := password == "secret"; right && err != nil || !right && !fail.Is(err, fail.Denied) {
		n.t.Fatalf("login with %q: %v", password, err)
	}
	return took
}

// penalties is what who-failed says of addresses that were refused here.
func (n *node) penalties() map[string]float64 {
	n.t.Helper()
	known := map[string]float64{}
	for line := range strings.Lines(run(n.t, "", "../../bin/authd", "who-failed", "--json", "-c", n.conf)) {
		var f struct {
			Addr    string  `json:"addr"`
			Penalty float64 `json:"penalty_seconds"`
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			n.t.Fatalf("%v in %q", err, line)
		}
		known[f.Addr] = f.Penalty
	}
	return known
}

// complaints are the lines of the log that speak of Redis.
func (n *node) complaints() (lines []string) {
	n.t.Helper()
	log, err := os.ReadFile(n.log())
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "redis") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Two authds share what they know of guessers through a Redis. When it hangs or
// dies each goes on with its own memory, and when it is back they share again.
func TestAuthdsShareRedis(t *testing.T) {
	need(t, "redis-server")
	r := startRedis(t)
	key := write(t, filepath.Join(t.TempDir(), "key"), "a common secret of both nodes\n", 0o600)
	one, two := startNode(t, r, key), startNode(t, r, key)
	const step = 2 * time.Second  // what one wrong password costs
	const long = 20 * time.Second // what nobody is held up for

	// A guess at one node slows the next one at the other.
	one.login(1, "first")
	if got := one.penalties()["192.0.2.1"]; got != 2 {
		t.Errorf("the first guess makes %v s", got)
	}
	if took := two.login(1, "second"); took < step {
		t.Errorf("a guess after one at the other node took %s", took)
	}
	for name, n := range map[string]*node{"one": one, "two": two} {
		if got := n.penalties()["192.0.2.1"]; got != 4 {
			t.Errorf("after a guess at each, node %s knows of %v s", name, got)
		}
	}
	// One finds that it hangs, the other that it is gone. Each has its own guess
	// left to go by, and holds nobody up for long.
	r.freeze()
	if took := one.login(2, "third"); took >= long {
		t.Errorf("while Redis hangs a login took %s", took)
	}
	r.kill()
	if took := two.login(3, "fourth"); took >= long {
		t.Errorf("while Redis is gone a login took %s", took)
	}
	for _, n := range []*node{one, two} {
		if got := n.penalties()["192.0.2.1"]; got != 2 {
			t.Errorf("without Redis a node's own guess makes %v s", got)
		}
	}
	one.login(3, "fifth")
	if got := one.penalties()["192.0.2.3"]; got != 2 {
		t.Errorf("one node knows of a guess at the other: %v s", got)
	}
	if took := two.login(3, "secret"); took < step {
		t.Errorf("a node forgot a guess at itself: %s", took)
	}
	for _, n := range []*node{one, two} {
		if got := n.complaints(); len(got) != 1 {
			t.Errorf("%d lines of the log are about the outage, want one:\n%s", len(got), strings.Join(got, ""))
		}
	}
	// Redis is asked again within half a minute.
	r.start()
	shared := false
	for host, end := 100, time.Now().Add(patience); !shared && time.Now().Before(end) && host < 255; host++ {
		one.login(host, "sixth")
		two.login(host, "seventh")
		shared = two.penalties()[fmt.Sprintf("192.0.2.%d", host)] == 4
		time.Sleep(400 * time.Millisecond) // between two looks
	}
	if !shared {
		t.Error("Redis is back, and the nodes do not share")
	}
}
