package peer

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Server is a running server: one or more process trees, and where they listen.
// An address with a slash is a Unix socket.
type Server struct {
	Name                    string
	Auth, IMAP, IMAPS, POP3 string
	LMTP, SMTP              string
	Home                    func(user string) string   // a user's home folder; the mail is in Maildir below
	Index                   func(user string) string   // the folder of a user's indexes, of ours only
	Users                   func(names []string) error // has authd know these, of ours only
	only                    func(processes []string) *Server
	roots                   func() []int
	stop                    func()
	restart                 func() error
	again                   func(process string) (time.Duration, error)
	command                 func(process string, args ...string) *exec.Cmd
}

// Stop ends the server. A nil Server has ended.
func (s *Server) Stop() {
	if s != nil {
		s.stop()
	}
}

// Only counts some of our processes.
func (s *Server) Only(processes ...string) *Server { return s.only(processes) }

// Restart stops the server and starts it again on the same addresses.
func (s *Server) Restart() error { return s.restart() }

// Again stops one of our processes and starts it again; it returns how long
// that took to be ready.
func (s *Server) Again(process string) (time.Duration, error) { return s.again(process) }

// Command is a command of one of our processes, with its configuration.
func (s *Server) Command(process string, args ...string) *exec.Cmd {
	return s.command(process, args...)
}

// ticks of /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// CPU is what the process trees have used so far, children that have ended
// included.
func (s *Server) CPU() (time.Duration, error) {
	var sum time.Duration
	err := s.each(func(fields []string) error {
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

// Memory is the proportional set size of the process trees.
func (s *Server) Memory() (int64, error) {
	var sum int64
	err := s.each(func(fields []string) error {
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
// the state on, and the pid at their end, of every process of the trees.
func (s *Server) each(f func(fields []string) error) error {
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
	roots := s.roots()
	for pid, fields := range byPID {
		for up := pid; up > 1; up = parent[up] {
			if slices.Contains(roots, up) && fields[0] != "Z" {
				if err := f(fields); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// Both counts two servers as one; the first one takes mail by SMTP, the second
// one has the mailboxes.
func Both(mta, mail *Server) *Server {
	both := *mail
	both.Name, both.SMTP = mta.Name+" and "+mail.Name, mta.SMTP
	both.roots = func() []int { return append(mta.roots(), mail.roots()...) }
	both.stop = func() { mta.Stop(); mail.Stop() }
	both.restart = func() error {
		if err := mail.Restart(); err != nil {
			return err
		}
		return mta.Restart()
	}
	return &both
}
