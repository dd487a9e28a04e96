package authd

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
)

// TestMain lets the test binary be authd, for what only a process can show.
func TestMain(m *testing.M) {
	if os.Getenv("BE_AUTHD") != "" {
		os.Exit(service.Main(App()))
	}
	os.Exit(m.Run())
}

// world is a running daemon with a users file.
type world struct {
	t    testing.TB
	dir  string
	log  *obs.Recorder
	stop func() error
}

const demoUsers = `# demo
alice@example.org:{PLAIN}secret::::::nologin
bob@example.org:{PLAIN}secret:1000:1001::/home/bob::userdb_quota_rule=*:bytes=1G
locked@example.org:!{PLAIN}secret
odd@example.org:{NTLM}x
broken@example.org:{PLAIN}secret:uid
`

// newWorld runs a daemon in this process. edit changes its configuration.
func newWorld(t testing.TB, edit func(*authconf.Config)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.writeUsers(demoUsers)
	cfg := authconf.Default()
	cfg.Listeners = nil
	for _, kind := range []string{"client", "login", "master", "userdb", "exists", "socketmap"} {
		cfg.Listeners = append(cfg.Listeners, authconf.Listener{Type: kind, Listen: conf.Listen{Address: "unix:" + w.path(kind)}})
	}
	cfg.Passdb[0].Driver, cfg.Userdb[0].Driver, cfg.Users.File = "passwd-file", "passwd-file", w.path("users")
	cfg.Passwords.AllowSchemes = []string{"PLAIN"}
	cfg.Login.FailureDelay, cfg.Login.Penalty = 0, false
	if edit != nil {
		edit(&cfg)
	}
	log, rec := obs.Capture()
	w.log = rec
	rt := &service.Runtime{Name: "authd", Log: log, Metrics: obs.NopMetrics(), Now: time.Now, FS: disk.OS()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, rt, &cfg) }()
	stopped := false
	w.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = w.stop() })
	for !rt.IsReady() {
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) writeUsers(text string) {
	w.t.Helper()
	if err := disk.WriteFile(disk.OS(), w.path("users"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) auth(kind authserver.Kind) *authclient.Client {
	c := authclient.New(authclient.Config{Address: w.path(kind.String())})
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) userdb(kind authserver.Kind) *userdbclient.Client {
	c := userdbclient.New(userdbclient.Config{Address: w.path(kind.String())})
	w.t.Cleanup(c.Close)
	return c
}

// dial connects to a socket for a raw conversation.
func (w *world) dial(kind string) net.Conn {
	w.t.Helper()
	c, err := net.Dial("unix", w.path(kind))
	if err != nil {
		w.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// authd runs the program with a password on standard input.
func authdCommand(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BE_AUTHD=1", "POSTCOTE_ALLOW_ROOT=1")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
