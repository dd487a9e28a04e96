package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "compare instead of writing")
	dir := flag.String("dir", "docs", "folder of the documentation")
	flag.Parse()
	files, err := generate(apps())
	if err == nil && *check {
		err = compare(*dir, files)
	} else if err == nil {
		err = write(*dir, files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

// folders hold generated files only.
func folders() []string { return []string{"man", "config"} }

func write(dir string, files map[string][]byte) error {
	for _, name := range sortedNames(files) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	surplus, err := surplusFiles(dir, files)
	for _, name := range surplus {
		err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
	}
	return err
}

// compare lists every file that `make docs` would change.
func compare(dir string, files map[string][]byte) error {
	var stale []string
	for _, name := range sortedNames(files) {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, files[name]) {
			stale = append(stale, name)
		}
	}
	surplus, err := surplusFiles(dir, files)
	if err != nil {
		return err
	}
	if stale = append(stale, surplus...); len(stale) > 0 {
		return fmt.Errorf("run `make docs`, these are stale: %s", strings.Join(stale, " "))
	}
	return nil
}

func surplusFiles(dir string, files map[string][]byte) ([]string, error) {
	var surplus []string
	for _, folder := range folders() {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if name := filepath.Join(folder, e.Name()); files[name] == nil {
				surplus = append(surplus, name)
			}
		}
	}
	return surplus, nil
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
