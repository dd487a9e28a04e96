package postfixcmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// What Postfix 3.7 prints for the same files, but that dumps are in the order
// of the source or sorted, and lines that do not count are warned of once.
func TestPostmap(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"m":   "# c\na 1\nb  two words\n c2\nA@B.c x\n",
		"m2":  "zz 2\n",
		"al":  "root: joe, |\"x y\"\nJoe: :include:/x\n",
		"al2": "bad\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, c := range []struct {
		args, in, out string
		code          int
		says          string
	}{
		{"postmap m", "", "", 0, ""},
		{"postmap hash:m btree:m2", "", "", 0, ""},
		{"postmap -q a m", "", "1\n", 0, ""},
		{"postmap -q zz hash:m", "", "", 1, ""},
		{"postmap -q zz hash:m hash:m2", "", "2\n", 0, ""},
		{"postmap -q A@b.c texthash:" + dir + "/m", "", "x\n", 0, ""},
		{"postmap -q - hash:m", "a\nzz\nb\n", "a\t1\nb\ttwo words c2\n", 0, ""},
		{"postmap -q - hash:m", "zz\n", "", 1, ""},
		{"postmap -q x static:all", "", "all\n", 0, ""},
		{"postmap -q x nosuch:y", "", "", 1, "there is no type"},
		{"postmap lost", "", "", 1, "no such file"},
		{"postmap -d a hash:m", "", "", 1, "edit the file"},
		{"postmap -i hash:m", "", "", 1, "edit the file"},
		{"postmap", "", "", 1, "usage: postmap"},
		{"postmap -x", "", "", 1, "invalid option -- 'x'"},
		{"postalias hash:al", "", "", 0, ""},
		{"postalias -q ROOT hash:al", "", "joe, |\"x y\"\n", 0, ""},
		{"postalias -q nobody hash:al", "", "", 1, ""},
		{"postalias -s hash:al", "", "joe:\t:include:/x\nroot:\tjoe, |\"x y\"\n", 0, ""},
		{"postalias al2", "", "", 0, "line 1"},
		{"newaliases", "", "", 0, ""},
	} {
		var out, errout bytes.Buffer
		code, _ := Run(context.Background(), &System{
			Args: strings.Fields(c.args), Stdin: strings.NewReader(c.in), Stdout: &out, Stderr: &errout, FS: disk.OS(), Now: time.Now,
			Getenv: func(string) string { return "" },
			Settings: func(string, bool) (Settings, error) {
				return Settings{Aliases: []string{filepath.Join(dir, "al")}}, nil
			},
		})
		if code != c.code || out.String() != c.out || !strings.Contains(errout.String(), c.says) || c.says == "" && errout.Len() > 0 {
			t.Errorf("%s: exit %d, %q, %q", c.args, code, out.String(), errout.String())
		}
	}
}

func TestPostmapLists(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(file, []byte("a 1\nb 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code, _ := Run(context.Background(), &System{
		Args: []string{"postmap", "-s", "hash:" + file}, Stdout: &out, Stderr: &out, FS: disk.OS(), Now: time.Now,
	})
	if s := out.String(); code != 0 || !strings.Contains(s, "a\t1\n") || !strings.Contains(s, "b\t2\n") {
		t.Errorf("exit %d, %q", code, s)
	}
}
