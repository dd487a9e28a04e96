package conf

// Use is how a daemon uses a path.
type Use string

// The values of the tag `path`.
const (
	UseRead    Use = "read"    // a file, or a directory of files, that is read
	UseWrite   Use = "write"   // a file that is written and may have to be created
	UseDir     Use = "dir"     // a directory in which files are created
	UseSocket  Use = "socket"  // a Unix socket this daemon creates
	UseConnect Use = "connect" // a Unix socket of somebody else
)

// PathUse is one path in a configuration.
type PathUse struct {
	Key  string // dotted key path
	Path string // absolute
	Use  Use
}

// Paths lists every path in cfg and how it is used. A SecretFile is read, a
// Listen on "unix:" is a socket; other fields say it with the tag `path`.
// Values like "unix:/run/x" count without the prefix; unset ones and values
// that are no paths (host:port) are left out.
func Paths(_ any) []PathUse { return nil }
