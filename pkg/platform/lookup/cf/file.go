package cf

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// maxFile caps the size of a file, maxSettings its lines.
const (
	maxFile     = 1 << 20
	maxSettings = 1000
)

// File is a file of settings, each "name = value", lines that begin with white
// space going on with the one before.
type File struct {
	source string
	warn   text.Warn
	values map[string]setting
	err    error // the first that a getter met
}

type setting struct {
	value string
	line  int
	used  bool
}

// Read reads settings; of two with the same name the last one counts. Errors:
// fail.Invalid.
func Read(source string, in io.Reader, warn text.Warn) (*File, error) {
	if warn == nil {
		warn = func(text.Problem) {}
	}
	f := &File{source: source, warn: warn, values: map[string]setting{}}
	l := text.NewLines(source, in, text.Limits{Size: maxFile, Entries: maxSettings}, warn)
	for {
		line, err := l.Next()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, err
		}
		name, value, found := bytes.Cut(line, []byte("="))
		key := string(bytes.TrimSpace(name))
		if !found || key == "" || strings.ContainsAny(key, " \t") {
			// Not the line itself: it may be a part of a password.
			return nil, fail.New(fail.Invalid, "%s, line %d: is not of the form name = value", source, l.Number())
		}
		if _, twice := f.values[key]; twice {
			l.Warnf("%.40s is set twice: this one counts", key)
		}
		f.values[key] = setting{string(bytes.TrimSpace(value)), l.Number(), false}
	}
}

// Text is the value of a setting, or def when it is not set.
func (f *File) Text(name, def string) string {
	s, set := f.values[name]
	if !set {
		return def
	}
	s.used = true
	f.values[name] = s
	return s.value
}

// Set reports whether a setting is there and not empty.
func (f *File) Set(name string) bool { return f.values[name].value != "" }

// Has reports whether a setting is there, if only with an empty value.
func (f *File) Has(name string) bool {
	_, set := f.values[name]
	return set
}

// List is a value with commas and white space between its parts.
func (f *File) List(name string) []string {
	return strings.FieldsFunc(f.Text(name, ""), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' })
}

// Number is a number from low to high.
func (f *File) Number(name string, def, low, high int) int {
	s := f.Text(name, "")
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		f.Failf(name, "it is not a number from %d to %d", low, high)
	}
	return n
}

// Bool is yes or no.
func (f *File) Bool(name string, def bool) bool {
	switch s := strings.ToLower(f.Text(name, "")); s {
	case "":
		return def
	case "yes":
		return true
	case "no":
		return false
	}
	f.Failf(name, "it is neither yes nor no")
	return def
}

// Failf notes what is wrong with a setting; the first one is Err.
func (f *File) Failf(name, format string, args ...any) {
	if f.err == nil {
		f.err = fail.Wrap(fail.Invalid, fail.New(fail.Invalid, format, args...), "%s, line %d: %s", f.source, f.values[name].line, name)
	}
}

// Fail is Failf for an error that is there already.
func (f *File) Fail(name string, err error) {
	if err != nil {
		f.Failf(name, "%v", err)
	}
}

// Ignore takes settings that change nothing here, or that are reported with
// a reason.
func (f *File) Ignore(why string, names ...string) {
	for _, name := range names {
		s, set := f.values[name]
		if !set {
			continue
		}
		s.used = true
		f.values[name] = s
		if why != "" {
			f.warn(text.Problem{Source: f.source, Line: s.line, Text: name + ": " + why})
		}
	}
}

// Err is the first mistake that getters met, after settings that nobody asked
// for were reported.
func (f *File) Err() error {
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if s := f.values[name]; !s.used {
			f.warn(text.Problem{Source: f.source, Line: s.line, Text: "there is no setting " + strconv.Quote(name) + ": it is ignored"})
		}
	}
	return f.err
}
