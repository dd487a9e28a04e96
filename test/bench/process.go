package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is the root of a server's process tree.
type process struct {
	pid  int
	ends func() // asks it to stop, and waits
}

func (p *process) stop() {
	if p != nil {
		p.ends()
	}
}

// startProcess runs a daemon that stays in the foreground, its log in a file
// beside, and returns when ready says so.
func startProcess(log string, ready func() bool, name string, args ...string) (*process, error) {
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
	p := &process{pid: cmd.Process.Pid, ends: func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}}
	if err := until(ready); err != nil {
		p.stop()
		text, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, text)
	}
	return p, nil
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

// ticks of /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is what the tree has used so far, children that have ended included.
func (p *process) cpu() (time.Duration, error) {
	var sum time.Duration
	err := p.each(func(fields []string) error {
		for _, f := range fields[11:15] { // utime, stime, cutime, cstime
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return err
			}
			sum += time.Duration(n) * tick
		}
		return nil
	})
	return sum, err
}

// memory is the proportional set size of the tree.
func (p *process) memory() (int64, error) {
	var sum int64
	err := p.each(func(fields []string) error {
		text, err := os.ReadFile(filepath.Join("/proc", fields[len(fields)-1], "smaps_rollup"))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				if err != nil {
					return err
				}
				sum += kib << 10
			}
		}
		return nil
	})
	return sum, err
}

// each calls f with the fields of /proc/PID/stat after the command's name, from
// the state on, and the pid at their end, of every process of the tree.
func (p *process) each(f func(fields []string) error) error {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	byPID, parent := map[int][]string{}, map[int]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		_, rest, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')'):], []byte(" "))
		byPID[pid] = append(strings.Fields(string(rest)), strconv.Itoa(pid))
		parent[pid], _ = strconv.Atoi(byPID[pid][1])
	}
	for pid, fields := range byPID {
		for up := pid; up > 1; up = parent[up] {
			if up == p.pid && fields[0] != "Z" {
				if err := f(fields); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}
