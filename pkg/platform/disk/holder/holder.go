package holder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// State is what is known of the holder of a lock file.
type State int

// The states.
const (
	Unknown State = iota // another host or container, or nobody can tell: age decides
	Gone                 // the process has ended
	Lives                // the process is there, for all we can see
	Here                 // it is this process
)

// MaxText is more than Self makes of the longest name of a host, and as much as
// Dovecot reads.
const MaxText = 511

// Self is the text of a lock file of this process:
//
//	<pid>:<host> NUL <machine> <space of process numbers> <start> LF
//
// The machine is a hash of /etc/machine-id, or "-": hosts that share a file
// system may share a name. The start of the process is in clock ticks since the
// machine's, and tells it from a later one with its number. Where the system
// does not tell these there is only what Dovecot writes.
func Self() string {
	pid := os.Getpid()
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	text := fmt.Sprintf("%d:%s", pid, host)
	space, err := os.Readlink("/proc/self/ns/pid")
	start, ok := startOf("self")
	if err != nil || !ok {
		return text
	}
	return fmt.Sprintf("%s\x00%s %s %d\n", text, machine(), space, start)
}

// machine tells this machine, or the container that looks like one, from others.
// The id itself is not for everybody's eyes.
func machine() string {
	id, err := os.ReadFile("/etc/machine-id")
	id = bytes.TrimSpace(id)
	if err != nil || len(id) == 0 {
		return "-"
	}
	sum := sha256.Sum256(append([]byte("postcote lock "), id...))
	return hex.EncodeToString(sum[:8])
}

// Of judges the text of a lock file that was last touched at the time given.
func Of(text []byte, touched time.Time) State {
	owner, more, ours := strings.Cut(strings.TrimSuffix(string(text), "\n"), "\x00")
	number, host, ok := strings.Cut(owner, ":")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 0 || strconv.Itoa(pid) != number {
		return Unknown
	}
	if name, err := os.Hostname(); err != nil || name != host {
		return Unknown
	}
	if ours {
		return ofOurs(pid, more)
	}
	return ofDovecot(pid, touched)
}

func ofOurs(pid int, more string) State {
	space, err := os.Readlink("/proc/self/ns/pid")
	fields := strings.Fields(more)
	if err != nil || len(fields) != 3 || fields[0] != machine() || fields[1] != space {
		return Unknown
	}
	start, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return Unknown
	}
	now, seen := startOf(strconv.Itoa(pid))
	switch {
	case seen && now != start:
		return Gone
	case seen && pid == os.Getpid():
		return Here
	case seen || exists(pid):
		return Lives
	}
	return Gone
}

// ofDovecot: its text does not say where its process numbers count, so that one
// that is not there may be of another container with this host's name.
func ofDovecot(pid int, touched time.Time) State {
	if pid == os.Getpid() || !exists(pid) {
		return Unknown
	}
	if start, ok := startOf(strconv.Itoa(pid)); ok && began(start).After(touched.Add(clockSlack)) {
		return Unknown // another process has got the number
	}
	return Lives
}

// clockSlack is for clocks that were set meanwhile, and file servers' clocks.
const clockSlack = 10 * time.Second

// ticks per second in /proc, on every architecture that Go knows.
const ticks = 100

// began is the time at which a process started.
func began(start uint64) time.Time {
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(start)*(time.Second/ticks) - time.Duration(up.Nano()))
}

// exists reports whether there is such a process, whoever's it is.
func exists(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// startOf reads the start of a process from its stat file, the 22nd field: the
// second one is a name in brackets that may hold anything.
func startOf(process string) (start uint64, ok bool) {
	text, err := os.ReadFile("/proc/" + process + "/stat")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return 0, false
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, err == nil
}
