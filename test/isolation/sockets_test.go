//go:build isolation

package isolation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/test/suite"
)

// Who may open which socket: docs/architecture.md, "What crosses a process".
func TestSockets(t *testing.T) {
	s := start(t)
	for _, k := range []struct {
		path, owner, group string
		mode               os.FileMode
		network            string
		clients            []string
	}{
		{"run/authd/auth-smtp", "authd", "mtad", 0o660, "unix", []string{"authd", "mtad"}},
		{"run/authd/auth-client", "authd", "mtad", 0o660, "unix", []string{"authd", "mtad"}},
		{"run/authd/auth-exists", "authd", "mtad", 0o660, "unix", []string{"authd", "mtad"}},
		{"run/authd/socketmap", "authd", "mtad", 0o660, "unix", []string{"authd", "mtad"}},
		{"run/authd/login", "authd", "imapd-login", 0o660, "unix", []string{"authd", "imapd-login"}},
		{"run/authd/auth-master", "authd", "imapd", 0o660, "unix", []string{"authd", "imapd"}},
		{"run/authd/auth-userdb", "authd", "vmail", 0o660, "unix", []string{"authd", "deliverd", "imapd"}},
		{"run/deliverd/lmtp", "deliverd", "mtad", 0o660, "unix", []string{"deliverd", "mtad"}},
		{"run/imapd/session", "imapd", "imapd-login", 0o660, "unixpacket", []string{"imapd", "imapd-login"}},
		{"run/imapd/events", "imapd", "deliverd", 0o660, "unixpacket", []string{"imapd", "deliverd"}},
	} {
		path := s.Path(k.path)
		checkOwner(t, path, k.owner, k.group, k.mode)
		for _, name := range suite.Names {
			out, err := probeAs(t, s, name, "connect", k.network, path)
			if may := contains(k.clients, name); may != (err == nil) {
				t.Errorf("%s connects to %s: %v %s", name, k.path, err, out)
			}
		}
	}
}

func checkOwner(t *testing.T, path, owner, group string, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return
	}
	st := info.Sys().(*syscall.Stat_t)
	u, err := user.Lookup(owner)
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(st.Uid) != u.Uid || fmt.Sprint(st.Gid) != g.Gid || info.Mode().Perm() != mode {
		t.Errorf("%s: %d:%d %v, want %s:%s %v", path, st.Uid, st.Gid, info.Mode().Perm(), owner, group, mode)
	}
}

// The recipient check gives no home, no password field and no list.
func TestExistsTellsLittle(t *testing.T) {
	s := start(t)
	out, err := probeAs(t, s, "mtad", "ask", s.Path("run/authd/auth-exists"),
		"VERSION\t1\t1\nUSER\t1\t"+s.Accounts[0].Name+"\tservice=smtp\n")
	if err != nil || !strings.Contains(out, "USER\t1\t") {
		t.Fatalf("%v %q", err, out)
	}
	for _, never := range []string{"home=", "uid=", "mail=", "pass"} {
		if strings.Contains(out, never) {
			t.Errorf("the exists socket tells %s: %q", never, out)
		}
	}
	out, _ = probeAs(t, s, "mtad", "ask", s.Path("run/authd/auth-exists"), "VERSION\t1\t1\nLIST\t2\tuser=*\tservice=smtp\n")
	if strings.Contains(out, s.Accounts[0].Name) {
		t.Errorf("the exists socket lists users: %q", out)
	}
}

// A login cannot be redeemed by who is not the session role, nor invented.
func TestRedeemIsGuarded(t *testing.T) {
	s := start(t)
	ask := "VERSION\t1\t1\nREQUEST\t1\t4711\t1\t00000000000000000000000000000000\n"
	out, _ := probeAs(t, s, "imapd", "ask", s.Path("run/authd/auth-master"), ask)
	if !strings.Contains(out, "FAIL\t1") || strings.Contains(out, "USER\t1") {
		t.Errorf("an invented request was answered: %q", out)
	}
}

// probe runs inside the re-executed test binary, as another user.
func probe(what string, args []string) error {
	switch what {
	case "connect":
		c, err := net.DialTimeout(args[0], args[1], 5*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	case "ask":
		return ask(args[0], args[1])
	case "forge":
		return forge(args[0])
	}
	return fmt.Errorf("unknown probe %q", what)
}

// ask writes text to a Unix socket and prints what comes back within a second.
func ask(path, text string) error {
	c, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte(text)); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		os.Stdout.Write(buf[:n])
		if err != nil {
			return nil
		}
	}
}

// A login role that lies gets nothing: a frame with an invented login, or one that
// authd is said to have sealed, is refused, and its descriptor is closed without a
// byte of mail.
func TestForgedHandover(t *testing.T) {
	s := start(t)
	out, err := probeAs(t, s, "imapd-login", "forge", s.Path("run/imapd/session"))
	if err != nil || strings.Count(out, "refused") != 2 {
		t.Errorf("a forged handover: %v %q", err, out)
	}
}

// forge offers connections with invented logins to the session role.
func forge(path string) error {
	for _, sealed := range []string{"", strings.Repeat("A", 128)} {
		if err := forgeOne(path, sealed); err != nil {
			return err
		}
	}
	return nil
}

func forgeOne(path, sealed string) error {
	c, err := net.DialTimeout("unixpacket", path, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	near, far, err := netx.SocketPair()
	if err != nil {
		return err
	}
	defer near.Close()
	defer far.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	frame := &handover.Frame{
		Protocol: handover.IMAP, Tag: "a", Session: "forged", ClientPID: 4711, RequestID: 1,
		Cookie: strings.Repeat("0", 32), Sealed: sealed, Mechanism: "PLAIN", Secured: true,
	}
	if _, err := handover.Offer(ctx, c, frame, far); err == nil {
		return errors.New("the session role took it")
	}
	fmt.Println("refused")
	return nil
}
