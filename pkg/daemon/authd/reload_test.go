package authd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
)

// failures asks the daemon of file for what it remembers of refusals.
func failures(t *testing.T, file string) (all []struct {
	User    string
	Penalty float64 `json:"penalty_seconds"`
},
) {
	t.Helper()
	out, errs, code := authdCommand(t, "", "who-failed", "--json", "-c", file)
	if code != 0 {
		t.Fatal(errs)
	}
	for line := range strings.Lines(out) {
		var f struct {
			User    string
			Penalty float64 `json:"penalty_seconds"`
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// A reload forgets neither who failed nor what was checked, takes over what
// changed, and leaves everything as it is when the file has a mistake.
func TestReloadKeeps(t *testing.T) {
	dir := t.TempDir()
	config := func(more string) string {
		file := configFile(t, dir, "passwords: {allow_schemes: [PLAIN]}\n"+more)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.Replace(string(text), "penalty: false", "penalty: true, trusted_networks: []", 1))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	file := config("")
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte("bob@example.org:{PLAIN}secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, file)
	c := authclient.New(authclient.Config{Address: filepath.Join(dir, "client"), Patience: 30 * time.Second})
	defer c.Close()
	if _, err := try(t.Context(), c, "", "bob", "secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := try(t.Context(), c, "", "bob", "wrong"); err == nil {
		t.Fatal("logged in with a wrong password")
	}
	remembered := func(when string) {
		t.Helper()
		if f := failures(t, file); len(f) != 1 || f[0].User != "bob@example.org" || f[0].Penalty != 2 {
			t.Errorf("%s: %+v", when, f)
		}
		out, _, _ := authdCommand(t, "", "status", "-c", file)
		if !strings.Contains(out, "\ncache.entries: 2\n") {
			t.Errorf("%s: the cache is not as it was:\n%s", when, out)
		}
	}
	remembered("before")
	reload := func(wantCode int) {
		t.Helper()
		if out, errs, code := authdCommand(t, "", "reload", "-c", file, "--control", filepath.Join(dir, "control")); code != wantCode {
			t.Fatalf("reload: exit code %d: %s%s", code, out, errs)
		}
	}
	config("cache: {verified_ttl: 10m}\n")
	reload(0)
	remembered("after a reload")
	config("cache: {size: 1MiB}\n")
	reload(0)
	if out, _, _ := authdCommand(t, "", "status", "-c", file); !strings.Contains(out, "\ncache.entries: 0\n") {
		t.Errorf("a cache of another size is another one:\n%s", out)
	}
	p.stop(0)
}

// A password that was stored in a weaker way is stored by the configured
// scheme after the login that showed it, and is the same password.
func TestRehash(t *testing.T) {
	dir := t.TempDir()
	file := configFile(t, dir, "passwords: {allow_schemes: [PLAIN], rehash: true, scheme: SHA256-CRYPT}\n")
	users := filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("# kept\nbob@example.org:{PLAIN}secret:1000:1000:::\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, file)
	c := authclient.New(authclient.Config{Address: filepath.Join(dir, "client"), Patience: 30 * time.Second})
	defer c.Close()
	for _, step := range []struct{ password, want, stored string }{
		{"wrong", "refused", "bob@example.org:{PLAIN}secret:1000"},
		{"secret", "ok", "bob@example.org:{SHA256-CRYPT}$5$"},
		{"secret", "ok", "bob@example.org:{SHA256-CRYPT}$5$"},
		{"wrong", "refused", "bob@example.org:{SHA256-CRYPT}$5$"},
	} {
		got := "ok"
		if _, err := try(t.Context(), c, "", "bob", step.password); err != nil {
			got = "refused"
		}
		text, err := os.ReadFile(users)
		if err != nil || got != step.want || !strings.HasPrefix(string(text), "# kept\n"+step.stored) {
			t.Errorf("%s: %s, %v\n%s", step.password, got, err, text)
		}
	}
	p.stop(0)
}
