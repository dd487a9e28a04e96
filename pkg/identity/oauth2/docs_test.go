package oauth2

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// page is the parts of authd.yaml that the manual's examples have.
type page struct {
	Login struct {
		Mechanisms []string `yaml:"mechanisms"`
	} `yaml:"login"`
	Passdb []pageEntry `yaml:"passdb"`
}

type pageEntry struct {
	Driver     string   `yaml:"driver" oneof:"oauth2|local"`
	Mechanisms []string `yaml:"mechanisms"`
	OAuth2     Config   `yaml:"oauth2"`
}

// Preset gives the section its defaults.
func (e *pageEntry) Preset() { e.OAuth2 = DefaultConfig() }

// Every example of the manual is read without a complaint, and can be used.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../../docs/authd/oauth2.md")
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
		for _, entry := range p.Passdb {
			if entry.Driver != name {
				continue
			}
			entry.OAuth2.ClientSecretFile = "" // is on no machine but the reader's
			d, err := New(entry.OAuth2, now)
			if err != nil {
				t.Errorf("example %d: %v", i+1, err)
				continue
			}
			_ = d.Close()
		}
	}
}
