package conf

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// mustLoadBack prints cfg and loads the print into the defaults.
func mustLoadBack(t interface {
	Helper()
	Fatalf(string, ...any)
}, cfg *testConfig,
) {
	t.Helper()
	var buf bytes.Buffer
	if err := WriteDefaults(&buf, cfg); err != nil {
		t.Fatalf("write: %v", err)
	}
	back := defaultTestConfig()
	if err := parseOnly(buf.Bytes(), reflect.ValueOf(back).Elem(), field{}); err != nil {
		t.Fatalf("does not load back: %v\n%s", err, buf.String())
	}
	if changes := Changes(cfg, back); len(changes) > 0 {
		t.Fatalf("differs after loading back: %+v\n%s", changes, buf.String())
	}
}

func listens() *rapid.Generator[Listen] {
	return rapid.Custom(func(t *rapid.T) Listen {
		return Listen{
			Address: rapid.String().Draw(t, "address"),
			Mode:    FileMode(rapid.Uint32Range(0, 0o7777).Draw(t, "mode")),
			Group:   rapid.String().Draw(t, "group"),
			Allow:   rapid.SliceOfN(rapid.String(), 0, 2).Draw(t, "allow"),
		}
	})
}

func configs() *rapid.Generator[*testConfig] {
	return rapid.Custom(func(t *rapid.T) *testConfig {
		text := rapid.String()
		relays := rapid.Custom(func(t *rapid.T) relay {
			return relay{text.Draw(t, "host"), rapid.IntRange(1, 65535).Draw(t, "port")}
		})
		tables := rapid.Custom(func(t *rapid.T) table {
			return table{text.Draw(t, "file"), rapid.SampledFrom([]string{"flat", "regexp"}).Draw(t, "kind")}
		})
		return &testConfig{
			Hostname: text.Draw(t, "hostname"),
			Listen:   rapid.SliceOfN(listens(), 0, 3).Draw(t, "listen"),
			Networks: rapid.SliceOfN(rapid.Just(netip.MustParsePrefix("2001:db8::/32")), 0, 1).Draw(t, "networks"),
			TLS:      testTLS{CertFile: text.Draw(t, "cert"), KeyFile: SecretFile(text.Draw(t, "key")), Require: rapid.Bool().Draw(t, "require")},
			Limits: testLimits{
				Timeout: Duration(rapid.Int64Range(1e9, 3600e9).Draw(t, "timeout")),
				Message: Size(rapid.Int64Min(1024).Draw(t, "message")),
				Conns:   rapid.IntRange(1, 1000).Draw(t, "conns"),
				Port:    rapid.Uint16().Draw(t, "port"),
			},
			Tables:  rapid.MapOfN(text, tables, 0, 3).Draw(t, "tables"),
			Relays:  rapid.SliceOfN(relays, 0, 3).Draw(t, "relays"),
			Labels:  rapid.MapOfN(text, text, 0, 3).Draw(t, "labels"),
			Proxy:   rapid.Ptr(relays, true).Draw(t, "proxy"),
			Ratio:   rapid.Float64Range(0, 1).Draw(t, "ratio"),
			Backend: listens().Draw(t, "backend"),
			Common:  testCommon{testLog{"classic"}},
		}
	})
}

func TestAnyConfigLoadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { mustLoadBack(t, configs().Draw(t, "config")) })
}

func TestFullFileLoadsBack(t *testing.T) {
	cfg := defaultTestConfig()
	if err := Load("testdata/full.good.yml", cfg); err != nil {
		t.Fatal(err)
	}
	mustLoadBack(t, cfg)
}

// TestDefaultsText compares the whole print with a golden file, since people
// read it.
func TestDefaultsText(t *testing.T) {
	cfg := defaultTestConfig()
	cfg.Relays = []relay{{"a", 1}, {"b", 2}}
	var buf bytes.Buffer
	if err := WriteDefaults(&buf, cfg); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "defaults.golden.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), buf.String()); diff != "" {
		t.Errorf("%s\n--- whole print:\n%s", diff, buf.String())
	}
}

func TestReference(t *testing.T) {
	byPath := map[string]Key{}
	for _, k := range Reference(defaultTestConfig()) {
		byPath[k.Path] = k
	}
	for path, want := range map[string]Key{
		"limits":            {Type: "section", Reload: true},
		"limits.timeout":    {Type: "duration", Default: "5m", Doc: "Patience.", Min: "1s", Max: "1h", Reload: true, Depth: 1},
		"listen":            {Type: "list of listener", Default: "[]"},
		"tables":            {Type: "map of section", Default: "{}"},
		"tables[NAME].kind": {Type: "string", Default: "flat", Doc: "Its format.", Allowed: []string{"flat", "regexp", "socketmap"}, Depth: 1},
		"relays[].port":     {Type: "whole number", Default: "0", Doc: "TCP port.", Min: "1", Max: "65535", Depth: 1},
		"proxy":             {Type: "section"},
		"proxy.host":        {Type: "string", Default: `""`, Doc: "Name or address.", Depth: 1},
		"log.style":         {Type: "string", Default: "json", Doc: "How lines look.", Allowed: []string{"json", "classic", "journald"}, Depth: 1},
		"tls.key_file":      {Type: "secret file", Default: `""`, Doc: "Private key in PEM.", Depth: 1},
	} {
		got := byPath[path]
		if want.Doc == "" {
			got.Doc, got.Example, got.Max = "", "", ""
		}
		want.Path = path
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestCheckDocs(t *testing.T) {
	if err := CheckDocs(defaultTestConfig()); err != nil {
		t.Error(err)
	}
	for want, cfg := range map[string]any{
		"key a needs a doc": struct {
			A int `yaml:"a"`
		}{},
		"key a[].b needs a doc": struct {
			A []struct {
				B int `yaml:"b" doc:"no full stop"`
			} `yaml:"a" doc:"A list."`
		}{},
		"key a: the example does not load": struct {
			A Duration `yaml:"a" doc:"A time." example:"5"`
		}{},
		"the defaults do not load": struct {
			A int `yaml:"a" doc:"A number." min:"1"`
		}{},
	} {
		if err := CheckDocs(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPaths(t *testing.T) {
	cfg := defaultTestConfig()
	if err := Load("testdata/full.good.yml", cfg); err != nil {
		t.Fatal(err)
	}
	want := []PathUse{
		{"listen[3]", "/run/x/lmtp", UseSocket},
		{"tls.cert_file", "/etc/tls/cert.pem", UseRead},
		{"tls.key_file", "/etc/tls/key.pem", UseRead},
		{"tables[users].file", "/etc/users", UseRead},
		{"tables[words].file", "/etc/words", UseRead},
		{"backend", "/run/y/auth", UseConnect},
		{"spool_dir", "/srv/spool", UseDir},
	}
	if diff := cmp.Diff(want, Paths(cfg)); diff != "" {
		t.Error(diff)
	}
}

func TestChanges(t *testing.T) {
	a, b := defaultTestConfig(), defaultTestConfig()
	b.Limits.Conns = 7
	b.Listen = []Listen{{Address: ":25"}}
	b.Common.Log.Style = "classic"
	want := []Change{
		{"listen", "[]", `[":25"]`, false},
		{"limits.connections", "100", "7", true},
		{"log.style", "json", "classic", false},
	}
	if diff := cmp.Diff(want, Changes(a, b)); diff != "" {
		t.Error(diff)
	}
	if Changes(a, defaultTestConfig()) != nil || Changes(a, testLog{}) != nil {
		t.Error("no change expected")
	}
}
