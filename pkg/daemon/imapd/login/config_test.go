package login

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "imapd-login.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	err := conf.Load(name, &cfg)
	return cfg, err
}

const certs = "role: login\ntls: {cert_file: /etc/postcote/tls/cert.pem, key_file: /etc/postcote/tls/key.pem}\n"

func TestConfig(t *testing.T) {
	for what, c := range map[string]struct{ text, want string }{
		"minimal":             {certs, ""},
		"no certificate":      {"role: login\n", "imaps.tls: there is no certificate"},
		"without TLS at all":  {"role: login\nimap: {tls: none}\npop3: {tls: none}\nimaps: {listen: \"\"}\npop3s: {listen: \"\"}\n", ""},
		"no listener":         {certs + "imap: {listen: \"\"}\nimaps: {listen: \"\"}\npop3: {listen: \"\"}\npop3s: {listen: \"\"}\n", "all listeners are off"},
		"relative socket":     {certs + "auth_socket: login\n", "auth_socket"},
		"dovecot over TCP":    {certs + "auth_socket: inet:10.0.0.1:9000\n", ""},
		"bad mode":            {certs + "imap: {tls: maybe}\n", "imap.tls"},
		"limits":              {certs + "limits: {connections: 10, without_login: 11}\n", "without_login"},
		"exempt networks":     {certs + "limits: {exempt: [\"192.0.2.0/24\"]}\n", ""},
		"greeting of 2 lines": {certs + "greeting: \"a\\r\\nb\"\n", "greeting"},
		"other role":          {"role: session\n", "role"},
	} {
		_, err := load(t, c.text)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDefaultsLoadBack(t *testing.T) {
	var out bytes.Buffer
	cfg := Default()
	if err := conf.WriteDefaults(&out, &cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, strings.Replace(out.String(), `cert_file: ""`, "cert_file: /c", 1)); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Fatalf("half a pair: %v", err)
	}
}

// TestExampleConfig: the shipped file says what it means.
func TestExampleConfig(t *testing.T) {
	cfg := Default()
	if err := conf.Load("../../../../deploy/config/imapd-login.yaml", &cfg); err != nil {
		t.Fatal(err)
	}
}
