// Package conf reads configuration files: strict YAML into plain structs.
//
// A daemon's configuration is a struct with tags, preset with its defaults:
//
//	Timeout conf.Duration `yaml:"timeout" min:"1s" max:"1h" doc:"How long to wait for the peer."`
//
// Tags understood on a field:
//
//	yaml     the key; ",inline" on an embedded struct lifts its keys
//	doc      one or more sentences, printed by WriteDefaults and the manual
//	oneof    allowed values of a string, separated by |
//	min,max  bounds of a number, Duration or Size, or of the length of a list,
//	         map or string; they hold for what a file says, not for defaults
//	example  the YAML of a value, shown where the default is empty
//	path     how a path is used: read, write, dir, socket or connect
//	reload   "true" when SIGHUP applies a change of this key (and keys below)
//
// A struct may implement Validator for rules between fields. A type may
// implement encoding.TextUnmarshaler and TextMarshaler to be written as one
// string; a struct that does may be written as a mapping too. Entries of lists
// and maps start as the zero value, or as their method Preset() leaves them.
//
// Invariants: every mistake of a file is reported at once, with its line, its
// dotted path and a hint; an unknown or repeated key is a mistake; a list or a
// map in the file replaces the default, it never adds to it; what
// WriteDefaults prints loads back to the same value; no input can make Load
// panic or use memory out of proportion to the file, which is capped.
//
// Reading order: load.go (Load), decode.go (nodes to values), bounds.go (min
// and max), suggest.go (hints for typing errors), validate.go, types.go and
// listen.go (Duration, Size, Listen, Network), problem.go (mistakes), schema.go
// (structs as lists of keys), render.go (values to YAML), defaults.go
// (WriteDefaults), reference.go (the manual), paths.go, changes.go.
package conf
