//go:build interop

package interop

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/identity/helper"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// systemUser makes a system user with a password for the test.
func systemUser(t *testing.T, name, password string) {
	t.Helper()
	_, _ = try("", "userdel", name)
	run(t, "", "useradd", "-M", "-d", "/home/"+name, "-s", "/bin/sh", name)
	t.Cleanup(func() { _, _ = try("", "userdel", name) })
	run(t, name+":"+password+"\n", "chpasswd")
}

// socketUnit runs argv for each connection, the connection as its standard
// input, as a systemd socket unit with Accept=yes does: under an unprivileged
// user that is a member of group shadow.
func socketUnit(t *testing.T, argv ...string) (socket string) {
	t.Helper()
	socket = filepath.Join(tempDir(t, "unit"), "socket")
	socketUnitAt(t, socket, argv...)
	return socket
}

// socketUnitAt is the same for a given path; stop ends it.
func socketUnitAt(t *testing.T, socket string, argv ...string) (stop func()) {
	t.Helper()
	shadow, err := groupID("shadow")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	stop = func() { l.Close() }
	t.Cleanup(stop)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f, err := c.(*net.UnixConn).File()
				if err != nil {
					return
				}
				defer f.Close()
				cmd := exec.Command(argv[0], argv[1:]...)
				cmd.Stdin, cmd.Stderr = f, os.Stderr
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Pdeathsig:  syscall.SIGKILL,
					Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{shadow}},
				}
				_ = cmd.Run()
			}()
		}
	}()
	return stop
}

// publicBinary copies a binary of ours to where other users may run it.
func publicBinary(t *testing.T, name string) string {
	t.Helper()
	to := filepath.Join(tempDir(t, "bin"), name)
	run(t, "", "install", "-m", "0755", "../../bin/"+name, to)
	return to
}

func needPAM(t *testing.T) {
	t.Helper()
	need(t, "useradd", "chpasswd")
	if os.Getuid() != 0 {
		t.Skip("making system users needs root")
	}
	if _, err := os.Stat("../../bin/authd-pam"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("bin/authd-pam was not built: libpam0g-dev is missing")
		}
		t.Skip("bin/authd-pam was not built")
	}
}

// pamService is docs/authd/system.md's file in /etc/pam.d.
func pamService(t *testing.T, name string) {
	t.Helper()
	file := write(t, "/etc/pam.d/"+name, "auth    required pam_unix.so\naccount required pam_unix.so\n", 0o644)
	t.Cleanup(func() { os.Remove(file) })
}

// A system user's password is checked by PAM and by the shadow file, and NSS
// says where the user lives; the helper is an unprivileged process.
func TestSystemUsers(t *testing.T) {
	needPAM(t)
	systemUser(t, "pcpamuser", "s3cret pass")
	systemUser(t, "pclocked", "x")
	run(t, "", "usermod", "-L", "pclocked")
	systemUser(t, "pcexpired", "x")
	run(t, "", "chage", "-E", "1", "pcexpired")
	pamService(t, "postcote-interop")
	bin := publicBinary(t, "authd-pam")
	for _, tc := range []struct {
		driver string
		argv   []string
	}{{"pam", []string{bin}}, {"shadow", []string{bin, "--shadow"}}} {
		t.Run(tc.driver, func(t *testing.T) {
			c := helper.DefaultConfig(tc.driver)
			c.Socket, c.Service, c.Name, c.Timeout = socketUnit(t, tc.argv...), "postcote-interop", "%{username}", conf.Duration(30e9)
			d, err := helper.New(tc.driver, c)
			if err != nil {
				t.Fatal(err)
			}
			systemLogins(t, d)
		})
	}
}

func systemLogins(t *testing.T, d *helper.Driver) {
	login := func(user, password string) error {
		_, err := d.Verify(t.Context(), &request.Request{
			User: user + "@demo.test", Service: "imap", Remote: netip.MustParseAddrPort("192.0.2.1:1"),
		}, password)
		return err
	}
	if err := login("pcpamuser", "s3cret pass"); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		user, password string
		reason         passdb.Reason
	}{
		{"pcpamuser", "wrong", passdb.Mismatch},
		{"pcpamuser", "", passdb.Mismatch},
		{"pcexpired", "x", passdb.Expired},
	} {
		err := login(tc.user, tc.password)
		r := passdb.RefusedOf(err)
		if r == nil || (r.Reason != tc.reason && r.Reason != passdb.Disabled) {
			t.Errorf("%s %q: %v", tc.user, tc.password, err)
		}
	}
	if err := login("pclocked", "x"); passdb.RefusedOf(err) == nil {
		t.Errorf("locked: %v", err)
	}
	if err := login("pcnobody", "x"); !fail.Is(err, fail.NotFound) {
		t.Errorf("unknown: %v", err)
	}
	rec, err := d.Users().Lookup(t.Context(), &request.Request{User: "pcpamuser@demo.test"})
	if err != nil || rec.UID <= 0 || rec.Home != "/home/pcpamuser" {
		t.Errorf("%+v %v", rec, err)
	}
	if _, err := d.Users().Lookup(t.Context(), &request.Request{User: "pcnobody@demo.test"}); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

func groupID(name string) (uint32, error) {
	text, err := os.ReadFile("/etc/group")
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Split(line, ":"); f[0] == name && len(f) > 2 {
			var id uint32
			for _, c := range f[2] {
				id = id*10 + uint32(c-'0')
			}
			return id, nil
		}
	}
	return 0, errors.New("no group " + name)
}
