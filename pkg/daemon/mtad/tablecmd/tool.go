package tablecmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/postcote/postcote/pkg/daemon/mtad/tables"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// Tool works with tables for somebody at a terminal, or a script.
type Tool struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Name           string // of the program, for messages
	KeepCase       bool   // keys are looked for as they are
	Quiet          bool   // no values are printed

	// Open puts other tables in place of those that mtad has; nil: its own.
	Open func(spec string, o lookup.Options) (lookup.Table, error)

	afterKey string // printed between a key and the tab before its value

	mu       sync.Mutex
	problems int
}

// maxKeys is how long a line of keys from standard input may be.
const maxKeys = 1 << 20

// warn prints a problem.
func (t *Tool) warn(p text.Problem) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problems++
	fmt.Fprintf(t.Stderr, "%s: warning: %s\n", t.Name, p)
}

// with opens the tables for f and closes them afterwards.
func (t *Tool) with(specs []string, f func(lookup.Maps) error) error {
	set := tables.New(tables.Events{Problem: t.warn})
	defer func() { _ = set.Close() }()
	o := set.Options()
	o.KeepCase = t.KeepCase
	open := t.Open
	if open == nil {
		open = lookup.Open
	}
	var m lookup.Maps
	for _, spec := range specs {
		one, err := open(spec, o)
		if err != nil {
			return err
		}
		m = append(m, one)
	}
	return f(m)
}

// Query prints the value of each key that one of the tables has; "-" stands for
// the lines of standard input. A single key's value is printed alone, others
// after their keys and a tab. Errors: fail.NotFound when no key is there, or
// that of the table that could not be asked.
func (t *Tool) Query(ctx context.Context, specs, keys []string) error {
	return t.with(specs, func(m lookup.Maps) error {
		q := query{t, m, len(keys) > 1, false}
		for _, key := range keys {
			if err := q.ask(ctx, key); err != nil {
				return err
			}
		}
		if !q.found {
			return fail.New(fail.NotFound, "not found")
		}
		return nil
	})
}

// query is one Query.
type query struct {
	*Tool
	maps  lookup.Maps
	pairs bool
	found bool
}

func (q *query) ask(ctx context.Context, key string) error {
	if key == "-" {
		return q.lines(ctx)
	}
	value, err := q.maps.Lookup(ctx, key)
	switch {
	case fail.Is(err, fail.NotFound):
		return nil
	case err != nil:
		return err
	}
	q.found = true
	switch {
	case q.Quiet:
	case q.pairs:
		_, err = fmt.Fprintf(q.Stdout, "%s%s\t%s\n", key, q.afterKey, value)
	default:
		_, err = fmt.Fprintln(q.Stdout, value)
	}
	return err
}

func (q *query) lines(ctx context.Context) error {
	q.pairs = true
	in := bufio.NewScanner(q.Stdin)
	in.Buffer(nil, maxKeys)
	for in.Scan() {
		if key := in.Text(); key != "" && key != "-" {
			if err := q.ask(ctx, key); err != nil {
				return err
			}
		}
	}
	return in.Err()
}

// Dump prints all entries of the tables. Errors: fail.Invalid for a table that
// has no list.
func (t *Tool) Dump(ctx context.Context, specs []string) error {
	return t.with(specs, func(m lookup.Maps) error {
		out := bufio.NewWriter(t.Stdout)
		for i, one := range m {
			l, ok := one.(lookup.Lister)
			if !ok {
				return fail.New(fail.Invalid, "the entries of %.200s cannot be listed", specs[i])
			}
			for e, err := range l.Entries(ctx) {
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "%s%s\t%s\n", e.Key, t.afterKey, e.Value)
			}
		}
		return out.Flush()
	})
}

// Check reads files, asks servers, and prints what is wrong. problems is how
// many mistakes there are that leave the rest of a table in use. Errors: a
// table cannot be asked.
func (t *Tool) Check(ctx context.Context, specs []string) (problems int, err error) {
	var errs []error
	for _, spec := range specs {
		err := t.with([]string{spec}, func(m lookup.Maps) error { return lookup.Check(ctx, m[0]) })
		if err != nil {
			errs = append(errs, fail.Wrap(fail.KindOf(err), err, "%.200s", strings.TrimSpace(spec)))
		}
	}
	return t.problems, errors.Join(errs...)
}

// files are the types of table whose content can be read without asking anybody.
var files = []string{"texthash", "hash", "btree", "dbm", "sdbm", "cdb", "lmdb", "inline", "regexp", "pcre", "cidr"}

// Problems are what Check finds in those of the tables that are files, and that
// are there.
func Problems(specs []string) []string {
	var out strings.Builder
	t := &Tool{Name: "table", Stderr: &out}
	for _, spec := range readable(specs) {
		if _, err := t.Check(context.Background(), []string{spec}); err != nil {
			fmt.Fprintf(&out, "table: %v\n", err)
		}
	}
	text := strings.ReplaceAll(out.String(), "table: warning: ", "table ")
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// maxRemarks is how many remarks are made about the values of one table.
const maxRemarks = 20

// Remarks are what judge says about the values of those of the tables that are
// files, that are there and can be listed; no more than 20 a table.
func Remarks(specs []string, judge func(value string) []string) (out []string) {
	t := &Tool{Stderr: io.Discard} // Problems has what else is wrong
	for _, spec := range readable(specs) {
		_ = t.with([]string{spec}, func(m lookup.Maps) error {
			l, ok := m[0].(lookup.Lister)
			if !ok {
				return nil
			}
			made := 0
			for e, err := range l.Entries(context.Background()) {
				if err != nil {
					return err
				}
				for _, remark := range judge(e.Value) {
					if made++; made > maxRemarks {
						return nil
					}
					out = append(out, fmt.Sprintf("table %s: %.200s: %s", spec, e.Key, remark))
				}
			}
			return nil
		})
	}
	return out
}

// readable are the tables that are files, and that are there.
func readable(specs []string) (out []string) {
	for _, spec := range specs {
		kind, path, _ := strings.Cut(spec, ":")
		if !slices.Contains(files, kind) {
			continue
		}
		if _, err := os.Stat(path); err == nil || kind == "inline" {
			out = append(out, spec)
		}
	}
	return out
}
