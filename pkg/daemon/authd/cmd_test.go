package authd

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
)

// configFile writes a configuration for a daemon whose sockets are in dir, and
// so are the users unless more says where they are.
func configFile(t *testing.T, dir, more string) string {
	t.Helper()
	file := filepath.Join(dir, "authd.yaml")
	databases := fmt.Sprintf("passdb: [{driver: passwd-file}]\nuserdb: [{driver: passwd-file}]\nusers: {file: %s/users, default_domain: example.org}\n", dir)
	if strings.Contains(more, "passdb:") {
		databases = "users: {default_domain: example.org}\n"
	}
	text := fmt.Sprintf(`listeners:
  - {type: client, listen: "unix:%[1]s/client"}
%[3]slogin: {failure_delay: 0s, penalty: false}
control: {listen: "unix:%[1]s/control"}
log: {style: classic}
%[2]s`, dir, more, databases)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestHashCommand(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var w scheme.Workspace
	for _, tc := range []struct {
		stdin, password, prefix string
		args                    []string
	}{
		{"pässword\nrest", "pässword", "{ARGON2ID}$argon2id$", nil},
		{"no line end", "no line end", "{BLF-CRYPT}$2y$", []string{"-s", "blf-crypt"}},
		{"", "from file", "{SHA512-CRYPT}$6$", []string{"--scheme", "SHA512-CRYPT", "--password-file", secret}},
		{"x", "x", "{SHA256-CRYPT}$5$rounds=1000$", []string{"-s", "SHA256-CRYPT", "--rounds", "1000"}},
		{"x", "x", "{BLF-CRYPT.HEX}24327924303424", []string{"-s", "blf-crypt.hex", "--cost", "4"}},
		{"x", "x", "{ARGON2ID}$argon2id$v=19$m=2048,t=3,p=1$", []string{"--memory", "2MiB", "--rounds", "3"}},
		{"x", "x", "{SCRAM-SHA-256}4096,", []string{"-s", "SCRAM-SHA-256", "--rounds", "4096"}},
	} {
		out, errs, code := authdCommand(t, tc.stdin, append([]string{"hash"}, tc.args...)...)
		h, err := scheme.Parse(strings.TrimSpace(out), scheme.Policy{})
		if code != 0 || errs != "" || err != nil || !strings.HasPrefix(out, tc.prefix) || !h.Verify(&w, tc.password) {
			t.Errorf("%v: %d %s %s %v", tc.args, code, out, errs, err)
		}
	}
	for _, tc := range []struct{ stdin, scheme string }{{"", "ARGON2ID"}, {"x", "NOSUCH"}, {strings.Repeat("x", 1025), "ARGON2ID"}, {"a\x00b", "ARGON2ID"}} {
		if out, _, code := authdCommand(t, tc.stdin, "hash", "-s", tc.scheme); code == 0 || out != "" {
			t.Errorf("%.10q: %d %s", tc.stdin, code, out)
		}
	}
	for _, args := range [][]string{{"--memory", "much"}, {"--memory", "300MiB"}, {"--cost", "10"}, {"-s", "SSHA", "--rounds", "10"}, {"-s", "DIGEST-MD5"}} {
		if out, errs, code := authdCommand(t, "x", append([]string{"hash"}, args...)...); code == 0 || out != "" || errs == "" {
			t.Errorf("%v: %d %s%s", args, code, out, errs)
		}
	}
}

// DIGEST-MD5 is the one scheme that needs a name.
func TestHashForUser(t *testing.T) {
	out, errs, code := authdCommand(t, "secret", "hash", "-s", "DIGEST-MD5", "-u", "user@example.org")
	if code != 0 || out != "{DIGEST-MD5}a9832fed4a7567b40e43443f9f30c272\n" {
		t.Errorf("%d %s%s", code, out, errs)
	}
}

func TestHashList(t *testing.T) {
	out, errs, code := authdCommand(t, "", "hash", "--list")
	if code != 0 || errs != "" {
		t.Fatal(code, errs)
	}
	for _, want := range []string{"ARGON2ID       default\n", "\nSCRAM-SHA-256\n", "\nCRAM-MD5       weak, it is built on MD5\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if lines := strings.Count(out, "\n"); lines != len(scheme.Names()) {
		t.Errorf("%d lines for %d schemes", lines, len(scheme.Names()))
	}
}

// The life of a user, while the daemon runs.
func TestUserCommands(t *testing.T) {
	dir := t.TempDir()
	file := configFile(t, dir, "")
	server := start(t, file)
	run := func(stdin string, wantCode int, args ...string) string {
		t.Helper()
		out, errs, code := authdCommand(t, stdin, append(args, "-c", file)...)
		if code != wantCode {
			t.Fatalf("%v: exit code %d: %s%s", args, code, out, errs)
		}
		return out + errs
	}
	login := func(user, password string) string {
		t.Helper()
		c := authclient.New(authclient.Config{Address: filepath.Join(dir, "client")})
		defer c.Close()
		r, err := try(t.Context(), c, "", user, password)
		if err != nil {
			return fail.KindOf(err).String()
		}
		return r.User
	}
	if got := login("alice", "one"); got != "unavailable" {
		t.Errorf("before there is a users file: %s", got)
	}
	run("one\n", 0, "user", "add", "Alice")
	if got := login("alice@example.org", "one"); got != "alice@example.org" {
		t.Errorf("added: %s", got)
	}
	run("two\n", 1, "user", "add", "alice@example.org")
	run("two\n", 0, "user", "password", "alice")
	if got := login("alice", "one") + " " + login("alice", "two"); got != "denied alice@example.org" {
		t.Errorf("password changed: %s", got)
	}
	run("", 0, "user", "add", "--locked", "--uid", "1000", "--gid", "1001", "--home", "/home/carol", "carol@other.example")
	run("x", 64, "user", "add", "--uid", "0", "root")
	run("x", 64, "user", "add", "a:b")
	run("x", 1, "user", "password", "nobody")
	if got := run("", 0, "user", "list", "*"); got != "alice@example.org\ncarol@other.example\n" {
		t.Errorf("list: %s", got)
	}
	var carol struct {
		Name, Home     string
		UID, GID, Line int
		Locked         bool
	}
	if err := json.Unmarshal([]byte(run("", 0, "user", "list", "--json", "car*")), &carol); err != nil ||
		carol.Name != "carol@other.example" || carol.UID != 1000 || carol.GID != 1001 || carol.Home != "/home/carol" || !carol.Locked || carol.Line != 2 {
		t.Errorf("%+v %v", carol, err)
	}
	if got := run("two\n", 0, "test", "alice", "--socket", filepath.Join(dir, "client")); got != "ok\n  user=alice@example.org\n  original_user=alice\n" {
		t.Errorf("test: %s", got)
	}
	if got := run("three\n", 1, "test", "alice", "--socket", filepath.Join(dir, "client")); !strings.Contains(got, "authentication failed") {
		t.Errorf("test: %s", got)
	}
	run("", 0, "user", "delete", "alice")
	run("", 1, "user", "delete", "alice")
	if got := login("alice", "two"); got != "denied" {
		t.Errorf("deleted: %s", got)
	}
	server.stop(0)
}

// process is an authd of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr strings.Builder
}

// start returns when authd says that it is ready.
func start(t *testing.T, file string) *process {
	t.Helper()
	at := filepath.Join(t.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	p := &process{t: t, cmd: exec.Command(os.Args[0], "serve", "-c", file)}
	p.cmd.Env = append(os.Environ(), "BE_AUTHD=1", "POSTCOTE_ALLOW_ROOT=1", "NOTIFY_SOCKET="+at)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	_ = notify.SetReadDeadline(time.Now().Add(time.Minute))
	for said := make([]byte, 4096); ; {
		n, err := notify.Read(said)
		if err != nil {
			t.Fatalf("authd is not ready: %v", err)
		}
		if strings.Contains(string(said[:n]), "READY=1") {
			return p
		}
	}
}

// stop ends the process and expects its exit code.
func (p *process) stop(code int) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d:\n%s", got, code, p.stderr.String())
	}
}

// SIGHUP takes the new configuration over; connections stay.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := configFile(t, dir, "passwords: {allow_schemes: []}\n")
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte("bob@example.org:{PLAIN}secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, file)
	c := authclient.New(authclient.Config{Address: filepath.Join(dir, "client"), Patience: 30 * time.Second})
	defer c.Close()
	before, err := c.Mechanisms(t.Context())
	if err != nil || len(before) != 2 {
		t.Fatal(before, err)
	}
	if _, err := try(t.Context(), c, "", "bob", "secret"); !fail.Is(err, fail.Unavailable) {
		t.Fatalf("PLAIN is not allowed yet: %v", err)
	}
	configFile(t, dir, "passwords: {allow_schemes: [PLAIN]}\n")
	_ = p.cmd.Process.Signal(syscall.SIGHUP)
	var r authclient.Result
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if r, err = try(t.Context(), c, "", "bob", "secret"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	// A new connection would have numbered its requests from 1 again.
	if r.RequestID < 2 {
		t.Error("the reload cost the connection")
	}
	p.stop(0)
}

// What an operator asks a running daemon.
func TestOperation(t *testing.T) {
	dir := t.TempDir()
	file := configFile(t, dir, "passwords: {allow_schemes: [PLAIN]}\n")
	users := "bob@example.org:{PLAIN}secret:1000:1001::/home/bob::nologin userdb_quota_rule=*:bytes=1G\nbroken@example.org:{PLAIN}x:uid\n"
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, file)
	run := func(wantCode int, args ...string) string {
		t.Helper()
		out, errs, code := authdCommand(t, "", append(args, "-c", file)...)
		if code != wantCode {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, errs)
		}
		return out + errs
	}
	c := authclient.New(authclient.Config{Address: filepath.Join(dir, "client")})
	defer c.Close()
	for _, cred := range [][2]string{{"bob", "wrong"}, {"zoe", "secret"}, {"bob", "secret"}} {
		_, _ = try(t.Context(), c, "", cred[0], cred[1])
	}
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"lookup", "BOB"}, 0, "bob@example.org\nuserdb passwd-file: found\n  uid=1000\n  gid=1001\n  home=/home/bob\n" +
			"  quota_rule=*:bytes=1G\n  mail=maildir:~/Maildir\npassdb passwd-file: found\n  nologin\n"},
		{[]string{"lookup", "--ip", "192.0.2.1", "--service", "smtp", "zoe"}, 1, "zoe@example.org\nuserdb passwd-file: unknown user\npassdb passwd-file: unknown user\nauthd: no user zoe@example.org\n"},
		{[]string{"lookup", "two words"}, 1, "authd: no user \"two words\": "},
		{[]string{"lookup", "--ip", "here", "bob"}, 64, "authd: address: "},
		{[]string{"lookup", "--json", "zoe"}, 1, `{"user":"zoe@example.org","userdb":{"answers":[{"db":"passwd-file","says":"unknown user"}],"found":false},"passdb":{"answers":`},
		{[]string{"lookup", "broken"}, 75, "broken@example.org\nuserdb passwd-file: "},
		{[]string{"cache", "flush", "bob"}, 0, "2 entries flushed\n"},
		{[]string{"cache", "flush"}, 0, "1 entries flushed\n"},
	} {
		if got := run(tc.code, tc.args...); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%v: got\n%swant\n%s", tc.args, got, tc.want)
		}
	}
	lines := strings.Split(strings.TrimSpace(run(0, "who-failed")), "\n")
	for i, want := range []string{
		"time                 user             address    service  penalty  reason",
		" zoe@example.org  192.0.2.1  imap     0s       unknown user",
		" bob@example.org  192.0.2.1  imap     0s       Password mismatch",
	} {
		if len(lines) != 3 || !strings.HasSuffix(lines[i], want) {
			t.Errorf("who-failed line %d: want %q in\n%s", i, want, strings.Join(lines, "\n"))
			break
		}
	}
	var f struct{ User, Reason string }
	if err := json.Unmarshal([]byte(run(0, "who-failed", "--json", "-n", "1")), &f); err != nil || f.User != "zoe@example.org" || f.Reason != "unknown user" {
		t.Errorf("%+v %v", f, err)
	}
	p.stop(0)
}
