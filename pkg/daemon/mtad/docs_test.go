package mtad

import (
	"os"
	"path/filepath"
	"regexp"
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
