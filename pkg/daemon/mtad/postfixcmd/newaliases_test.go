package postfixcmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
)

func TestNewaliases(t *testing.T) {
	for text, want := range map[string]string{"root: joe\n": "", "root: joe\nbad\n": "line 2"} {
		file := filepath.Join(t.TempDir(), "aliases")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var errout bytes.Buffer
		code, _ := Run(context.Background(), &System{
			Args: []string{"newaliases"}, Stderr: &errout, FS: disk.OS(), Getenv: func(string) string { return "" },
			Settings: func(string, bool) (Settings, error) { return Settings{Aliases: []string{"hash:" + file}}, nil },
		})
		if code != 0 || !strings.Contains(errout.String(), want) || want == "" && errout.Len() > 0 {
			t.Errorf("%q: exit %d, %s", text, code, errout.String())
		}
	}
}
