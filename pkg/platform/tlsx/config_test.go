package tlsx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

func TestConfigMistakes(t *testing.T) {
	type file struct {
		TLS Config `yaml:"tls" doc:"TLS."`
	}
	for text, want := range map[string]string{
		"tls: {cert_file: /a, key_file: /b}":                                            "",
		"tls: {cert_file: /a}":                                                          "belong together",
		"tls: {sni: [{cert_file: /a, key_file: /b}]}":                                   "needs a default pair",
		"tls: {cert_file: /a, key_file: /b, sni: [{cert_file: /c}]}":                    "belong together",
		"tls: {cert_file: /a, key_file: /b, min_version: \"1.1\"}":                      "min_version",
		"tls: {cert_file: /a, key_file: /b, min_version: \"1.3\", poll: 1m, sni: []}\n": "",
		"tls: {client_ca_file: /a}":                                                     "needs a certificate of our own",
		"tls: {cert_file: /a, key_file: /b, client_ca_file: /c}":                        "",
		"tls: {cert_file: /a, key_file: /b, cert_username_field: serialNumber}":         "cert_username_field",
		"tls: {cert_file: /a, key_file: /b, certfile: x}":                               "certfile",
	} {
		name := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := file{TLS: DefaultConfig()}
		err := conf.Load(name, &cfg)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if DefaultConfig().Enabled() || !(Config{CertFile: "x"}).Enabled() {
		t.Error("Enabled")
	}
}
