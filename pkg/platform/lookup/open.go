package lookup

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// Driver makes a table of a type that is not of this package. It reads the
// name only; what cannot be reached is an error of lookups.
type Driver func(name string, o Options) (Table, error)

// Options are what tables need beside their names. The zero value is good.
type Options struct {
	// KeepCase leaves keys as they are (postmap -f). Tables of patterns never
	// change them.
	KeepCase bool
	// NoGroups leaves out rules of regexp and pcre tables whose result has a
	// part of the key ($1): where a result may be a command or the name of a
	// file, as in aliases, that part is the sender's choice.
	NoGroups bool
	// Warn is told of lines that do not count. It may be called concurrently;
	// nil tells nobody.
	Warn text.Warn
	// Drivers are further types by name.
	Drivers map[string]Driver
	// Share lets tables with the same name be one: it returns the table of
	// that name, which open makes. nil: each is its own.
	Share func(name string, open func() (Table, error)) (Table, error)
	// Limits cap text files.
	Limits text.Limits
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	depth int // tables around this one
}

// maxDepth is how deep tables may stand in tables.
const maxDepth = 8

// maxMembers is how many tables one may be made of.
const maxMembers = 100

// builtins are the types of this package.
func builtins() map[string]Driver {
	return map[string]Driver{
		"texthash": openText, "hash": openText, "btree": openText, "cdb": openText, "lmdb": openText, "dbm": openText, "sdbm": openText,
		"inline": openInline, "static": openStatic, "fail": openFail, "environ": openEnviron, "randmap": openRandom,
		"unionmap": openUnion, "pipemap": openPipe, "unix": openUnix,
		"regexp": openRegexp, "pcre": openPCRE, "cidr": openCIDR,
	}
}

// Open makes the table that spec names. Files and servers are not asked yet:
// one that is not there is an error of each lookup, and may come back.
// Errors: fail.Invalid.
func Open(spec string, o Options) (Table, error) {
	s, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	if o.depth++; o.depth > maxDepth {
		return nil, fail.New(fail.Invalid, "table %.80q: tables stand in tables more than %d deep", spec, maxDepth)
	}
	driver := builtins()[s.Type]
	if driver == nil {
		driver = o.Drivers[s.Type]
	}
	if driver == nil {
		return nil, fail.New(fail.Invalid, "table %.80q: there is no type %q (there are %s)", spec, s.Type, strings.Join(o.Types(), ", "))
	}
	open := func() (Table, error) {
		t, err := driver(s.Name, o)
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "table %.200s", s)
		}
		return t, nil
	}
	if o.Share == nil {
		return open()
	}
	name := s.String()
	if o.KeepCase {
		name = asItIs + name
	}
	switch s.Type {
	case "regexp", "pcre", "unionmap", "pipemap": // it is the same to the others
		if o.NoGroups {
			name = withoutGroups + name
		}
	}
	return o.Share(name, open)
}

// Marks before the names that Share hears, of tables that differ from others of
// the same name.
const (
	asItIs        = "as it is "
	withoutGroups = "without groups "
)

// SpecOf is the table behind a name that Share has heard.
func SpecOf(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, withoutGroups), asItIs)
}

// Types are the names of all types, in order.
func (o Options) Types() []string {
	all := builtins()
	maps.Copy(all, o.Drivers)
	return slices.Sorted(maps.Keys(all))
}

// OpenAll makes several tables, which are asked in this order.
func OpenAll(specs []string, o Options) (Maps, error) {
	var all Maps
	for _, spec := range specs {
		t, err := Open(spec, o)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// Split takes apart a list of tables as Postfix writes one: with commas and
// white space, but not inside braces.
func Split(list string) ([]string, error) { return fields(list) }
