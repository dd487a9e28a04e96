package conf

import (
	"encoding"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "300ms": 300 * time.Millisecond, "30s": 30 * time.Second, "1h30m": 90 * time.Minute,
		"5d": 120 * time.Hour, "2w": 336 * time.Hour, "1d 2h": 26 * time.Hour, "10 m": 10 * time.Minute,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%q: %v %v, want %v", text, d.Std(), err, want)
		}
	}
	for _, text := range []string{"", "5", "s", "-5s", "1.5h", "5 minutes", "5s,", "5S", "1s-2s", "1y", "99999999w", "9223372036854775807s", "1h5"} {
		if err := new(Duration).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "0B": 0, "512B": 512, "64KiB": 64 << 10, "50MiB": 50 << 20, "10MB": 10e6, "1 GiB": 1 << 30, "3kB": 3000, "3KB": 3000, "2TiB": 2 << 40,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.Int64() != want {
			t.Errorf("%q: %d %v, want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "5", "MiB", "-1B", "1.5MiB", "5M", "5mib", "5KiB5", "9999999TiB", "99999999999999999999B"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
}

func TestShortestText(t *testing.T) {
	for want, v := range map[string]encoding.TextMarshaler{
		"0s": Duration(0), "1h30m": Duration(90 * time.Minute), "5d": Duration(120 * time.Hour), "14d": Duration(336 * time.Hour),
		"1s500ms": Duration(1500 * time.Millisecond),
		"0B":      Size(0), "50MiB": Size(50 << 20), "10MB": Size(10e6), "1025B": Size(1025),
		"0660": FileMode(0o660), "2770": FileMode(0o2770),
	} {
		if got, err := v.MarshalText(); string(got) != want || err != nil {
			t.Errorf("%v: %s %v, want %s", v, got, err, want)
		}
	}
}

func TestTextFormsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, s, m := Duration(rapid.Int64Min(0).Draw(t, "d")), Size(rapid.Int64Min(0).Draw(t, "s")), FileMode(rapid.Uint32Range(0, 0o7777).Draw(t, "m"))
		var d2 Duration
		var s2 Size
		var m2 FileMode
		for text, into := range map[string]encoding.TextUnmarshaler{d.String(): &d2, s.String(): &s2, m.String(): &m2} {
			if err := into.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if d != d2 || s != s2 || m != m2 {
			t.Fatalf("%v %v %v became %v %v %v", d, s, m, d2, s2, m2)
		}
	})
}

func TestFileMode(t *testing.T) {
	for _, text := range []string{"", "66", "0o660", "668", "10000", "u=rw", "-660"} {
		if err := new(FileMode).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
	if FileMode(0o2770).Perm() != 0o770 {
		t.Error("Perm must hold permission bits only")
	}
}

func TestListenForms(t *testing.T) {
	for _, tc := range []struct{ address, unix, systemd, tcp string }{
		{"127.0.0.1:25", "", "", "127.0.0.1:25"},
		{":25", "", "", ":25"},
		{"unix:/run/x", "/run/x", "", ""},
		{"systemd:smtp", "", "smtp", ""},
		{"unix:", "", "", ""},
		{"", "", "", ""},
	} {
		l := Listen{Address: tc.address}
		if l.Unix() != tc.unix || l.Systemd() != tc.systemd || l.TCP() != tc.tcp {
			t.Errorf("%q: unix %q systemd %q tcp %q", tc.address, l.Unix(), l.Systemd(), l.TCP())
		}
	}
	for _, good := range []Listen{
		{Address: "127.0.0.1:0"},
		{Address: "[::1]:25"},
		{Address: "mx.example.org:25"},
		{Address: "unix:/x", Mode: 0o666, Group: "g", Allow: []string{"u"}},
		{Address: "systemd:x", Allow: []string{"u"}},
		{Address: ":25", AllowNetworks: []Network{MustNetwork("::/0")}},
		{Address: "systemd:x", AllowNetworks: []Network{MustNetwork("::1")}},
	} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, bad := range []Listen{
		{},
		{Address: "25"},
		{Address: "::1:25"},
		{Address: "x:"},
		{Address: "x:smtp"},
		{Address: "x:00"},
		{Address: "unix:x"},
		{Address: "unix:/" + strings.Repeat("a", 107)},
		{Address: "systemd:a b"},
		{Address: "systemd:a", Mode: 0o600},
		{Address: ":25", Allow: []string{"u"}},
		{Address: "unix:/x", AllowNetworks: []Network{MustNetwork("::/0")}},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v: accepted", bad)
		}
	}
}

func TestSecretFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{"a\n": "a", "a": "a", "a\r\n": "a", " a b \n\n": " a b \n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := SecretFile(file).Read(); got != want || err != nil {
			t.Errorf("%q: %q %v", content, got, err)
		}
	}
	for _, content := range []string{"", "\n", strings.Repeat("a", maxSecret+1)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := SecretFile(file).Read(); err == nil {
			t.Errorf("%d bytes: read %q", len(content), got)
		}
	}
	for _, bad := range []SecretFile{"", SecretFile(file + ".absent"), SecretFile(filepath.Dir(file))} {
		if _, err := bad.Read(); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

// A listener of the file is a whole one: nothing of the default's stays.
func TestListenReplacesDefault(t *testing.T) {
	type config struct {
		Listen Listen `yaml:"listen" doc:"x"`
	}
	c := config{Listen{Address: "unix:/run/x", Mode: 0o660, Group: "g"}}
	if err := Parse("f", []byte("listen: {address: \"systemd:x\", allow: [root]}\n"), &c); err != nil {
		t.Fatal(err)
	}
	if c.Listen.Mode != 0 || c.Listen.Group != "" || c.Listen.Address != "systemd:x" || len(c.Listen.Allow) != 1 {
		t.Errorf("%+v", c.Listen)
	}
}
