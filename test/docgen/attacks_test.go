package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each test that docs/security.md names for an attack is there.
func TestAttacksHaveTheirTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## Attacks on mail transfer, and their tests\n")
	if !ok {
		t.Fatal("the section is missing")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| Attack") {
			continue
		}
		rows++
		t.Run(strings.TrimSpace(cells[1]), func(t *testing.T) {
			names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1)
			if len(names) == 0 && !strings.Contains(cells[2], "none: ") {
				t.Error("it has no test")
			}
			for _, name := range names {
				if !testExists(t, name[1]) {
					t.Errorf("there is no %s", name[1])
				}
			}
		})
	}
	if rows < 66 {
		t.Errorf("only %d rows", rows)
	}
}

// testExists looks for a transcript, or for "folder TestName".
func testExists(t *testing.T, name string) bool {
	folder, function, isFunction := strings.Cut(name, " ")
	pattern := filepath.Join("../..", folder)
	if isFunction {
		pattern = filepath.Join(pattern, "*_test.go")
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !isFunction || bytes.Contains(text, []byte("func "+function+"(")) {
			return true
		}
	}
	return false
}
