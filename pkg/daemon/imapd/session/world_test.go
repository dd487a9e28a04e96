package session

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/handover"
)

// master is authd's master socket as a few lines: logins that can be redeemed
// once each.
type master struct {
	mu     sync.Mutex
	logins map[string]string // "pid id cookie" -> user
	home   string
	silent bool // it takes requests and never answers
}

func (m *master) grant(pid, id uint32, cookie, user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logins[fmt.Sprint(pid, id, cookie)] = user
}

func (m *master) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			fmt.Fprint(conn, "VERSION\t1\t1\nSPID\t1\n")
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				m.answer(conn, strings.Split(lines.Text(), "\t"))
			}
		}()
	}
}

func (m *master) answer(conn net.Conn, f []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f[0] == "USER" && len(f) > 2 {
		if f[2] == "nobody" {
			fmt.Fprintf(conn, "NOTFOUND\t%s\n", f[1])
			return
		}
		user := strings.ToLower(f[2]) // as most are configured
		fmt.Fprintf(conn, "USER\t%s\t%s\tuid=1000\tgid=1000\thome=%s\n", f[1], user, filepath.Join(m.home, user))
		return
	}
	if f[0] != "REQUEST" || len(f) < 6 || m.silent {
		return
	}
	var pid, id uint32
	_, _ = fmt.Sscan(f[2]+" "+f[3], &pid, &id)
	key := fmt.Sprint(pid, id, f[4])
	user, known := m.logins[key]
	if !known || f[5] != fmt.Sprintf("session_pid=%d", os.Getpid()) {
		fmt.Fprintf(conn, "FAIL\t%s\n", f[1])
		return
	}
	delete(m.logins, key)
	fmt.Fprintf(conn, "USER\t%s\t%s\tuid=1000\tgid=1000\thome=%s\n", f[1], user, filepath.Join(m.home, user))
}

// world is a running session role with everything around it.
type world struct {
	t      testing.TB
	dir    string
	cfg    Config
	rt     *service.Runtime
	auth   *master
	logs   *obs.Recorder
	login  net.Conn // the login role's connection
	stop   context.CancelFunc
	ended  chan error
	nextID uint32
}

func newWorld(t testing.TB, change func(*Config)) *world {
	dir := t.TempDir()
	w := &world{t: t, dir: dir, ended: make(chan error, 1), auth: &master{logins: map[string]string{}, home: filepath.Join(dir, "home")}}
	log, rec := obs.Capture()
	w.logs = rec
	w.rt = &service.Runtime{Name: "imapd", Version: "test", Log: log, Metrics: obs.NopMetrics(), Now: time.Now}
	w.cfg = Default()
	w.cfg.Sessions = conf.Listen{Address: "unix:" + dir + "/session"}
	w.cfg.Events = conf.Listen{Address: "unix:" + dir + "/events"}
	w.cfg.AuthSocket = dir + "/auth-master"
	w.cfg.IndexDir = dir + "/index"
	if change != nil {
		change(&w.cfg)
	}
	l, err := net.Listen("unix", w.cfg.AuthSocket)
	if err != nil {
		t.Fatal(err)
	}
	go w.auth.serve(l)
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	go func() { w.ended <- Run(ctx, w.rt, &w.cfg) }()
	t.Cleanup(func() {
		w.end()
		_ = l.Close()
	})
	for !w.rt.IsReady() {
		select {
		case err := <-w.ended:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	w.login = w.connect("session")
	return w
}

// connect makes a seqpacket connection to one of the role's sockets.
func (w *world) connect(name string) net.Conn {
	conn, err := net.Dial("unixpacket", filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// end stops the role and returns what Run did.
func (w *world) end() error {
	w.stop()
	err := <-w.ended
	w.ended <- err
	return err
}

// frame is what the login role hands over for the next login of user.
func (w *world) frame(p handover.Protocol, user string) *handover.Frame {
	w.nextID++
	cookie := fmt.Sprintf("c00c1e%d", w.nextID)
	w.auth.grant(77, w.nextID, cookie, user)
	return &handover.Frame{
		Protocol: p, Tag: "a0", Session: fmt.Sprintf("S%d", w.nextID), ClientPID: 77, RequestID: w.nextID, Cookie: cookie,
		Mechanism: "PLAIN", Secured: true, TLSVersion: "TLSv1.3", TLSCipher: "TLS_AES_128_GCM_SHA256",
		Peer: netip.MustParseAddrPort("192.0.2.1:4711"), Local: netip.MustParseAddrPort("192.0.2.2:143"),
	}
}

// offer hands a connection over and returns the client's end of it.
func (w *world) offer(f *handover.Frame) (net.Conn, handover.Answer, error) {
	client, remote, err := netx.SocketPair()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = client.Close() })
	defer remote.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, err := handover.Offer(ctx, w.login, f, remote)
	return client, a, err
}

// dial is offer for a login that must work.
func (w *world) dial(p handover.Protocol, user string) net.Conn {
	conn, a, err := w.offer(w.frame(p, user))
	if err != nil || a.PID != uint32(os.Getpid()) {
		w.t.Fatalf("%+v, %v", a, err)
	}
	return conn
}
