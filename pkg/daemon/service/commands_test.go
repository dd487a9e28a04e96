package service

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"version", ExitOK, "toy 1.2.3\n", ""},
		{"word", ExitOK, "hello\n", ""},
		{"lose", ExitError, "", "toy: lost\n"},
		{"nonsense", ExitUsage, "", `unknown command "nonsense" for "toy"`},
		{"version --nonsense", ExitUsage, "", "unknown flag: --nonsense"},
		{"version extra", ExitUsage, "", `unknown command "extra" for "toy version"`},
		{"", ExitUsage, "", "Available Commands:"},
		{"--help", ExitOK, "check", ""},
		{"box", ExitUsage, "", "toy box [command]"},
		{"box nonsense", ExitUsage, "", `unknown command "nonsense" for "toy box"`},
		{"box --help", ExitOK, "toy box [command]", ""},
		{"box open", ExitOK, "opened\n", ""},
		{"check --defaults", ExitOK, "# Where lines go: stderr, syslog", ""},
		{"check --defaults --role x", ExitUsage, "", "unknown flag: --role"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			y := newToy(t)
			y.write("word: hello")
			if code := y.cli(strings.Fields(tc.args)...); code != tc.code {
				t.Errorf("exit code %d", code)
			}
			if out := y.stdout.String(); !strings.Contains(out, tc.stdout) {
				t.Errorf("standard output: %s", out)
			}
			if out := y.stderr.String(); !strings.Contains(out, tc.stderr) || (tc.stderr == "") != (out == "") {
				t.Errorf("standard error: %s", out)
			}
		})
	}
}

func TestCommonSectionsAreDocumented(t *testing.T) {
	for _, daemon := range []string{"mtad", "imapd-login"} {
		if err := conf.CheckDocs(struct {
			Common `yaml:",inline"`
		}{DefaultCommon(daemon)}); err != nil {
			t.Error(err)
		}
	}
}

func TestCommonMistakes(t *testing.T) {
	y := newToy(t)
	err := conf.Parse("f", []byte("log: {target: stdout}\ncontrol: {listen: \"127.0.0.1:1\"}\n"), y.process.app.Config())
	want := `f:1: log.target: "stdout" is no place for a log (write stderr, syslog or an absolute path)
f:2: control.listen: the control socket must be a unix socket (write "unix:/run/postcote-NAME/control" or "systemd:NAME")`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestConfigWithoutCommonIsRefused(t *testing.T) {
	y := newToy(t)
	y.process.app.Config = func() any { return &struct{}{} }
	if err := os.WriteFile(y.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := y.serve()(); code != ExitConfig || !strings.Contains(y.stderr.String(), "does not embed service.Common") {
		t.Errorf("exit code %d: %s", code, y.stderr)
	}
}

// roleConfig is one of the two configurations of a binary with roles.
type roleConfig struct {
	Role   string `yaml:"role" oneof:"login|session" doc:"The role."`
	Common `yaml:",inline"`
}

func TestRoles(t *testing.T) {
	y := newToy(t)
	ran := make(chan string, 1)
	y.process.app.Config, y.process.app.Run = nil, nil
	for _, key := range []string{"session", "login"} {
		y.process.app.Roles = append(y.process.app.Roles, Role{
			Key: key, Name: "toy-" + key,
			Config: func() any {
				c := &roleConfig{Role: key, Common: DefaultCommon("toy-" + key)}
				c.Control.Listen = conf.Listen{}
				return c
			},
			Run: func(_ context.Context, rt *Runtime, cfg any) error {
				ran <- rt.Name + " " + cfg.(*roleConfig).Role
				return nil
			},
		})
	}
	y.write("role: login")
	y.serve()()
	if got := receiveFrom(t, ran); got != "toy-login login" {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"role: logn": `toy.yaml:1: role: "logn" is not allowed (allowed: session, login)`,
		"":           "toy.yaml: role: is missing (allowed: session, login)",
	} {
		y.write(text)
		if code := y.serve()(); code != ExitConfig || !strings.Contains(y.stderr.String(), want) {
			t.Errorf("exit code %d: %s", code, y.stderr)
		}
	}
	if code := y.cli("check", "--defaults", "--role", "login"); code != ExitOK || !strings.Contains(y.stdout.String(), "\nrole: login\n") {
		t.Errorf("exit code %d: %s", code, y.stdout)
	}
	if code := y.cli("check", "--defaults", "--role", "x"); code != ExitUsage || !strings.Contains(y.stderr.String(), `toy has no role "x"`) {
		t.Errorf("exit code %d: %s", code, y.stderr)
	}
}

func TestCheck(t *testing.T) {
	y := newToy(t)
	spool := filepath.Join(y.dir, "spool")
	if err := os.Mkdir(spool, 0o700); err != nil {
		t.Fatal(err)
	}
	y.write("spool_dir: " + spool)
	if code := y.cli("check"); code != ExitOK || !strings.HasSuffix(y.stdout.String(), "toy.yaml: ok\n") {
		t.Errorf("exit code %d: %s%s", code, y.stdout, y.stderr)
	}
	y.write("spool_dir: " + spool + "/absent\nwrod: a")
	if code := y.cli("check"); code != ExitConfig || !strings.Contains(y.stderr.String(), "toy.yaml:2: wrod: unknown key") {
		t.Errorf("exit code %d: %s", code, y.stderr)
	}
	y.write("spool_dir: " + spool + "/absent/deeper")
	if code := y.cli("check"); code != ExitConfig || !strings.Contains(y.stderr.String(), "toy.yaml: spool_dir: "+spool+"/absent/deeper cannot be made") {
		t.Errorf("exit code %d: %s", code, y.stderr)
	}
	y.write("spool_dir: " + spool + "/%{domain}")
	y.process.app.Check = func(any) ([]string, error) { return []string{"mind this"}, fail.New(fail.Invalid, "on purpose") }
	if code := y.cli("check"); code != ExitConfig || !strings.HasSuffix(y.stderr.String(), "toy.yaml: on purpose\n") ||
		!strings.Contains(y.stdout.String(), "note: mind this\n") || !strings.Contains(y.stdout.String(), "%{domain} depends on variables") {
		t.Errorf("exit code %d: %s%s", code, y.stdout, y.stderr)
	}
}

func TestReach(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, mode := range map[string]os.FileMode{"file": 0o600, "locked": 0} {
		if err := os.WriteFile(path(name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(path("closed"), 0); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", path("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, tc := range []struct {
		use           conf.Use
		path          string
		mistake, note string
	}{
		{conf.UseRead, path("file"), "", ""},
		{conf.UseRead, dir, "", ""},
		{conf.UseRead, path("none"), "does not exist", ""},
		{conf.UseWrite, path("file"), "", ""},
		{conf.UseWrite, path("new"), "", ""},
		{conf.UseWrite, dir, "is a directory", ""},
		{conf.UseWrite, path("none/new"), "cannot be made: " + path("none") + " does not exist", ""},
		{conf.UseWrite, "/proc/new", "cannot be made: /proc may not be used by", ""},
		{conf.UseDir, dir, "", ""},
		{conf.UseDir, path("file"), "is not a directory", ""},
		{conf.UseDir, path("none"), "", "the daemon makes it"},
		{conf.UseDir, path("none/queue"), "cannot be made: " + path("none") + " does not exist", ""},
		{conf.UseSocket, path("new"), "", ""},
		{conf.UseSocket, path("socket"), "", ""},
		{conf.UseSocket, path("file"), "is there and is not a socket", ""},
		{conf.UseSocket, "/run/postcote-none/s", "", "cannot be made now"},
		{conf.UseConnect, path("socket"), "", ""},
		{conf.UseConnect, path("file"), "is not a socket", ""},
		{conf.UseConnect, path("none"), "", "whoever serves it does not run"},
		{conf.UseRead, path("locked"), "may not be used by", ""},
		{conf.UseRead, path("closed/file"), "may not be used by", ""},
	} {
		if os.Geteuid() == 0 && strings.Contains(tc.mistake, "may not be used") {
			continue // nothing stops root here
		}
		got := reach(conf.PathUse{Key: "k", Path: tc.path, Use: tc.use})
		if !strings.Contains(got.mistake, tc.mistake) || !strings.Contains(got.note, tc.note) ||
			(got.mistake == "") != (tc.mistake == "") || (got.note == "") != (tc.note == "") {
			t.Errorf("%s %s: %+v", tc.use, tc.path, got)
		}
	}
}

func TestDropIn(t *testing.T) {
	got := dropIn("mtad", []conf.PathUse{
		{Path: "/etc/tls/key.pem", Use: conf.UseRead},
		{Path: "/run/postcote-mtad/control", Use: conf.UseSocket},
		{Path: "/var/lib/postcote/mtad/queue", Use: conf.UseDir},
		{Path: "/run/postcote-authd/client", Use: conf.UseConnect},
		{Path: "/srv/queue", Use: conf.UseDir},
		{Path: "/var/log/mtad/log", Use: conf.UseWrite},
		{Path: "/var/log/mtad/other", Use: conf.UseWrite},
		{Path: "/home/mail/key.pem", Use: conf.UseRead},
		{Path: "/home/mail/spool", Use: conf.UseDir},
		{Path: "/tmp", Use: conf.UseDir},
		{Path: "/tmp/x/sock", Use: conf.UseConnect},
	})
	want := `# /etc/systemd/system/mtad.service.d/paths.conf
[Service]
ReadWritePaths=/srv/queue
ReadWritePaths=/var/log/mtad
BindReadOnlyPaths=/home/mail/key.pem
BindPaths=/home/mail/spool
BindReadOnlyPaths=/tmp/x
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if got := dropIn("mtad", nil); got != "" {
		t.Error(got)
	}
}
