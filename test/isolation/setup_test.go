//go:build isolation

package isolation

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/test/suite"
)

// TestMain lets the test binary act as a probe that runs under another user.
func TestMain(m *testing.M) {
	if what := os.Getenv("ISOLATION_PROBE"); what != "" {
		if err := probe(what, os.Args[1:]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start runs the suite as on an installed system, with one message delivered.
func start(t *testing.T) *suite.Suite {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("make isolation needs root: it creates users and starts processes under them")
	}
	if !suite.UsersExist() {
		// A relative path would be looked for in the system's folders.
		users, err := filepath.Abs("../../deploy/sysusers.d/postcote.conf")
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-sysusers", users).CombinedOutput()
		if err != nil || !suite.UsersExist() {
			t.Fatalf("systemd-sysusers: %v\n%s", err, out)
		}
	}
	dir, err := os.MkdirTemp("", "postcote")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The binaries must be readable by the users wherever the checkout lies.
	bin := filepath.Join(dir, "bin")
	if out, err := exec.Command("cp", "-r", "../../bin", bin).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	s, err := suite.Start(context.Background(), suite.Options{Dir: dir, Bin: bin, AsUsers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			for _, n := range suite.Names {
				b, _ := os.ReadFile(s.Procs[n].LogFile())
				t.Logf("log of %s:\n%s", n, b)
			}
		}
		os.RemoveAll(dir)
	})
	deliver(t, s)
	return s
}

func deliver(t *testing.T, s *suite.Suite) {
	t.Helper()
	msg := "From: <x@elsewhere.test>\r\nTo: <" + s.Accounts[0].Name + ">\r\nSubject: secret\r\n\r\nfor alice only\r\n"
	c, err := smtp.Dial(s.Addr(25))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SendMail("x@elsewhere.test", []string{s.Accounts[0].Name}, strings.NewReader(msg)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); mailFile(s) == ""; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the message was never delivered")
		}
	}
}

func mailFile(s *suite.Suite) string {
	for _, sub := range []string{"new", "cur"} {
		if f, _ := filepath.Glob(filepath.Join(s.Home("alice"), "Maildir", sub, "*")); len(f) > 0 {
			return f[0]
		}
	}
	return ""
}

// as runs a command under a user with all the groups that its unit gives it.
func as(t *testing.T, name string, env []string, command ...string) (string, error) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	cred := &syscall.Credential{Uid: number(t, u.Uid), Gid: number(t, u.Gid)}
	for _, g := range groups {
		cred.Groups = append(cred.Groups, number(t, g))
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

func number(t *testing.T, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// probeAs runs this test binary as a probe under another user.
func probeAs(t *testing.T, s *suite.Suite, name, what string, args ...string) (string, error) {
	t.Helper()
	self := s.Path("bin", "probe")
	if _, err := os.Stat(self); err != nil {
		if out, err := exec.Command("cp", os.Args[0], self).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if err := os.Chmod(self, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := as(t, name, []string{"ISOLATION_PROBE=" + what}, append([]string{self}, args...)...)
	return strings.TrimSpace(out), err
}
