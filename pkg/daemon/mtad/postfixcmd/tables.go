package postfixcmd

import (
	"bufio"
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

const (
	postmapUsage   = "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."
	postaliasUsage = "usage: postalias [-Nfinoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."

	// defaultType is Debian's default_database_type; its text source is what
	// is read.
	defaultType = "hash"
	maxAliases  = 64 << 20
)

// table is what postmap and postalias do with one.
type table struct {
	lookup func(ctx context.Context, key string) (string, error)
	list   func(yield func(key, value string) error) error
	check  func() error
}

// tableRun is a command line of postmap or postalias.
type tableRun struct {
	query    string
	hasQuery bool
	list     bool
	keepCase bool
}

// postmap is postmap(1). mtad reads its tables from their text, so that
// building one only looks for mistakes.
func (t *tool) postmap(ctx context.Context, args []string) int {
	return t.tables(ctx, args, postmapUsage, "%s\t%s\n", t.openTable)
}

// postalias is postalias(1), the same for aliases(5).
func (t *tool) postalias(ctx context.Context, args []string) int {
	return t.tables(ctx, args, postaliasUsage, "%s:\t%s\n", t.openAliases)
}

func (t *tool) tables(ctx context.Context, args []string, usage, form string, open func(spec string, keepCase bool) (*table, error)) int {
	opts, specs, bad := getopt(args, "bc:d:fFhimnNopq:rsuUvw")
	if bad != 0 {
		t.say("invalid option -- '%c'", bad)
		return t.fatal(exitError, "%s", usage)
	}
	var r tableRun
	for _, o := range opts {
		switch o.letter {
		case 'c':
			t.configure(o.value)
		case 'q':
			r.query, r.hasQuery = o.value, true
		case 's':
			r.list = true
		case 'f':
			r.keepCase = true
		case 'd', 'i', 'r':
			return t.fatal(exitError, "-%c: mtad reads tables from their text: edit the file, and it is read again by itself", o.letter)
		case 'b', 'h', 'm', 'F':
			return t.fatal(exitError, "-%c is not supported", o.letter)
		}
	}
	if len(specs) == 0 {
		return t.fatal(exitError, "%s", usage)
	}
	found := !r.hasQuery
	for _, spec := range specs {
		tab, err := open(spec, r.keepCase)
		if err != nil {
			return t.fatal(exitError, "%v", err)
		}
		switch {
		case r.hasQuery && r.query == "-":
			var hit bool
			if hit, err = t.queryAll(ctx, tab, form); hit {
				found = true
			}
		case r.hasQuery:
			var value string
			if value, err = tab.lookup(ctx, r.query); err == nil {
				t.printf("%s\n", value)
				return exitOK
			}
		case r.list:
			err = tab.list(func(key, value string) error {
				t.printf(form, key, value)
				return nil
			})
		default:
			err = tab.check()
		}
		if err != nil && !fail.Is(err, fail.NotFound) {
			return t.fatal(exitError, "%v", err)
		}
	}
	if !found {
		return exitError
	}
	return exitOK
}

// queryAll looks up the keys on standard input.
func (t *tool) queryAll(ctx context.Context, tab *table, form string) (found bool, err error) {
	in := bufio.NewScanner(t.Stdin)
	for in.Scan() {
		value, err := tab.lookup(ctx, in.Text())
		switch {
		case err == nil:
			found = true
			t.printf(form, in.Text(), value)
		case !fail.Is(err, fail.NotFound):
			return found, err
		}
	}
	return found, in.Err()
}

// split gives a table without a type the default one, and a path that is
// relative to the folder of the caller its full form.
func split(spec string) (kind, name string, err error) {
	kind, name, ok := strings.Cut(spec, ":")
	if !ok {
		kind, name = defaultType, spec
	}
	if name != "" && name[0] != '/' && name[0] != '{' && !strings.Contains(name, ":") && kind != "static" && kind != "unix" && kind != "environ" {
		name, err = filepath.Abs(name)
	}
	return kind, name, err
}

func (t *tool) openTable(spec string, keepCase bool) (*table, error) {
	kind, name, err := split(spec)
	if err != nil {
		return nil, err
	}
	m, err := lookup.Open(kind+":"+name, lookup.Options{KeepCase: keepCase, Now: t.Now, Drivers: t.Drivers, Warn: func(p text.Problem) {
		t.warn("%s", p)
	}})
	if err != nil {
		return nil, err
	}
	return &table{
		lookup: m.Lookup,
		check:  func() error { return lookup.Check(context.Background(), m) },
		list: func(yield func(key, value string) error) error {
			l, ok := m.(lookup.Lister)
			if !ok {
				return fail.New(fail.Invalid, "table %s cannot be listed", spec)
			}
			for e, err := range l.Entries(context.Background()) {
				if err == nil {
					err = yield(e.Key, e.Value)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}

func (t *tool) openAliases(spec string, _ bool) (*table, error) {
	_, name, err := split(spec)
	if err != nil {
		return nil, err
	}
	content, err := disk.ReadFile(t.FS, name, maxAliases)
	if err != nil {
		return nil, err
	}
	entries, problems := aliases.Parse(content)
	for _, p := range problems {
		t.warn("%s, line %d: %s", name, p.Line, p.Text)
	}
	return &table{
		lookup: func(_ context.Context, key string) (string, error) {
			if value, ok := entries[strings.ToLower(key)]; ok {
				return value, nil
			}
			return "", fail.New(fail.NotFound, "%s: not found", name)
		},
		check: func() error { return nil },
		list: func(yield func(key, value string) error) error {
			for _, key := range slices.Sorted(maps.Keys(entries)) {
				if err := yield(key, entries[key]); err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}

// newaliases is newaliases(1): it looks for mistakes in the files of aliases
// that are configured; they need not be built.
func (t *tool) newaliases(context.Context, []string) int {
	set, err := t.settings()
	if err != nil {
		return t.fatal(exitUnavailable, "%v", err)
	}
	for _, file := range set.Aliases {
		if _, err := t.openAliases(file, false); err != nil {
			return t.fatal(exitUnavailable, "%v", err)
		}
	}
	return exitOK
}
