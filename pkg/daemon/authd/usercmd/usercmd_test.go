package usercmd

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// world is a folder, and what the configuration names in it.
type world struct {
	t   *testing.T
	dir string
	Target
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.Target = Target{Store: localdb.Config{File: w.path("users.sqlite")}, DefaultDomain: "example.org"}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// run runs a command. A password is a line of stdin, stored as it is.
func (w *world) run(stdin string, args ...string) (stdout, stderr string, err error) {
	w.t.Helper()
	h := Host{
		Target:        func(*cobra.Command) (Target, error) { return w.Target, nil },
		PasswordFlags: func(*cobra.Command) {},
		Stored: func(cmd *cobra.Command, _ string) (string, error) {
			line, err := io.ReadAll(cmd.InOrStdin())
			return "{PLAIN}" + strings.TrimSpace(string(line)), err
		},
	}
	root := &cobra.Command{Use: "authd", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(h.Commands()...)
	root.SetArgs(args)
	var out, errs strings.Builder
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(w.t.Context())
	return out.String(), errs.String(), err
}

// do runs a command that must succeed and returns what it printed.
func (w *world) do(command string) string {
	w.t.Helper()
	out, errs, err := w.run("pw\n", strings.Fields(command)...)
	if err != nil {
		w.t.Fatalf("%s: %v", command, err)
	}
	return out + errs
}

// refused runs a command that must fail.
func (w *world) refused(kind fail.Kind, says, command string) {
	w.t.Helper()
	_, _, err := w.run("pw\n", strings.Fields(command)...)
	if !fail.Is(err, kind) || !strings.Contains(err.Error(), says) {
		w.t.Errorf("%s: %v, want %v with %q", command, err, kind, says)
	}
}

// The verbs of user do the same on a store and on a passwd-file.
func TestUserOnBoth(t *testing.T) {
	for _, kind := range []string{"store", "file"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			if kind == "file" {
				w.Target = Target{File: w.path("users"), DefaultDomain: "example.org"}
			}
			show := func(name string) (u listedUser) {
				t.Helper()
				if err := json.Unmarshal([]byte(w.do("user show --json "+name)), &u); err != nil {
					t.Fatal(err)
				}
				return u
			}
			w.do("user add Alice")
			w.do("user add bob@other.example --locked --uid 1000 --gid 1001 --home /home/bob --field userdb_mail=mbox:~/m --field nologin")
			w.do("user add carol --disabled")
			w.refused(fail.Exists, "alice@example.org", "user add ALICE@example.org")
			w.refused(fail.Invalid, "uid", "user add root --uid 0")
			w.refused(fail.Invalid, "--storage", "user add x --storage much")
			w.refused(fail.Invalid, "colon", "user add a:b")
			if alice := show("alice"); alice.Name != "alice@example.org" || alice.Locked || !alice.Enabled {
				t.Errorf("%+v", alice)
			}
			if bob := show("bob@other.example"); !bob.Locked || bob.UID != 1000 || bob.GID != 1001 || bob.Home != "/home/bob" ||
				bob.Fields["userdb_mail"] != "mbox:~/m" || bob.Fields["nologin"] != true {
				t.Errorf("%+v", bob)
			}
			off := func(u listedUser) bool { return u.Locked || !u.Enabled }
			if !off(show("carol")) {
				t.Error("carol can log in")
			}
			w.do("user enable carol")
			w.do("user disable alice")
			if off(show("carol")) || !off(show("alice")) {
				t.Error("enable and disable do nothing")
			}
			w.do("user enable alice")
			w.do("user enable alice")
			w.do("user password alice")
			if off(show("alice")) {
				t.Error("alice cannot log in")
			}
			if got := w.do("user list --json *@example.org"); strings.Count(got, "\n") != 2 || strings.Contains(got, "PLAIN") {
				t.Error(got)
			}
			if got := w.do("user show bob@other.example"); !strings.Contains(got, "locked") || !strings.Contains(got, "userdb_mail=mbox:~/m") {
				t.Error(got)
			}
			w.do("user delete alice")
			for _, verb := range []string{"show", "password", "delete", "enable", "disable", "quota"} {
				w.refused(fail.NotFound, "alice@example.org", "user "+verb+" alice")
			}
		})
	}
}

// What a passwd-file cannot do is said.
func TestFileIsNoStore(t *testing.T) {
	w := newWorld(t)
	w.Target = Target{File: w.path("users")}
	w.write("users", "alice:{PLAIN}x\nbroken:{PLAIN}x:uid\nnone:!\n")
	if got := w.do("user list"); got != "alice\nnone\n"+w.path("users")+":2: uid \"uid\" is not a number above 0\n" {
		t.Error(got)
	}
	w.refused(fail.Invalid, "quota", "user quota alice --storage 1GiB")
	w.refused(fail.Invalid, "quota", "user add bob --storage 1GiB")
	w.refused(fail.Invalid, "no password", "user enable none")
	for _, command := range []string{"domain list", "domain add x.example", "alias list", "alias add a@b c@d", "app-password list", "app-password add alice phone", "store check", "store backup x"} {
		w.refused(fail.Invalid, "authd user import", command)
	}
	w.do("user add bob@example.org --store " + w.path("other.sqlite"))
	if got := w.do("domain list --json --store " + w.path("other.sqlite")); !strings.Contains(got, `"example.org"`) {
		t.Error(got)
	}
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	w.write("file", "# old users\nalice:{PLAIN}a:1000:1001::/home/alice::allow_nets=192.0.2.0/24 userdb_mail=mbox:~/m userdb_uid=2000 nologin\n"+
		"broken@example.org:{PLAIN}x:uid\nbob@example.org:!\nx@relay.example:{PLAIN}x\n")
	w.do("domain add relay.example --class relay")
	for _, dry := range []string{"--dry-run ", ""} {
		out, errs, err := w.run("", strings.Fields("user import "+dry+"--passwd-file "+w.path("file"))...)
		if err == nil || !strings.Contains(out, "add") || !strings.Contains(out, "2 users, left 0") || !strings.Contains(errs, "file:3: ") || !strings.Contains(errs, "relay.example is of class relay") {
			t.Fatalf("%s%s%v", out, errs, err)
		}
		if dry != "" {
			w.refused(fail.NotFound, "alice", "user show alice")
		}
	}
	var alice listedUser
	if err := json.Unmarshal([]byte(w.do("user show --json alice")), &alice); err != nil {
		t.Fatal(err)
	}
	if alice.Name != "alice@example.org" || alice.UID != 2000 || alice.GID != 1001 || alice.Home != "/home/alice" || alice.Locked ||
		len(alice.Fields) != 3 || alice.Fields["userdb_mail"] != "mbox:~/m" || alice.Fields["nologin"] != true {
		t.Errorf("%+v", alice)
	}
	if got := w.do("user list b*"); !strings.Contains(got, "locked") {
		t.Error(got)
	}
	w.refused(fail.Unavailable, "", "user import --passwd-file "+w.path("none"))
}

func TestWrongUse(t *testing.T) {
	w := newWorld(t)
	w.do("user add alice")
	w.refused(fail.Invalid, "--class", "domain add x.example --class main")
	w.refused(fail.Invalid, "exclude each other", "alias add a@example.org alice --may-send --send-only")
	w.refused(fail.Invalid, "--for", "app-password add alice phone --for telnet")
	w.refused(fail.Invalid, "--valid", "app-password add alice phone --valid soon")
	w.refused(fail.NotFound, "zoe", "app-password add zoe phone")
	w.refused(fail.Unavailable, w.path("none"), "store check --store "+w.path("none"))
	if _, _, err := w.run("", "user", "import"); err == nil {
		t.Error("import of nothing")
	}
	if err := os.WriteFile(w.path("users.sqlite"), []byte("ruined"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.refused(fail.Unavailable, w.path("users.sqlite"), "user list")
	w.refused(fail.Unavailable, w.path("users.sqlite"), "store check")
}

func TestStoreCheck(t *testing.T) {
	w := newWorld(t)
	w.do("user add alice")
	var f facts
	if err := json.Unmarshal([]byte(w.do("store check --json")), &f); err != nil || f.Users != 1 || f.Problems == nil || len(f.Problems) != 0 {
		t.Errorf("%+v %v", f, err)
	}
	s, err := localdb.Open(w.Store, localdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetPassword(t.Context(), "alice@example.org", "x"); err != nil {
		t.Fatal(err)
	}
	w.do("store backup " + w.path("copy"))
	w.do("user delete alice")
	if got := w.do("store restore " + w.path("copy")); !strings.Contains(got, "1 users") {
		t.Error(got)
	}
	if _, err := s.User(t.Context(), "alice@example.org"); err != nil {
		t.Errorf("an open store goes on with the restored one: %v", err)
	}
}
