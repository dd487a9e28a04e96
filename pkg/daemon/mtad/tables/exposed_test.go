package tables

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// A table that everybody may change, or whose folder, is told of.
func TestExposedTables(t *testing.T) {
	dir := t.TempDir()
	var uses []conf.PathUse
	for name, mode := range map[string]os.FileMode{"private/own": 0o600, "private/shown": 0o644, "private/all": 0o666, "public/own": 0o600, "public/deep/own": 0o600, "sticky/own": 0o600} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		uses = append(uses, conf.PathUse{Path: path, Use: conf.UseRead})
	}
	for name, mode := range map[string]os.FileMode{"public": 0o777, "sticky": 0o777 | os.ModeSticky} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	uses = append(uses, conf.PathUse{Path: filepath.Join(dir, "public", "socket"), Use: conf.UseConnect}, conf.PathUse{Path: filepath.Join(dir, "nowhere/x"), Use: conf.UseRead})
	var got []string
	for _, note := range Exposed(uses) {
		note = strings.ReplaceAll(note, dir+"/", "")
		table, _, _ := strings.Cut(strings.TrimPrefix(note, "table "), ":")
		got = append(got, table+" by "+strings.TrimSuffix(note[strings.LastIndex(note, "since ")+6:], " is writable for all"))
	}
	want := []string{"private/all by private/all", "public/deep/own by public", "public/own by public"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
