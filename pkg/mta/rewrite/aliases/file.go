package aliases

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// Caps on what is read.
const (
	maxFile  = 64 << 20
	maxValue = 4 << 20 // one right-hand side
)

// Problem is a line of a file that does not count.
type Problem struct {
	Line int
	Text string
}

// Parse reads the text of an aliases file. Names are in lower case; of a name
// that is there twice the first counts, as with Postfix. Lines that are not
// understood are reported and left out.
func Parse(source []byte) (map[string]string, []Problem) {
	table := map[string]string{}
	var problems []Problem
	bad := func(line int, format string, args ...any) {
		problems = append(problems, Problem{line, fmt.Sprintf(format, args...)})
	}
	for _, l := range logicalLines(source) {
		name, value, err := entry(l.text)
		switch {
		case err != "":
			bad(l.number, "%s", err)
		case table[name] != "":
			bad(l.number, "%s is there already, this one does not count", name)
		default:
			table[name] = value
		}
	}
	return table, problems
}

type logical struct {
	number int
	text   string
}

// logicalLines joins lines that begin with white space to the one before, and
// drops comments and empty lines; neither of those ends a logical line.
func logicalLines(text []byte) []logical {
	var out []logical
	for n := 1; len(text) > 0; n++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		trimmed := strings.TrimSpace(string(line))
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case (line[0] == ' ' || line[0] == '\t') && len(out) > 0:
			last := &out[len(out)-1]
			if len(last.text) < maxValue {
				last.text += " " + trimmed
			}
		default:
			out = append(out, logical{n, trimmed})
		}
	}
	return out
}

// entry splits `name: value`.
func entry(line string) (name, value, problem string) {
	if line[0] == '"' {
		var ok bool
		if name, value, ok = unquote(line); !ok {
			return "", "", "the quotes around the name do not end"
		}
		value = strings.TrimSpace(value)
		if !strings.HasPrefix(value, ":") {
			return "", "", "there is no colon behind the name"
		}
		value = value[1:]
	} else {
		var ok bool
		if name, value, ok = strings.Cut(line, ":"); !ok {
			return "", "", "want NAME: VALUE, there is no colon"
		}
		name = strings.TrimSpace(name)
	}
	value = strings.TrimSpace(value)
	switch {
	case name == "" || strings.ContainsAny(name, "\x00\r\n") || len(name) > 256:
		return "", "", "the name is empty or malformed"
	case strings.Contains(name, "@"):
		return "", "", fmt.Sprintf("%q: a name has no domain here; use a virtual alias", name)
	case value == "":
		return "", "", fmt.Sprintf("%q has no value", name)
	}
	return strings.ToLower(name), value, ""
}

// unquote reads the quoted string that s begins with.
func unquote(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// File is an aliases file as a table. It is read again when it has changed.
// It is safe for concurrent use.
type File struct {
	path string
	file *text.File[contents]
}

type contents struct {
	table    map[string]string
	problems []Problem
}

// Open reads a file; a file that cannot be read now is read when it is asked.
func Open(path string, now func() time.Time) *File {
	f := &File{path, text.NewFile(path, text.Limits{Size: maxFile}, now, parse)}
	_, _ = f.file.Get()
	return f
}

func parse(in io.Reader, _ int64) (c contents, err error) {
	whole, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err == nil {
		c.table, c.problems = Parse(whole)
	}
	return c, err
}

// Problems are the lines of the file that do not count.
func (f *File) Problems() []Problem {
	c, _ := f.file.Get()
	return c.problems
}

// Lookup implements lookup.Table.
func (f *File) Lookup(_ context.Context, key string) (string, error) {
	c, err := f.file.Get()
	if err != nil {
		return "", err
	}
	if v, ok := c.table[strings.ToLower(key)]; ok {
		return v, nil
	}
	return "", fail.New(fail.NotFound, "%s has no %q", f.path, key)
}

// Entries implements lookup.Lister, in the order of the names.
func (f *File) Entries(context.Context) iter.Seq2[lookup.Entry, error] {
	return func(yield func(lookup.Entry, error) bool) {
		c, err := f.file.Get()
		if err != nil {
			yield(lookup.Entry{}, err)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(c.table)) {
			if !yield(lookup.Entry{Key: name, Value: c.table[name]}, nil) {
				return
			}
		}
	}
}

func readCapped(path string, limit int64) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "aliases")
	}
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "aliases")
	}
	if int64(len(text)) > limit {
		return nil, fail.New(fail.Unavailable, "%s is larger than %d MiB", path, limit>>20)
	}
	return text, nil
}
