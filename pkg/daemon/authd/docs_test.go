package authd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// section is a top-level key of an example with all that belongs to it.
var section = regexp.MustCompile(`(?m)^(\w+):.*\n(?:[ \t].*\n|\n)*`)

// Every example of the manual is a configuration that authd takes, and its
// databases can be made. An example without connections goes on with those of
// the one before it.
func TestManualExamples(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/authd/*.md")
	if err != nil || len(pages) < 6 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		connections := ""
		for i, example := range strings.Split(string(text), "```yaml\n")[1:] {
			example, _, _ = strings.Cut(example, "```")
			name := fmt.Sprintf("%s:example %d", filepath.Base(page), i+1)
			own := ""
			for _, m := range section.FindAllStringSubmatch(example, -1) {
				if m[1] == "databases" {
					own = m[0]
				}
			}
			if own == "" {
				example = connections + example
			} else {
				connections = own
			}
			cfg := authconf.Default()
			if err := conf.Parse(name, []byte(example), &cfg); err != nil {
				t.Errorf("%v\n%s", err, example)
				continue
			}
			// Dovecot's files lie on the reader's machine.
			if _, err := check(&cfg); err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "/etc/dovecot/") {
				t.Errorf("%s: %v\n%s", name, err, example)
			}
		}
	}
}
