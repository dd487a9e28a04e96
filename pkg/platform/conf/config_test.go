package conf

import (
	"net/netip"
	"time"
)

// testConfig uses every feature once; the files in testdata are written for it.
type testConfig struct {
	Hostname string            `yaml:"hostname" doc:"Name in greetings." example:"mx.example.org"`
	Listen   []Listen          `yaml:"listen" doc:"Where to accept connections." example:"[\"127.0.0.1:25\", \"systemd:smtp\"]"`
	Networks []netip.Prefix    `yaml:"networks" doc:"Networks that may relay." example:"192.0.2.0/24"`
	TLS      testTLS           `yaml:"tls" doc:"Certificates."`
	Limits   testLimits        `yaml:"limits" doc:"Bounds of sessions, to keep one peer from using up what others need, which is a long enough sentence to be wrapped." reload:"true"`
	Tables   map[string]table  `yaml:"tables" doc:"Lookup tables by name." example:"{users: {file: /etc/users}}"`
	Relays   []relay           `yaml:"relays" doc:"Next hops in order." max:"3"`
	Labels   map[string]string `yaml:"labels" doc:"Words by name."`
	Proxy    *relay            `yaml:"proxy" doc:"Hop for everything, if set."`
	Ratio    float64           `yaml:"ratio" doc:"A share." min:"0" max:"1"`
	Backend  Listen            `yaml:"backend" path:"connect" doc:"Socket to talk to." example:"[::1]:25"`
	Spool    string            `yaml:"spool_dir" path:"dir" doc:"Where files are kept."`
	Common   testCommon        `yaml:",inline"`
}

type testTLS struct {
	CertFile string     `yaml:"cert_file" path:"read" doc:"Certificate chain in PEM."`
	KeyFile  SecretFile `yaml:"key_file" doc:"Private key in PEM."`
	Require  bool       `yaml:"require_tls" doc:"Refuse plaintext."`
}

func (t *testTLS) Validate(p *Reporter) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		p.At("key_file").Hint("set both or none").Errorf("a certificate without a key, or a key without a certificate")
	}
}

type testLimits struct {
	Timeout  Duration `yaml:"timeout" doc:"Patience." min:"1s" max:"1h"`
	Message  Size     `yaml:"message" doc:"Largest message." min:"1KiB"`
	Conns    int      `yaml:"connections" doc:"Connections at a time." min:"1" max:"1000"`
	Port     uint16   `yaml:"port" doc:"A port."`
	FileMode FileMode `yaml:"file_mode" doc:"Mode of new files."`
}

type table struct {
	File string `yaml:"file" path:"read" doc:"The file."`
	Kind string `yaml:"kind" oneof:"flat|regexp|socketmap" doc:"Its format."`
}

func (t *table) Preset() { t.Kind = "flat" }

func (t table) Validate(p *Reporter) {
	if t.File == "" {
		p.At("file").Errorf("is missing")
	}
}

type relay struct {
	Host string `yaml:"host" doc:"Name or address."`
	Port int    `yaml:"port" doc:"TCP port." min:"1" max:"65535"`
}

type testCommon struct {
	Log testLog `yaml:"log" doc:"The log."`
}

type testLog struct {
	Style string `yaml:"style" oneof:"json|classic|journald" doc:"How lines look."`
}

func defaultTestConfig() *testConfig {
	return &testConfig{
		Limits: testLimits{
			Timeout: Duration(5 * time.Minute), Message: 50 << 20, Conns: 100, Port: 25, FileMode: 0o660,
		},
		Ratio:  0.5,
		Spool:  "/var/spool/x",
		Common: testCommon{Log: testLog{Style: "json"}},
	}
}
