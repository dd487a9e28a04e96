package queue

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every crash point that mtad's sources name is one at which a test of its
// package dies.
func TestEveryCrashPointIsTried(t *testing.T) {
	call := regexp.MustCompile(`disk\.Point\([^"]*"([a-z_.]+)"\)`)
	points := 0
	for _, pattern := range []string{"*.go", "*/*.go", "../*/*.go", "../*/*/*.go", "../../daemon/mtad/*.go", "../../daemon/mtad/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found := call.FindAllStringSubmatch(string(text), -1)
			if strings.Count(string(text), "disk.Point(") != len(found) {
				t.Errorf("%s: this test cannot read the name of a crash point", file)
			}
			for _, m := range found {
				points++
				if !named(t, filepath.Dir(file), m[1]) {
					t.Errorf("%s: no test dies at %s", file, m[1])
				}
			}
		}
	}
	if points < 20 {
		t.Errorf("only %d crash points were found", points)
	}
}

// named reports whether a test of a package has the point in its tables.
func named(t *testing.T, dir, point string) bool {
	t.Helper()
	tests, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, file := range tests {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"`+point+`"`) {
			return true
		}
	}
	return false
}
