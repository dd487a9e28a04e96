package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/control"
)

// toyConfig is the configuration of a daemon that does nothing.
type toyConfig struct {
	Word   string      `yaml:"word" doc:"A word." reload:"true"`
	Fixed  string      `yaml:"fixed" doc:"A word that stays until the restart."`
	Spool  string      `yaml:"spool_dir" path:"dir" doc:"A folder."`
	Peer   string      `yaml:"peer_socket" path:"connect" doc:"A socket."`
	Listen conf.Listen `yaml:"listen" doc:"A listener."`
	Common `yaml:",inline"`
}

// toy is a daemon under test, with the world it sees.
type toy struct {
	t    *testing.T
	dir  string
	file string
	env  map[string]string

	process  *process
	signals  chan os.Signal
	notified chan string
	exits    chan int
	stdout   *safeBuffer
	stderr   *safeBuffer
	run      func(ctx context.Context, rt *Runtime, cfg *toyConfig) error
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// toyGroup is a command that is nothing without a subcommand.
func toyGroup() *cobra.Command {
	group := &cobra.Command{Use: "box", Short: "Boxes."}
	group.AddCommand(&cobra.Command{Use: "open", Run: func(cmd *cobra.Command, _ []string) { cmd.Println("opened") }})
	return group
}

func newToy(t *testing.T) *toy {
	t.Helper()
	y := &toy{
		t: t, dir: t.TempDir(), env: map[string]string{},
		signals: make(chan os.Signal, 4), notified: make(chan string, 64), exits: make(chan int, 1),
		stdout: &safeBuffer{}, stderr: &safeBuffer{},
	}
	y.file = filepath.Join(y.dir, "toy.yaml")
	y.run = func(ctx context.Context, rt *Runtime, _ *toyConfig) error {
		rt.Ready()
		<-ctx.Done()
		return nil
	}
	y.write("")
	y.process = &process{
		app: App{
			Name: "toy", Short: "Plays.", Version: "1.2.3",
			Config: func() any {
				c := &toyConfig{Common: DefaultCommon("toy")}
				c.Control.Listen = conf.Listen{Address: "unix:" + y.socket()}
				return c
			},
			Run: func(ctx context.Context, rt *Runtime, cfg any) error { return y.run(ctx, rt, cfg.(*toyConfig)) },
			Commands: []*cobra.Command{{
				Use: "word", RunE: func(cmd *cobra.Command, _ []string) error {
					cfg, err := LoadConfig(cmd)
					if err != nil {
						return err
					}
					cmd.Println(cfg.(*toyConfig).Word)
					return nil
				},
			}, {
				Use: "lose", RunE: func(*cobra.Command, []string) error { return fail.New(fail.NotFound, "lost") },
			}, toyGroup()},
		},
		stdout: y.stdout, stderr: y.stderr,
		getenv:    func(key string) string { return y.env[key] },
		uid:       1000,
		signals:   func() <-chan os.Signal { return y.signals },
		grace:     time.Second,
		notify:    func(state string) { y.notified <- strings.SplitN(state, "\n", 2)[0] },
		exit:      func(code int) { y.exits <- code },
		inherited: func() (*netx.Inherited, error) { return nil, nil },
		confine:   func() error { return nil },
	}
	return y
}

func (y *toy) socket() string  { return filepath.Join(y.dir, "control") }
func (y *toy) logFile() string { return filepath.Join(y.dir, "log") }

// write makes the configuration file; the log goes to a file.
func (y *toy) write(text string) {
	y.t.Helper()
	text += fmt.Sprintf("\nlog: {target: %s, level: debug}\n", y.logFile())
	if err := os.WriteFile(y.file, []byte(text), 0o600); err != nil {
		y.t.Fatal(err)
	}
}

// cli runs a command line to its end.
func (y *toy) cli(args ...string) int {
	return y.process.main(context.Background(), append(args, "-c", y.file))
}

// serve starts the daemon and returns how to wait for its exit code.
func (y *toy) serve() (wait func() int) {
	y.t.Helper()
	code := make(chan int, 1)
	go func() { code <- y.cli("serve") }()
	return func() int { return receiveFrom(y.t, code) }
}

func receiveFrom[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (y *toy) expectNotified(want ...string) {
	y.t.Helper()
	for _, w := range want {
		if got := receiveFrom(y.t, y.notified); got != w {
			y.t.Fatalf("the service manager was told %q, want %q", got, w)
		}
	}
}

// logged is the events in the log, as "event key=value ..." of some keys.
func (y *toy) logged() string {
	data, err := os.ReadFile(y.logFile())
	if err != nil {
		y.t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is just being written
		}
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			y.t.Fatal(err)
		}
		fmt.Fprint(&out, e["event"])
		for _, key := range []string{"err", "applied", "needs_restart", "version"} {
			if v, ok := e[key]; ok {
				fmt.Fprintf(&out, " %s=%v", key, v)
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

// expectLogged waits for lines: the log gathers some before it writes them.
func (y *toy) expectLogged(lines ...string) {
	y.t.Helper()
	for _, line := range lines {
		log := y.logged()
		for due := time.Now().Add(30 * time.Second); !strings.Contains(log, line+"\n"); log = y.logged() {
			if time.Now().After(due) {
				y.t.Errorf("no %q in the log:\n%s", line, log)
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestLifeOfADaemon(t *testing.T) {
	y := newToy(t)
	wait := y.serve()
	y.expectNotified("READY=1")
	y.signals <- syscall.SIGTERM
	y.expectNotified("STOPPING=1")
	if code := wait(); code != ExitOK {
		t.Errorf("exit code %d\n%s", code, y.stderr)
	}
	y.expectLogged("starting version=1.2.3", "ready", "stopping", "stopped")
	if _, err := os.Stat(y.socket()); err == nil {
		t.Error("the control socket is still there")
	}
}

func TestBadConfigurationStartsNothing(t *testing.T) {
	y := newToy(t)
	y.write("wrd: a\nshutdown: {timeout: 5}")
	if code := y.serve()(); code != ExitConfig {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"toy.yaml:1: wrd: unknown key (did you mean word?)", "toy.yaml:2: shutdown.timeout:"} {
		if !strings.Contains(y.stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, y.stderr)
		}
	}
	if _, err := os.Stat(y.logFile()); err == nil {
		t.Error("something was opened")
	}
	os.Remove(y.file)
	if code := y.serve()(); code != ExitConfig {
		t.Errorf("without a file: exit code %d", code)
	}
}

func TestStartFailures(t *testing.T) {
	for name, spoil := range map[string]func(y *toy) string{
		"Run": func(y *toy) string {
			y.run = func(context.Context, *Runtime, *toyConfig) error { return errors.New("queue is locked") }
			return "cannot start err=queue is locked"
		},
		"Run after Ready": func(y *toy) string {
			y.run = func(_ context.Context, rt *Runtime, _ *toyConfig) error {
				rt.Ready()
				return errors.New("queue is gone")
			}
			return "failed err=queue is gone"
		},
		"Run that ends": func(y *toy) string {
			y.run = func(context.Context, *Runtime, *toyConfig) error { return nil }
			return "cannot start err=it ended without being told to"
		},
		"descriptors": func(y *toy) string {
			y.process.inherited = func() (*netx.Inherited, error) { return nil, errors.New("bad LISTEN_FDS") }
			return "cannot start err=inherited descriptors: bad LISTEN_FDS"
		},
		"sandbox": func(y *toy) string {
			y.process.confine = func() error { return errors.New("no seccomp") }
			return "cannot start err=give up the right to start programs: no seccomp"
		},
		"control socket": func(y *toy) string {
			y.write(`control: {listen: "unix:/nonexistent/control"}`)
			return "cannot start err=control.listen: listener \"unix:/nonexistent/control\": bind /nonexistent/control: no such file or directory"
		},
		"metrics listener": func(y *toy) string {
			y.write(`metrics: {listen: "192.0.2.1:1"}`)
			return "cannot start err=metrics.listen: listener \"192.0.2.1:1\": listen tcp 192.0.2.1:1: bind: cannot assign requested address"
		},
	} {
		t.Run(name, func(t *testing.T) {
			y := newToy(t)
			want := spoil(y)
			if code := y.serve()(); code != ExitFailed {
				t.Errorf("exit code %d", code)
			}
			y.expectLogged(want)
			if y.stderr.String() == "" {
				t.Error("standard error says nothing")
			}
		})
	}
}

func TestRootIsRefused(t *testing.T) {
	y := newToy(t)
	y.process.uid = 0
	if code := y.serve()(); code != ExitFailed || !strings.Contains(y.stderr.String(), "runuser -u toy -- toy serve") {
		t.Errorf("exit code %d: %s", code, y.stderr)
	}
	y.env["POSTCOTE_ALLOW_ROOT"] = "1"
	wait := y.serve()
	y.expectNotified("READY=1")
	y.signals <- syscall.SIGINT
	if code := wait(); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestDrainHasALimit(t *testing.T) {
	y := newToy(t)
	y.process.grace = 0
	y.process.app.Config = func() any {
		c := &toyConfig{Common: DefaultCommon("toy")}
		c.Control.Listen = conf.Listen{}
		c.Shutdown.Timeout = conf.Duration(time.Millisecond)
		return c
	}
	release := make(chan struct{})
	defer close(release)
	y.run = func(_ context.Context, rt *Runtime, _ *toyConfig) error {
		rt.Ready()
		<-release
		return nil
	}
	wait := y.serve()
	y.expectNotified("READY=1")
	y.signals <- syscall.SIGTERM
	if code := wait(); code != ExitFailed {
		t.Errorf("exit code %d", code)
	}
	y.expectLogged("open sessions did not end in time")
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	y := newToy(t)
	release := make(chan struct{})
	y.run = func(_ context.Context, rt *Runtime, _ *toyConfig) error {
		rt.Ready()
		<-release
		return nil
	}
	wait := y.serve()
	y.expectNotified("READY=1")
	y.signals <- syscall.SIGTERM
	y.expectNotified("STOPPING=1")
	y.signals <- syscall.SIGHUP // is no second signal
	y.signals <- syscall.SIGTERM
	if code := receiveFrom(t, y.exits); code != ExitFailed {
		t.Errorf("exit code %d", code)
	}
	close(release)
	wait()
}

func TestReload(t *testing.T) {
	y := newToy(t)
	words := make(chan string, 4)
	drain := make(chan time.Duration, 4)
	y.run = func(ctx context.Context, rt *Runtime, _ *toyConfig) error {
		rt.OnReload(func(cfg any) error {
			words <- cfg.(*toyConfig).Word
			drain <- rt.Drain()
			return nil
		})
		rt.OnReload(func(cfg any) error {
			if cfg.(*toyConfig).Word == "odd" {
				return errors.New("odd word")
			}
			return nil
		})
		rt.Ready()
		<-ctx.Done()
		return nil
	}
	wait := y.serve()
	y.expectNotified("READY=1")

	y.write("word: a\nfixed: b\nshutdown: {timeout: 7s}")
	y.signals <- syscall.SIGHUP
	y.expectNotified("RELOADING=1", "READY=1")
	if word, d := receiveFrom(t, words), receiveFrom(t, drain); word != "a" || d != 7*time.Second {
		t.Error(word, d)
	}
	y.expectLogged("configuration reloaded applied=[word shutdown.timeout] needs_restart=[fixed]")

	// What needs a restart is said again, what is applied is not.
	if code := y.cli("reload"); code != ExitOK || y.stdout.String() != "needs a restart: fixed\n" {
		t.Errorf("exit code %d: %s %s", code, y.stdout, y.stderr)
	}
	y.expectNotified("RELOADING=1", "READY=1")
	receiveFrom(t, words)

	// Mistakes change nothing and reach whoever asked.
	y.write("word: [")
	if code := y.cli("reload"); code != ExitConfig {
		t.Errorf("the command itself needs the file to find the socket: exit code %d", code)
	}
	if code := y.cli("reload", "--control", y.socket()); code == ExitOK || !strings.Contains(y.stderr.String(), "not valid YAML") {
		t.Errorf("exit code %d: %s", code, y.stderr)
	}
	y.expectNotified("RELOADING=1", "READY=1")
	if len(words) != 0 {
		t.Error("a bad configuration reached a hook")
	}

	y.write("word: odd")
	if code := y.cli("reload"); code == ExitOK || !strings.Contains(y.stderr.String(), "odd word") {
		t.Errorf("exit code %d: %s", code, y.stderr)
	}
	y.expectNotified("RELOADING=1", "READY=1")
	y.expectLogged("a part of the configuration was not taken over err=odd word")

	y.signals <- syscall.SIGTERM
	if code := wait(); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestStatus(t *testing.T) {
	y := newToy(t)
	y.run = func(ctx context.Context, rt *Runtime, _ *toyConfig) error {
		rt.Status("sessions", func() any { return map[string]int{"idle": 3, "busy": 1} })
		rt.Health("queue", func() error { return errors.New("disk full") })
		rt.Control(control.Verb{Name: "PING", Who: control.Status, Handler: func(_ context.Context, _ []string, emit control.Emit) error {
			return emit("pong")
		}})
		rt.Ready()
		<-ctx.Done()
		return nil
	}
	wait := y.serve()
	y.expectNotified("READY=1")
	if code := y.cli("status"); code != ExitOK {
		t.Fatalf("exit code %d: %s", code, y.stderr)
	}
	for _, want := range []string{"daemon: toy\n", "version: 1.2.3\n", "ready: true\n", "sessions.idle: 3\n", "failing[0]: queue: disk full\n", "goroutines: ", "sockets: ", "uptime_seconds: "} {
		if !strings.Contains(y.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, y.stdout)
		}
	}
	y.stdout = &safeBuffer{}
	y.process.stdout = y.stdout
	if code := y.cli("status", "--json", "--control", "unix:"+y.socket()); code != ExitOK {
		t.Fatalf("exit code %d: %s", code, y.stderr)
	}
	var answer struct {
		PID      int
		Sessions map[string]int
	}
	if err := json.Unmarshal([]byte(y.stdout.String()), &answer); err != nil || answer.PID != os.Getpid() || answer.Sessions["busy"] != 1 {
		t.Errorf("%+v %v", answer, err)
	}
	y.signals <- syscall.SIGTERM
	wait()
	if code := y.cli("status"); code != ExitFailed || !strings.Contains(y.stderr.String(), "is the daemon running") {
		t.Errorf("without a daemon: exit code %d: %s", code, y.stderr)
	}
}

func TestMetricsListenerAndInheritedDescriptors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	y := newToy(t)
	y.process.inherited = func() (*netx.Inherited, error) {
		return netx.NewInherited([]*os.File{f}, []string{"metrics"}), nil
	}
	y.write("metrics: {listen: \"systemd:metrics\"}")
	wait := y.serve()
	y.expectNotified("READY=1")
	for path, want := range map[string]int{"/metrics": 200, "/healthz": 200, "/": 404} {
		resp, err := http.Get("http://" + ln.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	y.signals <- syscall.SIGTERM
	if code := wait(); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestWatchdog(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	y := newToy(t)
	// Ticks are dropped while nobody takes them, so the order is by chance.
	seen := make(chan struct{})
	var once sync.Once
	y.process.notify = func(state string) {
		if state == "WATCHDOG=1" {
			once.Do(func() { close(seen) })
		}
	}
	wait := y.serve()
	receiveFrom(t, seen)
	y.signals <- syscall.SIGTERM
	wait()
}

func TestRuntimeByHand(t *testing.T) {
	log, _ := obs.Capture()
	rt := &Runtime{Log: log, Metrics: obs.NopMetrics(), Now: time.Now}
	ln, err := rt.Listen(conf.Listen{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	packet, err := rt.ListenPacket(conf.Listen{Address: "unix:" + filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	packet.Close()
	rt.Status("a", func() any { return 1 })
	rt.OnReload(func(any) error { return nil })
	rt.Health("b", func() error { return nil })
	rt.Control(control.Verb{Name: "PING"})
	rt.Ready()
	if !rt.IsReady() || rt.Drain() != 30*time.Second || rt.report()["a"] != 1 {
		t.Error("a Runtime made by hand must work")
	}
}
