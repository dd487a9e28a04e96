package mtad

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every configuration in the manual is one that loads.
func TestConfigurationsOfTheManual(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/mtad/*.md")
	if err != nil || len(pages) < 6 {
		t.Fatalf("pages: %v, %v", pages, err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	n := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			n++
			if _, problems := load(m[1]); problems != nil {
				t.Errorf("%s: %v\n%s", page, problems, m[1])
			}
		}
	}
	if n < 6 {
		t.Errorf("only %d configurations", n)
	}
}

// The transcripts and tests that the page about reports names exist, and it
// names all transcripts of the RFCs' examples.
func TestReportsOfTheManual(t *testing.T) {
	page, err := os.ReadFile("../../../docs/mtad/dsn.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "../../mta/bounce/*_test.go", "../../mta/queue/*_test.go", "../../mta/queue/item/*_test.go", "errormail/*_test.go"} {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9_]+\\.txt|Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1) {
		named[m[1]] = true
		if strings.HasSuffix(m[1], ".txt") {
			if _, err := os.Stat(filepath.Join("testdata", m[1])); err != nil {
				t.Errorf("no transcript %s", m[1])
			}
		} else if !strings.Contains(tests.String(), "func "+m[1]+"(t *testing.T)") {
			t.Errorf("no test %s", m[1])
		}
	}
	for _, family := range []string{"rfc3461", "rfc3464", "rfc6533", "dsn_", "postmaster_"} {
		files, err := filepath.Glob("testdata/" + family + "*.txt")
		if err != nil || len(files) == 0 {
			t.Errorf("no transcripts %s", family)
		}
		for _, f := range files {
			if !named[filepath.Base(f)] {
				t.Errorf("%s is not on the page", f)
			}
		}
	}
}
