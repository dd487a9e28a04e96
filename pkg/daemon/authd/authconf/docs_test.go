package authconf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// Every example of an authd.yaml in these pages of the manual is one.
func TestManuals(t *testing.T) {
	for _, page := range []string{"ldap.md", "oauth2.md", "sql.md", "system.md"} {
		text, err := os.ReadFile(filepath.Join("../../../../docs/authd", page))
		if err != nil {
			t.Fatal(err)
		}
		for i, example := range strings.Split(string(text), "```yaml\n")[1:] {
			example, _, _ = strings.Cut(example, "```")
			c := Default()
			if err := conf.Parse(fmt.Sprintf("%s, example %d", page, i+1), []byte(example), &c); err != nil {
				t.Error(err)
			}
		}
	}
}
