package tablecmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// place makes the tables that the tests ask and goes where they are.
func place(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"users": "joe J oe\nann Ann\njoe again\nbad\n", "checks": "/^x(.)/ got $1\n/a(/ b\n", "good": "a b\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPostmap(t *testing.T) {
	place(t)
	for _, tc := range []struct {
		args, stdin string
		code        int
		stdout      string
		stderr      string // a part of it
	}{
		{"-q joe texthash:users", "", 0, "J oe\n", "line 3"},
		{"-qJOE users", "", 0, "J oe\n", ""},
		{"-fq JOE users", "", 1, "", ""},
		{"-q none users", "", 1, "", ""},
		{"-q x1 users regexp:checks", "", 0, "got 1\n", "line 2"},
		{"-q - users", "joe\nnone\n\nann\n", 0, "joe\tJ oe\nann\tAnn\n", ""},
		{"-q - users", "none\n", 1, "", ""},
		{"-q x fail:x", "", 1, "", "fatal: "},
		{"-q x texthash:/nonexistent", "", 1, "", "fatal: "},
		{"-s users", "", 0, "joe\tJ oe\nann\tAnn\n", ""},
		{"-s regexp:checks", "", 1, "", "cannot be listed"},
		{"hash:users", "", 0, "", "line 4"},
		{"-c /etc/postfix -o -v good", "", 0, "", ""},
		{"none", "", 1, "", "fatal: "},
		{"-d joe users", "", 1, "", "editor"},
		{"-i users", "x y\n", 1, "", "editor"},
		{"-y users", "", 1, "", "postmap: invalid option -- 'y'\npostmap: fatal: usage"},
		{"-q", "", 1, "", "postmap: option requires an argument -- 'q'\npostmap: fatal: usage"},
		{"-q joe -s users", "", 1, "", "fatal: specify only one of -s -q or -d"},
		{"-sd joe users", "", 1, "", "fatal: specify only one of -s -q or -d"},
		{"", "", 1, "", "usage"},
	} {
		var stdout, stderr strings.Builder
		tool := &Tool{Stdin: strings.NewReader(tc.stdin), Stdout: &stdout, Stderr: &stderr, Name: "postmap"}
		code := tool.Postmap(t.Context(), strings.Fields(tc.args))
		if code != tc.code || stdout.String() != tc.stdout || !strings.Contains(stderr.String(), tc.stderr) {
			t.Errorf("postmap %s: code %d, %q, %q", tc.args, code, stdout.String(), stderr.String())
		}
	}
}

func TestCommands(t *testing.T) {
	place(t)
	good, err := filepath.Abs("good")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, stdin, stdout, err string }{
		{"query users joe", "", "", "type:name"},
		{"query texthash:users joe", "", "J oe\n", ""},
		{"query texthash:users joe ann none", "", "joe\tJ oe\nann\tAnn\n", ""},
		{"query -i texthash:users", "ann\n", "ann\tAnn\n", ""},
		{"query -q texthash:users joe", "", "", ""},
		{"query -f texthash:users JOE", "", "", "not found"},
		{"query texthash:users", "", "", "name a table and a key"},
		{"query socketmap:unix:/nonexistent/x:map k", "", "", "socketmap"},
		{"dump texthash:good inline:{x=y}", "", "a\tb\nx\ty\n", ""},
		{"check texthash:users", "", "", "2 problems"},
		{"check texthash:good fail:x", "", "", "always fails"},
		{"check texthash:none", "", "", "none"},
		{"check", "", "1 tables are well\n", ""},
	} {
		root := &cobra.Command{Use: "mtad", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(Commands(Host{Tables: func(*cobra.Command) ([]string, error) { return []string{"texthash:" + good}, nil }})...)
		var stdout, stderr strings.Builder
		root.SetArgs(append([]string{"table"}, strings.Fields(tc.args)...))
		root.SetIn(strings.NewReader(tc.stdin))
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		err := root.ExecuteContext(t.Context())
		if tc.err == "" && (err != nil || stdout.String() != tc.stdout) {
			t.Errorf("mtad table %s: %v, %q", tc.args, err, stdout.String())
		}
		if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("mtad table %s: %v", tc.args, err)
		}
	}
}

// postalias reads aliases(5), postmap does not.
func TestNamed(t *testing.T) {
	place(t)
	if err := os.WriteFile("aliases", []byte("root: joe, ann\nlist: ann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{"/usr/sbin/postalias": "joe, ann\n", "postmap": "", "mtad": "none"} {
		tool := Named(program)
		if (tool == nil) != (want == "none") {
			t.Errorf("%s: %v", program, tool)
		}
		if tool == nil {
			continue
		}
		var stdout, stderr strings.Builder
		tool.Stdout, tool.Stderr = &stdout, &stderr
		code := tool.Postmap(t.Context(), []string{"-q", "root", "hash:aliases"})
		if stdout.String() != want || (code == 0) != (want != "") {
			t.Errorf("%s: code %d, %q, %q", program, code, stdout.String(), stderr.String())
		}
		stdout.Reset()
		tool.Stdin = strings.NewReader("none\nroot\n")
		tool.Postmap(t.Context(), []string{"-s", "aliases"})
		tool.Postmap(t.Context(), []string{"-q", "-", "aliases"})
		if list := "list:\tann\nroot:\tjoe, ann\nroot:\tjoe, ann\n"; tool.Name == "postalias" && stdout.String() != list {
			t.Errorf("postalias -s and -q - print %q", stdout.String())
		}
		if code := tool.Postmap(t.Context(), []string{"nowhere"}); code == 0 {
			t.Errorf("%s finds nothing wrong with a file that is not there", program)
		}
	}
}
