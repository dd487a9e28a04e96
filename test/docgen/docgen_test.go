package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
)

type toyConfig struct {
	Hosts          []host        `yaml:"hosts" reload:"true" doc:"Hosts in order."`
	Timeout        conf.Duration `yaml:"timeout" min:"1s" max:"1h" doc:"How long to wait."`
	service.Common `yaml:",inline"`
}

type host struct {
	Name string `yaml:"name" example:"a.example" doc:"Its name, a|b."`
	Mode string `yaml:"mode" oneof:"|fast" doc:".mode of it."`
}

func toy() service.App {
	add := &cobra.Command{Use: "add NAME", Short: "add a thing", Run: func(*cobra.Command, []string) {}}
	add.Flags().Int("count", 3, "how `many` things")
	things := &cobra.Command{Use: "thing", Short: "Things"}
	things.AddCommand(add)
	return service.App{
		Name: "toy", Short: "plays", Long: "It plays\nall day.\n\nNobody minds.",
		Config: func() any {
			return &toyConfig{Timeout: 5e9, Common: service.DefaultCommon("toy")}
		},
		Commands: []*cobra.Command{things},
	}
}

func TestPages(t *testing.T) {
	files, err := generate([]service.App{toy()})
	if err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"man/toy.8": {
			".TH \"TOY\" 8 \"\" Postcote", ".SH NAME\ntoy \\- plays\n", ".PP\nIt plays all day.\n.PP\nNobody minds.\n",
			".TP\n\\fBthing add NAME\\fR\nAdd a thing.\n.RS\n.TP\n\\fB\\-\\-count=MANY\\fR\nHow many things. Default: 3.\n.RE\n",
			"\\fB\\-c, \\-\\-config=FILE\\fR\nConfiguration file. Default: /etc/postcote/toy.yaml.\n", "toy.yaml(5)",
		},
		"man/toy.8.md": {"# toy(8)\n\nPlays.\n", "- `thing add NAME`  \n  Add a thing.\n  - `--count=MANY`  \n    How many things. Default: 3.\n"},
		"man/toy.yaml.5": {
			"\\fBtimeout\\fR\nHow long to wait. Duration, default 5s. From 1s to 1h.\n",
			"\\fBhosts[].mode\\fR\n\\&.mode of it. String. One of \"\", fast. SIGHUP applies a change.\n",
		},
		"man/toy.yaml.5.md": {"- `hosts[].name`  \n  Its name, a|b. String. SIGHUP applies a change. Example: a.example\n"},
		"config/toy.md": {
			"| `timeout` | duration | `5s` | How long to wait. From 1s to 1h. |\n",
			"| `hosts` ↻ | list of section | `[]` | Hosts in order. |\n",
			"## `hosts`\n\nHosts in order.\n", "| `name` ↻ | string | `\"\"` | Its name, a\\|b. Example: a.example |\n",
			"## `log`\n", "```yaml\n# Hosts in order.\n",
		},
	} {
		for _, want := range wants {
			if !strings.Contains(string(files[name]), want) {
				t.Errorf("%s has no\n%s\n--- it is\n%s", name, want, files[name])
			}
		}
	}
	if len(files) != 5 {
		t.Errorf("%d files", len(files))
	}
}

func TestUndocumentedKeyIsRefused(t *testing.T) {
	app := toy()
	app.Config = func() any {
		return &struct {
			A int `yaml:"a"`
		}{}
	}
	if _, err := generate([]service.App{app}); err == nil || !strings.Contains(err.Error(), "key a needs a doc tag") {
		t.Error(err)
	}
}

func TestStaleFilesAreFound(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]byte{"man/a.8": []byte("a"), "config/a.md": []byte("b")}
	if err := compare(dir, files); err == nil || !strings.Contains(err.Error(), "config/a.md man/a.8") {
		t.Error(err)
	}
	if err := write(dir, files); err != nil {
		t.Fatal(err)
	}
	if err := compare(dir, files); err != nil {
		t.Error(err)
	}
	old := filepath.Join(dir, "man/old.8")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compare(dir, files); err == nil || !strings.Contains(err.Error(), "man/old.8") {
		t.Error(err)
	}
	if err := write(dir, files); err != nil || compare(dir, files) != nil {
		t.Error(err)
	}
}
