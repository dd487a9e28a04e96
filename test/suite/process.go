package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one daemon of a suite. Stop, Kill and Start may be repeated; the
// listening sockets outlive the process, as they do under systemd.
type Process struct {
	Name  string
	suite *Suite

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// Binary is the program the process runs.
func (p *Process) Binary() string {
	name, _, _ := strings.Cut(p.Name, "-")
	return filepath.Join(p.suite.Bin, name)
}

// Config is the path of the process's configuration.
func (p *Process) Config() string { return p.suite.Path("etc", p.Name+".yaml") }

// LogFile is where its standard error goes.
func (p *Process) LogFile() string { return p.suite.Path("log", p.Name+".log") }

// PID of the running process, 0 when there is none.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Start runs the process and waits until it says READY=1.
func (p *Process) Start(ctx context.Context, env ...string) error {
	notify, err := p.notifySocket()
	if err != nil {
		return err
	}
	defer notify.Close()
	cmd, err := p.command(env)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr, cmd.Stdout = log, log
	if err := p.startSlack(cmd); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	if err := waitReady(ctx, notify, done); err != nil {
		p.Kill()
		return fmt.Errorf("%s: %w; its log says:\n%s", p.Name, err, tail(p.LogFile()))
	}
	return nil
}

// startSlack starts cmd with the TimerSlackNSec of its unit: a child has what the
// thread has that starts it.
func (p *Process) startSlack(cmd *exec.Cmd) error {
	slack, err := p.timerSlack()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // the thread's own again
	return cmd.Start()
}

// timerSlack is 0, the kernel's own, where the unit says nothing.
func (p *Process) timerSlack() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(p.suite.Repo, "deploy/systemd", p.Name+".service"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "TimerSlackNSec="); ok {
			return time.ParseDuration(strings.TrimSpace(v))
		}
	}
	return 0, nil
}

// command builds the call. A shell sets LISTEN_PID, which only the process
// itself can know, and becomes the daemon.
func (p *Process) command(env []string) (*exec.Cmd, error) {
	script := `export LISTEN_PID=$$; exec "$0" "$@"`
	cmd := exec.Command("/bin/sh", "-c", script, p.Binary(), "serve", "-c", p.Config())
	var names []string
	for _, k := range p.suite.sockets {
		if k.Service == p.Name {
			cmd.ExtraFiles = append(cmd.ExtraFiles, k.file)
			names = append(names, k.FDName)
		}
	}
	cmd.Dir = "/"
	cmd.Env = append(append([]string{
		"PATH=/usr/bin:/bin", "NOTIFY_SOCKET=" + p.notifyPath(),
		fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES=" + strings.Join(names, ":"),
	}, p.suite.Env...), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if p.suite.AsUsers {
		c, err := credential(p.Name)
		if err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = c
	} else if os.Getuid() == 0 {
		cmd.Env = append(cmd.Env, "POSTCOTE_ALLOW_ROOT=1")
	}
	return cmd, nil
}

func (p *Process) notifyPath() string { return p.suite.Path("run", "notify-"+p.Name) }

func (p *Process) notifySocket() (*net.UnixConn, error) {
	path := p.notifyPath()
	_ = os.Remove(path)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	return c, os.Chmod(path, 0o666)
}

func waitReady(ctx context.Context, c *net.UnixConn, done <-chan struct{}) error {
	ready := make(chan error, 1)
	go func() {
		buf := make([]byte, 4096)
		_ = c.SetReadDeadline(time.Now().Add(readyTimeout))
		for {
			n, err := c.Read(buf)
			if err != nil {
				ready <- fmt.Errorf("not ready in %s", readyTimeout)
				return
			}
			if bytes.Contains(buf[:n], []byte("READY=1")) {
				ready <- nil
				return
			}
		}
	}()
	select {
	case err := <-ready:
		return err
	case <-done:
		return errors.New("ended before it was ready")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Signal sends a signal to the process.
func (p *Process) Signal(sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return errors.New(p.Name + " does not run")
	}
	return p.cmd.Process.Signal(sig)
}

// Stop ends the process as systemd does: SIGTERM, then SIGKILL after a while.
func (p *Process) Stop() {
	if p.Signal(syscall.SIGTERM) != nil && p.PID() == 0 {
		return
	}
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		p.Kill()
	}
	p.forget()
}

// Kill is kill -9 and waits for the end.
func (p *Process) Kill() {
	if p.Signal(syscall.SIGKILL) != nil && p.PID() == 0 {
		return
	}
	<-p.done
	p.forget()
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *Process) forget() {
	p.mu.Lock()
	p.cmd = nil
	p.mu.Unlock()
}

func tail(file string) string {
	b, _ := os.ReadFile(file)
	if len(b) > 4000 {
		b = b[len(b)-4000:]
	}
	return string(b)
}
