package cf

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Domains is the setting `domain`: keys other than user@domain of one of them
// are not there, and nothing is asked.
type Domains struct{ entries []entry }

// entry is some names in a row, or one table.
type entry struct {
	names  map[string]bool
	table  lookup.Table
	negate bool
}

// maxDomains caps the names of the setting and its files.
const maxDomains = 100_000

// ParseDomains reads names, "!name" for all but it, "/file" with more of them
// and "type:name" for a table. The first that fits decides.
func ParseDomains(list []string, o lookup.Options) (Domains, error) {
	var d Domains
	err := d.parse(list, o, false, 0)
	return d, err
}

func (d *Domains) parse(list []string, o lookup.Options, negate bool, depth int) error {
	for _, one := range list {
		not := negate
		for strings.HasPrefix(one, "!") {
			one, not = one[1:], !not
		}
		switch {
		case strings.HasPrefix(one, "/"):
			more, err := readDomains(one)
			if err == nil && depth > 2 {
				err = fail.New(fail.Invalid, "%s: files name files that name files", one)
			}
			if err == nil {
				err = d.parse(more, o, not, depth+1)
			}
			if err != nil {
				return err
			}
		case strings.Contains(one, ":") && !strings.HasPrefix(one, "["):
			t, err := lookup.Open(one, o)
			if err != nil {
				return err
			}
			d.entries = append(d.entries, entry{table: t, negate: not})
		default:
			d.add(lookup.Fold(one), not)
		}
		if len(d.entries) > maxDomains {
			return fail.New(fail.Invalid, "there are more than %d domains", maxDomains)
		}
	}
	return nil
}

func (d *Domains) add(name string, negate bool) {
	if n := len(d.entries); n > 0 && d.entries[n-1].names != nil && d.entries[n-1].negate == negate {
		d.entries[n-1].names[name] = true
		return
	}
	d.entries = append(d.entries, entry{names: map[string]bool{name: true}, negate: negate})
}

// readDomains returns the words of a file without its comments.
func readDomains(path string) ([]string, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "domain")
	}
	defer func() { _ = in.Close() }()
	all, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil || len(all) > maxFile {
		return nil, fail.New(fail.Unavailable, "%s cannot be read, or is larger than %d bytes", path, maxFile)
	}
	var words []string
	for line := range strings.Lines(string(all)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			words = append(words, strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' })...)
		}
	}
	return words, nil
}

// Allow reports whether key may be looked for. An error means that it is not
// known.
func (d Domains) Allow(ctx context.Context, key Address) (bool, error) {
	if d.entries == nil {
		return true, nil
	}
	if !key.Eligible() {
		return false, nil
	}
	domain := lookup.Fold(key.Domain())
	for _, e := range d.entries {
		found := e.names[domain]
		if e.table != nil {
			_, err := e.table.Lookup(ctx, domain)
			if err != nil && !fail.Is(err, fail.NotFound) {
				return false, err
			}
			found = err == nil
		}
		if found {
			return !e.negate, nil
		}
	}
	return false, nil
}
