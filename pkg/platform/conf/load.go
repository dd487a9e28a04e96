package conf

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxFile caps a configuration file; a table belongs into a lookup file.
const maxFile = 1 << 20

// Load reads a configuration file into a pointer to a struct that is preset
// with defaults. Mistakes in the file come back all at once as Problems; any
// other error means that the file could not be read.
func Load(file string, into any) error {
	data, err := readCapped(file)
	if err != nil {
		return err
	}
	return Parse(file, data, into)
}

// Parse is Load for content that is in memory; name stands for the file in
// Problems. After an error the value holds what could be read.
func Parse(name string, data []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fail.New(fail.Permanent, "configuration %s: cannot load into %T", name, into)
	}
	v = v.Elem()
	if err := checkSchema(v.Type()); err != nil {
		return err
	}
	s := &sink{file: name, lines: map[string]int{}}
	if root := s.document(data); root != nil {
		d := &decoder{sink: s, root: v.Type()}
		d.value(root, v, field{}, "")
	}
	if !s.broken {
		s.validate(v)
	}
	if len(s.problems) == 0 {
		return nil
	}
	s.problems.sort()
	return s.problems
}

// Lines says where the keys of a file stand.
type Lines struct {
	file  string
	lines map[string]int
}

// LoadLines is Load that also tells where the keys stand.
func LoadLines(file string, into any) (Lines, error) {
	data, err := readCapped(file)
	if err != nil {
		return Lines{}, err
	}
	s := &sink{file: file, lines: map[string]int{}}
	if root := s.document(data); root != nil {
		d := &decoder{sink: s, root: reflect.TypeOf(into).Elem()}
		d.value(root, reflect.ValueOf(into).Elem(), field{}, "")
	}
	return Lines{file, s.lines}, nil
}

// Of is "file:line" of a dotted key, or of the nearest key around it that the
// file has; the empty string when the key is a default.
func (l Lines) Of(path string) string {
	for path != "" {
		if line, ok := l.lines[path]; ok {
			return l.file + ":" + strconv.Itoa(line)
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return ""
		}
		path = path[:cut]
	}
	return ""
}

// document parses the one YAML document of a file, nil when it is empty or
// no YAML.
func (s *sink) document(data []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := decodeNode(dec, &doc); err != nil {
		if !errors.Is(err, io.EOF) {
			s.syntax(err)
		}
		return nil
	}
	switch err := decodeNode(dec, &more); {
	case err == nil:
		s.add(more.Line, "", "remove everything from the second ---", "the file has more than one document")
	case !errors.Is(err, io.EOF):
		s.syntax(err)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil
	}
	return doc.Content[0]
}

// decodeNode keeps a fault of the YAML parser from ending the daemon.
func decodeNode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fail.New(fail.Invalid, "the YAML parser gave up: %v", r)
		}
	}()
	return dec.Decode(n)
}

// syntax reports text that is no YAML, with the line that the parser named.
func (s *sink) syntax(err error) {
	s.broken = true
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	hint := ""
	if strings.Contains(text, "tab") || strings.Contains(text, "cannot start any token") {
		hint = "indent with spaces; put quotes around values that begin with a special character"
	}
	s.add(line, "", hint, "not valid YAML: %s", text)
}

func readCapped(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "read configuration")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "read configuration %s", file)
	}
	if len(data) > maxFile {
		return nil, Problems{{File: file, Text: "the file is larger than 1 MiB"}}
	}
	return data, nil
}

// Peek returns the scalar at a top-level key and its line without reading the
// rest: the value of `role`, by which a daemon picks the struct to load into.
// A file that lacks the key yields "".
func Peek(file, key string) (value string, line int, err error) {
	data, err := readCapped(file)
	if err != nil {
		return "", 0, err
	}
	s := &sink{file: file}
	root := s.document(data)
	if s.broken {
		return "", 0, s.problems
	}
	if root == nil || root.Kind != yaml.MappingNode {
		return "", 0, nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if k, v := root.Content[i], root.Content[i+1]; k.Value == key && v.Kind == yaml.ScalarNode && !isNull(v) {
			return v.Value, v.Line, nil
		}
	}
	return "", 0, nil
}
