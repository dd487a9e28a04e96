package sqldb

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// page is the parts of authd.yaml that the manual's examples have.
type page struct {
	Databases map[string]DatabaseConfig `yaml:"databases"`
	Passdb    []pageEntry               `yaml:"passdb"`
	Userdb    []pageEntry               `yaml:"userdb"`
}

type pageEntry struct {
	Driver     string      `yaml:"driver" oneof:"sql"`
	Mechanisms []string    `yaml:"mechanisms"`
	SQL        QueryConfig `yaml:"sql"`
}

// Every example of the manual is read without a complaint, and its queries can
// be prepared.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../../docs/authd/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(text), "```yaml\n")[1:]
	if len(examples) < 5 {
		t.Fatalf("%d examples", len(examples))
	}
	for i, e := range examples {
		e, _, _ = strings.Cut(e, "```")
		var p page
		if err := conf.Parse(fmt.Sprintf("example %d", i+1), []byte(e), &p); err != nil {
			t.Error(err)
			continue
		}
		for name, c := range p.Databases {
			c.PasswordFile, c.TLS.CAFile = "", "" // are on no machine but the reader's
			c.TLS.Mode = "auto"
			p.Databases[name] = c
		}
		dbs, err := Open(p.Databases, Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		defer dbs.Close()
		for _, entry := range p.Passdb {
			if _, err := dbs.Passdb(entry.SQL); err != nil && entry.SQL.DovecotFile == "" {
				t.Errorf("example %d: %v", i+1, err)
			}
		}
		for _, entry := range p.Userdb {
			if _, err := dbs.Userdb(entry.SQL); err != nil && entry.SQL.DovecotFile == "" {
				t.Errorf("example %d: %v", i+1, err)
			}
		}
	}
}
