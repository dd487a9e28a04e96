package peer

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Start runs a daemon that stays in the foreground, its log in a file beside,
// and returns when ready says so.
func Start(log string, ready func() bool, name string, args ...string) (*Server, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "POSTCOTE_ALLOW_ROOT=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{Name: filepath.Base(name), roots: func() []int { return []int{cmd.Process.Pid} }, stop: func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}}
	if err := until(ready); err != nil {
		s.Stop()
		text, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%s: %w\n%s", s.Name, err, text)
	}
	return s, nil
}

// run executes a program to its end; what it says is the error's text. Its
// output is a file: a daemon that it leaves behind would hold a pipe open.
func run(dir, name string, args ...string) error {
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, said)
	}
	return nil
}

// until polls for 20 seconds.
func until(ready func() bool) error {
	for deadline := time.Now().Add(20 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready within 20 s")
		}
	}
	return nil
}

// Answers reports whether somebody accepts connections at an address.
func Answers(address string) func() bool {
	return func() bool {
		c, err := net.Dial(Network(address), address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
}

// Network of an address: one with a slash is a Unix socket.
func Network(address string) string {
	if strings.Contains(address, "/") {
		return "unix"
	}
	return "tcp"
}

// freeAddress is a loopback address with a port that nobody has now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func freeAddresses(into ...*string) error {
	for _, a := range into {
		var err error
		if *a, err = freeAddress(); err != nil {
			return err
		}
	}
	return nil
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// gone reports whether a process has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
