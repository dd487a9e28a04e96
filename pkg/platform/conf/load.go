package conf

import (
	"bytes"
	"errors"
	"io"
	"os"

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
// Problems.
func Parse(name string, data []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return Problems{{File: name, Text: err.Error()}}
	}
	return nil
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
		return nil, fail.New(fail.Invalid, "configuration %s is larger than %d bytes", file, maxFile)
	}
	return data, nil
}

// Peek returns the scalar at a top-level key without reading the rest: the
// value of `role`, by which a daemon picks the struct to load into. A file
// that lacks the key yields "".
func Peek(file, key string) (string, error) {
	data, err := readCapped(file)
	if err != nil {
		return "", err
	}
	var doc map[string]yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return "", Problems{{File: file, Text: err.Error()}}
	}
	return doc[key].Value, nil
}
