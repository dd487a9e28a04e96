package tablecmd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// defaultType is what a file without a type is to postmap.
const defaultType = "hash"

// Named is the command of Postfix that a program was called by, nil for none:
// postmap, and postalias, which reads files as aliases(5).
func Named(program string) *Tool {
	switch name := filepath.Base(program); name {
	case "postmap":
		return &Tool{Name: name}
	case "postalias":
		return &Tool{Name: name, Open: openAliases, afterKey: ":"}
	}
	return nil
}

// openAliases opens the types that Postfix builds as files of aliases.
func openAliases(spec string, o lookup.Options) (lookup.Table, error) {
	s, err := lookup.ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	switch s.Type {
	case "aliases", "hash", "btree", "cdb", "lmdb", "dbm", "sdbm", "texthash":
		return aliasFile{aliases.Open(s.Name, time.Now), s.Name, o}, nil
	}
	return lookup.Open(spec, o)
}

// aliasFile can be checked.
type aliasFile struct {
	*aliases.File
	path    string
	options lookup.Options
}

// Check reads the file and reports its bad lines.
func (f aliasFile) Check(ctx context.Context) error {
	if _, err := f.Lookup(ctx, "postmaster"); err != nil && !fail.Is(err, fail.NotFound) {
		return err
	}
	for _, p := range f.Problems() {
		f.options.Warn(text.Problem{Source: f.path, Line: p.Line, Text: p.Text})
	}
	return nil
}

// Postmap is postmap(1), or postalias(1): -q and -s ask and list; without them
// the files are checked, since mtad reads the text and nothing has to be built.
// t.Name names it. The exit code is 0 when what was asked for is there.
func (t *Tool) Postmap(ctx context.Context, args []string) int {
	o, rest, bad := postmapOptions(args)
	if bad != "" {
		fmt.Fprintf(t.Stderr, "%s: %s\n", t.Name, bad)
	}
	switch {
	case bad != "" || len(rest) == 0:
		return t.fatal(fail.New(fail.Invalid, "usage: %s [-q key | -s] [-f] [type:]file", t.Name))
	case o.modes() > 1:
		return t.fatal(fail.New(fail.Invalid, "specify only one of -s -q or -d"))
	}
	t.KeepCase = o.keepCase
	specs := make([]string, len(rest))
	for i, spec := range rest {
		if !strings.Contains(spec, ":") {
			spec = defaultType + ":" + spec
		}
		specs[i] = spec
	}
	specs = absolute(specs)
	var err error
	switch {
	case o.remove:
		return t.fatal(fail.New(fail.Invalid, "entries are removed from the text of a table, with an editor"))
	case o.query != nil:
		err = t.Query(ctx, specs, []string{*o.query})
		if fail.Is(err, fail.NotFound) {
			return 1
		}
	case o.list:
		err = t.Dump(ctx, specs)
	case o.input:
		return t.fatal(fail.New(fail.Invalid, "entries are added to the text of a table, with an editor"))
	default:
		_, err = t.Check(ctx, specs)
	}
	if err != nil {
		return t.fatal(err)
	}
	return 0
}

func (t *Tool) fatal(err error) int {
	fmt.Fprintf(t.Stderr, "%s: fatal: %s\n", t.Name, strings.ReplaceAll(err.Error(), "\n", " "))
	return 1
}

// postmapFlags are the options that mean something here.
type postmapFlags struct {
	query                         *string
	keepCase, list, input, remove bool
}

// modes is how many things are asked for that exclude each other.
func (o *postmapFlags) modes() int {
	n := 0
	for _, is := range []bool{o.query != nil, o.list, o.remove} {
		if is {
			n++
		}
	}
	return n
}

// postmapOptions reads options as getopt(3) does, and says in its words what
// is bad.
func postmapOptions(args []string) (o postmapFlags, rest []string, bad string) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		word := args[0]
		if args = args[1:]; word == "--" {
			break
		}
		for i := 1; i < len(word); i++ {
			switch c := word[i]; c {
			case 'q', 'd', 'c':
				value := word[i+1:]
				if value == "" {
					if len(args) == 0 {
						return o, nil, fmt.Sprintf("option requires an argument -- '%c'", c)
					}
					value, args = args[0], args[1:]
				}
				switch c {
				case 'q':
					o.query = &value
				case 'd':
					o.remove = true
				}
				i = len(word)
			case 'f':
				o.keepCase = true
			case 's':
				o.list = true
			case 'i':
				o.input = true
			case 'n', 'N', 'o', 'p', 'r', 'u', 'U', 'v', 'w', 'b', 'h', 'm', 'F':
				// About files that are built, or messages as keys.
			default:
				return o, nil, fmt.Sprintf("invalid option -- '%c'", c)
			}
		}
	}
	return o, args, ""
}
