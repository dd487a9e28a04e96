package lookup

import (
	"context"
	"io"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/pattern"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// source is what a table was written as: a file, or text in its name.
type source[T any] struct {
	name  string
	file  *text.File[T]
	fixed T
}

// openSource reads {{line}, {line}} now, and a file when it is needed.
func openSource[T any](name string, o Options, read func(*text.Lines) (T, error)) (source[T], error) {
	parse := func(in io.Reader, _ int64) (T, error) {
		return read(text.NewLines(shorten(name), in, o.Limits, o.Warn))
	}
	if !strings.HasPrefix(strings.TrimSpace(name), "{") {
		return source[T]{name: name, file: text.NewFile(name, o.Limits, o.Now, parse)}, absolute(name)
	}
	s := source[T]{name: shorten(name)}
	lines, err := inlineLines(name)
	if err == nil {
		s.fixed, err = parse(strings.NewReader(lines), 0)
	}
	return s, err
}

// inlineLines is the text of a file that would say the same.
func inlineLines(name string) (string, error) {
	content, err := braced(name)
	if err != nil {
		return "", err
	}
	list, err := fields(content)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, one := range list {
		line, err := braced(one)
		if err != nil {
			return "", fail.Wrap(fail.Invalid, err, "each line needs braces of its own")
		}
		b.WriteString(strings.ReplaceAll(line, "\n", " ") + "\n")
	}
	return b.String(), nil
}

// shorten is a name for messages.
func shorten(name string) string {
	const most = 80
	if len(name) <= most {
		return name
	}
	return name[:most] + "…"
}

func (s *source[T]) get() (T, error) {
	if s.file == nil {
		return s.fixed, nil
	}
	return s.file.Get()
}

// Patterned is true of all tables with a source like this.
func (*source[T]) Patterned() bool { return true }

// Check reports why the file cannot be read.
func (s *source[T]) Check(context.Context) error {
	_, err := s.get()
	return err
}

// expressions is a regexp or pcre table.
type expressions struct{ source[*pattern.Rules] }

func openRegexp(name string, o Options) (Table, error) {
	return openExpressions(name, o, pattern.ReadRegexp)
}

func openPCRE(name string, o Options) (Table, error) {
	return openExpressions(name, o, pattern.ReadPCRE)
}

func openExpressions(name string, o Options, read func(*text.Lines) (*pattern.Rules, error)) (Table, error) {
	s, err := openSource(name, o, func(l *text.Lines) (*pattern.Rules, error) {
		rules, err := read(l)
		if err == nil && o.NoGroups {
			rules.DropGroups(l.WarnAt)
		}
		return rules, err
	})
	return &expressions{s}, err
}

func (t *expressions) Lookup(ctx context.Context, key string) (string, error) {
	rules, err := t.get()
	if err != nil {
		return "", err
	}
	value, found, err := rules.Lookup(ctx, key)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", notFound(t.name)
	}
	return checked(t.name, value)
}

// networks is a cidr table.
type networks struct{ source[*pattern.Networks] }

func openCIDR(name string, o Options) (Table, error) {
	s, err := openSource(name, o, pattern.ReadCIDR)
	return &networks{s}, err
}

func (t *networks) Lookup(_ context.Context, key string) (string, error) {
	n, err := t.get()
	if err != nil {
		return "", err
	}
	value, found := n.Lookup(key)
	if !found {
		return "", notFound(t.name)
	}
	return checked(t.name, value)
}
