package postfixcmd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// What is wrong with a command line is said in getopt's and Postfix's words,
// before anything is done.
func TestWrongUse(t *testing.T) {
	for args, want := range map[string]string{
		"sendmail -f":            "64 sendmail: option requires an argument -- 'f'",
		"sendmail -Z":            "64 sendmail: invalid option -- 'Z'",
		"sendmail -t -bp":        "64 sendmail: fatal: -t can be used only in delivery mode",
		"sendmail -bs joe":       "64 sendmail: fatal: stand-alone mode requires no recipient",
		"sendmail -bd joe":       "64 sendmail: fatal: daemon mode requires no recipient",
		"sendmail -q joe":        "64 sendmail: fatal: flush queue mode requires no recipient",
		"sendmail -qI0z joe":     "64 sendmail: fatal: flush queue_id requires no recipient",
		"mailq joe":              "64 mailq: fatal: display queue mode requires no recipient",
		"newaliases joe":         "64 newaliases: fatal: alias initialization mode requires no recipient",
		"newaliases -Z":          "64 newaliases: invalid option -- 'Z'",
		"newaliases -oA/nowhere": "69 newaliases: fatal: ",
		"postqueue -Z":           "69 postqueue: invalid option -- 'Z'",
		"postqueue -i":           "69 postqueue: option requires an argument -- 'i'",
		"postqueue -s -x-":       "69 postqueue: fatal: Cannot flush mail queue - invalid destination: \"-x-\"",
		"postqueue -i 4jc":       "69 postqueue: fatal: Cannot flush queue ID - invalid name: \"4jc\"",
		"postsuper -d":           "1 postsuper: option requires an argument -- 'd'",
		"postcat -c":             "1 postcat: option requires an argument -- 'c'",
		"postconf -o":            "1 postconf: option requires an argument -- 'o'",
		"postlog -t":             "1 postlog: option requires an argument -- 't'",
		"postlog -:":             "1 postlog: invalid option -- ':'",
	} {
		var errout bytes.Buffer
		code, _ := Run(context.Background(), &System{
			Args: strings.Fields(args), Stderr: &errout, FS: disk.OS(), Getenv: func(string) string { return "" },
			Settings: func(string, bool) (Settings, error) { return Settings{}, nil },
		})
		if got := fmt.Sprint(code, " ", errout.String()); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}

// A configuration that cannot be read is not the fault of the queue id.
func TestFlushWithoutConfiguration(t *testing.T) {
	var errout bytes.Buffer
	code, _ := Run(context.Background(), &System{
		Args: []string{"postqueue", "-i", "0000000000z00"}, Stderr: &errout, Getenv: func(string) string { return "" },
		Settings: func(string, bool) (Settings, error) { return Settings{}, fail.New(fail.Invalid, "line 3") },
	})
	if code != 69 || !strings.Contains(errout.String(), "line 3") {
		t.Errorf("exit %d: %s", code, errout.String())
	}
}

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
