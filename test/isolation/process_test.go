//go:build isolation

package isolation

import (
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// No process is root in any of its ids, none has a capability, none can gain
// one, and none may start a program.
func TestProcesses(t *testing.T) {
	s := start(t)
	for _, name := range suite.Names {
		u, err := user.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		st := status(t, s.Procs[name].PID())
		for _, key := range []string{"Uid", "Gid"} {
			id := u.Uid
			if key == "Gid" {
				id = u.Gid
			}
			if want := strings.TrimSuffix(strings.Repeat(id+" ", 4), " "); st[key] != want {
				t.Errorf("%s: %s is %q, want %q", name, key, st[key], want)
			}
		}
		for _, key := range []string{"CapEff", "CapPrm", "CapInh"} {
			if strings.Trim(st[key], "0") != "" {
				t.Errorf("%s: %s is %s", name, key, st[key])
			}
		}
		if st["NoNewPrivs"] != "1" {
			t.Errorf("%s: NoNewPrivs is %q", name, st["NoNewPrivs"])
		}
		if st["Seccomp"] != "2" {
			t.Errorf("%s: has no system call filter (Seccomp: %q)", name, st["Seccomp"])
		}
	}
}

// status reads /proc/PID/status.
func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		k, v, _ := strings.Cut(line, ":")
		m[k] = strings.Join(strings.Fields(v), " ")
	}
	return m
}
