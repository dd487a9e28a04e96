package conf

import (
	"fmt"
	"sort"
	"strings"
)

// Problem is one mistake in a configuration file.
type Problem struct {
	File string
	Line int    // 1 for the first line; 0 when the mistake has no line
	Path string // dotted key path, such as "tls.cert_file" or "listen[2].mode"
	Text string // what is wrong
	Hint string // what to write instead, may be empty
}

// String renders "file:line: path: text (hint)".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Text)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems are all mistakes of one file, by line.
type Problems []Problem

// Error renders one mistake per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		if ps[i].Line != ps[j].Line {
			return ps[i].Line < ps[j].Line
		}
		return ps[i].Path < ps[j].Path
	})
}

// Validator is implemented by structs with rules between their fields. It is
// called on every nested struct that has it, innermost first, after the file
// was read; paths given to p are relative to the struct.
type Validator interface{ Validate(p *Reporter) }

// Reporter collects the mistakes a Validator finds.
type Reporter struct {
	sink *sink
	path string
	hint string
}

// sink is shared by all reporters of one file.
type sink struct {
	file     string
	lines    map[string]int // line of each key path in the file
	problems Problems
	broken   bool // the file is no YAML, values mean nothing
}

func (s *sink) add(line int, path, hint, format string, args ...any) {
	s.problems = append(s.problems, Problem{
		File: s.file, Line: line, Path: path, Hint: hint, Text: fmt.Sprintf(format, args...),
	})
}

// lineOf finds the line of a path, or of its nearest parent in the file.
func (s *sink) lineOf(path string) int {
	for path != "" {
		if line, ok := s.lines[path]; ok {
			return line
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return s.lines[""]
}

// At points at a key below the struct being validated: p.At("tls.cert_file")
// or p.At("users[%d].name", i).
func (p *Reporter) At(path string, args ...any) *Reporter {
	if len(args) > 0 {
		path = fmt.Sprintf(path, args...)
	}
	return &Reporter{sink: p.sink, path: join(p.path, path), hint: p.hint}
}

// Hint says what to write instead; it goes with the next Errorf of the result.
func (p *Reporter) Hint(format string, args ...any) *Reporter {
	return &Reporter{sink: p.sink, path: p.path, hint: fmt.Sprintf(format, args...)}
}

// Errorf reports a mistake at the key pointed at.
func (p *Reporter) Errorf(format string, args ...any) {
	p.sink.add(p.sink.lineOf(p.path), p.path, p.hint, format, args...)
}

func join(parent, key string) string {
	if parent == "" || key == "" || strings.HasPrefix(key, "[") {
		return parent + key
	}
	return parent + "." + key
}
