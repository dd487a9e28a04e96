package conf

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBadFiles compares the mistakes found in each testdata/*.bad.yml with the
// text beside it.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, ".yml") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			err = Load(file, defaultTestConfig())
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			got := strings.ReplaceAll(problems.Error(), file, "") + "\n"
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGoodFilesLoad(t *testing.T) {
	for _, name := range []string{"empty", "section_without_keys"} {
		got := defaultTestConfig()
		if err := Load("testdata/"+name+".good.yml", got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(defaultTestConfig(), got); diff != "" {
			t.Errorf("%s changed a default: %s", name, diff)
		}
	}
}

func TestFullFile(t *testing.T) {
	got := defaultTestConfig()
	if err := Load("testdata/full.good.yml", got); err != nil {
		t.Fatal(err)
	}
	want := &testConfig{
		Hostname: "mx.example.org",
		Listen: []Listen{
			{Address: "127.0.0.1:25"},
			{Address: "[::1]:25"},
			{Address: "systemd:smtp"},
			{Address: "unix:/run/x/lmtp", Mode: 0o660, Group: "postfix", Allow: []string{"postfix", "1000"}},
		},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
		TLS:      testTLS{CertFile: "/etc/tls/cert.pem", KeyFile: "/etc/tls/key.pem", Require: true},
		Limits:   testLimits{Timeout: Duration(time.Hour), Message: 10e6, Conns: 1000, Port: 465, FileMode: 0o640},
		Tables:   map[string]table{"users": {"/etc/users", "flat"}, "words": {"/etc/words", "regexp"}},
		Relays:   []relay{{"a.example", 25}, {"b.example", 26}},
		Labels:   map[string]string{"a": "b", "yes": "no"},
		Proxy:    &relay{"p.example", 1},
		Ratio:    0.25,
		Backend:  Listen{Address: "unix:/run/y/auth"},
		Spool:    "/srv/spool",
		Common:   testCommon{testLog{"classic"}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestListsReplaceDefaults(t *testing.T) {
	cfg := &testConfig{Relays: []relay{{"a", 1}, {"b", 2}}, Labels: map[string]string{"a": "b"}}
	if err := Parse("x", []byte("relays: [{host: c}]\nlabels: {}"), cfg); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]relay{{Host: "c"}}, cfg.Relays); diff != "" || len(cfg.Labels) != 0 {
		t.Error(diff, cfg.Labels)
	}
}

func TestPeek(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	for _, tc := range []struct {
		content, want string
		line          int
	}{
		{"role: login\nfoo: [1]\n", "login", 1},
		{"# c\nfoo: {role: x}\nrole: session", "session", 3},
		{"foo: 1", "", 0},
		{"role: [a]", "", 0},
		{"", "", 0},
	} {
		if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, line, err := Peek(file, "role")
		if got != tc.want || line != tc.line || err != nil {
			t.Errorf("%q: %q line %d %v", tc.content, got, line, err)
		}
	}
	if err := os.WriteFile(file, []byte("role: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Peek(file, "role"); !errors.As(err, new(Problems)) {
		t.Errorf("broken YAML: %v", err)
	}
}

func TestFileIsCapped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(file, []byte(strings.Repeat("#", maxFile+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Load(file, defaultTestConfig()); !errors.As(err, new(Problems)) {
		t.Errorf("got %v", err)
	}
}

// TestSchemaMistakes finds what the author of a Config did wrong.
func TestSchemaMistakes(t *testing.T) {
	for name, into := range map[string]any{
		"time.Duration": &struct {
			A time.Duration `yaml:"a"`
		}{},
		"no key": &struct{ A int }{},
		"chan": &struct {
			A chan int `yaml:"a"`
		}{},
		"int key": &struct {
			A map[int]int `yaml:"a"`
		}{},
		"twice": &struct {
			A int `yaml:"a"`
			B int `yaml:"a"`
		}{},
		"bound": &struct {
			A Duration `yaml:"a" min:"5"`
		}{},
		"bound on bool": &struct {
			A bool `yaml:"a" min:"5"`
		}{},
		"path": &struct {
			A string `yaml:"a" path:"maybe"`
		}{},
	} {
		if err := Parse("x", nil, into); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := Parse("x", nil, testConfig{}); err == nil {
		t.Error("loading into a value that is no pointer: accepted")
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg := defaultTestConfig()
		if err := Parse("x", data, cfg); err != nil {
			if !errors.As(err, new(Problems)) {
				t.Fatalf("not a list of problems: %v", err)
			}
			return
		}
		// What was accepted can be written down and read again.
		mustLoadBack(t, cfg)
	})
}

// pair reports two mistakes at one key and one below another's.
type pair struct {
	A struct {
		B int `yaml:"b" doc:"A number."`
	} `yaml:"a" doc:"A section."`
}

func (pair) Validate(p *Reporter) {
	p.At("a").Errorf("first")
	p.At("a").Errorf("second")
	p.At("a.b").Errorf("third")
}

func TestEveryRuleIsHeard(t *testing.T) {
	into := &struct {
		Pair pair `yaml:"pair" doc:"A pair."`
	}{}
	err := Parse("f", []byte("pair: {}"), into)
	want := "f:1: pair.a: first\nf:1: pair.a: second\nf:1: pair.a.b: third"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
