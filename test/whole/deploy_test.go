package whole

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/deliverd"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/test/suite"
)

// Every shipped example configuration passes its daemon's own check.
func TestExamplesPassCheck(t *testing.T) {
	dir, err := os.MkdirTemp("", "pc")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := suite.Prepare(suite.Options{Dir: dir, Bin: binDir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for _, name := range suite.Names {
		p := s.Procs[name]
		if out, err := exec.Command(p.Binary(), "check", "-c", p.Config()).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// A configuration with mistakes is refused with all of them, file and line,
// and exit code 78.
func TestCheckReportsAllMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mtad.yaml")
	if err := os.WriteFile(file, []byte("hostnam: mail.example.org\nmessage_size_limit: huge\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(binDir, "mtad"), "check", "-c", file).CombinedOutput()
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.ExitCode() != 78 {
		t.Errorf("exit: %v, want 78", err)
	}
	for _, want := range []string{file + ":1", "hostname", file + ":2", "message_size_limit"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

// The defaults that a daemon prints are a configuration that it accepts.
func TestDefaultsLoad(t *testing.T) {
	for _, d := range []string{"mtad", "deliverd", "imapd", "authd"} {
		out, err := exec.Command(filepath.Join(binDir, d), "check", "--defaults").Output()
		if err != nil || !strings.Contains(string(out), "# ") || !strings.Contains(string(out), "log:") {
			t.Errorf("%s check --defaults: %v\n%.400s", d, err, out)
		}
	}
}

var path = regexp.MustCompile("`((?:pkg|cmd|test|deploy|docs)/[A-Za-z0-9_./-]+)`")

// Every file that the docs name exists.
func TestDocsNameRealFiles(t *testing.T) {
	pages, _ := filepath.Glob("../../docs/*.md")
	more, _ := filepath.Glob("../../docs/*/*.md")
	pages = append(append(pages, more...), "../../README.md")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range path.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join("../..", strings.TrimSuffix(m[1], "/"))); err != nil {
				t.Errorf("%s names %s: %v", page, m[1], err)
			}
		}
	}
	if n := len(path.FindAllString(mustRead(t, "../../docs/flow.md"), -1)); n < 15 {
		t.Errorf("docs/flow.md names only %d files: it is the walk of one message", n)
	}
}

func mustRead(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The exposure that systemd computes for each unit stays at or below 1.5,
// 2.0 for the unit that needs the network.
func TestUnitExposure(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("systemd-analyze is not installed")
		}
		t.Skip("systemd-analyze is not installed")
	}
	score := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`)
	helpers, err := filepath.Glob("../../deploy/systemd/helpers/*.service")
	if err != nil || len(helpers) == 0 {
		t.Fatal("no helper units", err)
	}
	units := helpers
	for _, name := range suite.Names {
		units = append(units, "../../deploy/systemd/"+name+".service")
	}
	for _, unit := range units {
		name := strings.TrimSuffix(filepath.Base(unit), ".service")
		out, _ := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", unit).CombinedOutput()
		m := score.FindSubmatch(out)
		if m == nil {
			t.Errorf("%s: %s", unit, out)
			continue
		}
		got, _ := strconv.ParseFloat(string(m[1]), 64)
		limit := 1.5
		if name == "mtad" {
			limit = 2.0
		}
		if got > limit {
			t.Errorf("%s: exposure %.1f, limit %.1f", name, got, limit)
		}
	}
}

// With the drop-in for databases elsewhere authd stays below 2.0.
func TestNetworkDropIn(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("systemd-analyze is not installed")
		}
		t.Skip("systemd-analyze is not installed")
	}
	// Offline, systemd reads one file; a later line of the same section counts.
	unit := filepath.Join(t.TempDir(), "authd.service")
	text := mustRead(t, "../../deploy/systemd/authd.service") + mustRead(t, "../../deploy/systemd/dropins/authd-network.conf")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	m := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("%s", out)
	}
	if got, _ := strconv.ParseFloat(string(m[1]), 64); got > 2.0 || got < 0.9 {
		t.Errorf("exposure %.1f", got)
	}
}

// systemd finds nothing wrong in the units, once their programs exist.
func TestUnitsVerify(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("systemd-analyze is not installed")
		}
		t.Skip("systemd-analyze is not installed")
	}
	files, err := filepath.Glob("../../deploy/systemd/*.*")
	more, _ := filepath.Glob("../../deploy/systemd/helpers/*.*")
	files = append(files, more...)
	if err != nil || len(files) < 10 || len(more) == 0 {
		t.Fatalf("units: %v %v", files, err)
	}
	dir := t.TempDir()
	args := []string{"verify"}
	for _, f := range files {
		// The manual pages are looked up with man(1), which a test machine may lack.
		text := strings.NewReplacer("/usr/sbin/authd-pam", binDir+"/pamhelper", "/usr/sbin/authd-checkpassword", binDir+"/checkpassword", "/usr/sbin/mtad-run", binDir+"/run",
			"/usr/sbin/", binDir+"/", "Documentation=", "#").Replace(mustRead(t, f))
		to := filepath.Join(dir, filepath.Base(f))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, to)
	}
	if out, err := exec.Command("systemd-analyze", args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// What mtad sends to one destination at a time, deliverd takes for one user:
// else a burst for one mailbox is put off by our own defaults.
func TestDefaultsFitEachOther(t *testing.T) {
	takes, sends := deliverd.Default().Limits.UserConcurrency, queue.DefaultSettings().Default.Destination
	if takes <= sends {
		t.Errorf("deliverd takes %d deliveries at a time for one user, mtad sends %d", takes, sends)
	}
}
