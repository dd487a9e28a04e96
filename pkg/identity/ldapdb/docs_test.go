package ldapdb

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// page is the parts of authd.yaml that the manual's examples have.
type page struct {
	Databases map[string]pageDatabase `yaml:"databases"`
	Passdb    []pageEntry             `yaml:"passdb"`
	Userdb    []pageEntry             `yaml:"userdb"`
}

type pageDatabase struct {
	Driver string        `yaml:"driver" oneof:"ldap"`
	LDAP   *ServerConfig `yaml:"ldap"`
}

type pageEntry struct {
	Driver string  `yaml:"driver" oneof:"ldap"`
	LDAP   *Config `yaml:"ldap"`
}

// Preset gives the section its defaults.
func (d *pageDatabase) Preset() { c := DefaultServerConfig(); d.LDAP = &c }

// Preset gives the section its defaults.
func (e *pageEntry) Preset() { c := DefaultConfig(); e.LDAP = &c }

// Every example of the manual is read without a complaint, and can be used.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../../docs/authd/ldap.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(text), "```yaml\n")[1:]
	if len(examples) < 6 {
		t.Fatalf("%d examples", len(examples))
	}
	for i, e := range examples {
		e, _, _ = strings.Cut(e, "```")
		var p page
		if err := conf.Parse(fmt.Sprintf("example %d", i+1), []byte(e), &p); err != nil {
			t.Error(err)
			continue
		}
		configs := map[string]ServerConfig{}
		for name, d := range p.Databases {
			configs[name] = *d.LDAP
		}
		s, err := Open(configs, Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		defer s.Close()
		for _, entry := range p.Passdb {
			if _, err := s.Passdb(*entry.LDAP); err != nil && entry.LDAP.DovecotFile == "" {
				t.Errorf("example %d: %v", i+1, err)
			}
		}
		for _, entry := range p.Userdb {
			if _, err := s.Userdb(*entry.LDAP); err != nil && entry.LDAP.DovecotFile == "" {
				t.Errorf("example %d: %v", i+1, err)
			}
		}
	}
}
