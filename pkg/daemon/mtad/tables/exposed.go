package tables

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// Exposed tells which of the files that are read can be changed or replaced by
// every local user, who then says where mail goes: the file itself, or a folder
// on the way to it, is writable for all. What cannot be looked at is left to
// whoever opens it.
func Exposed(uses []conf.PathUse) []string {
	var notes []string
	for _, use := range uses {
		if use.Use != conf.UseRead {
			continue
		}
		for path := filepath.Clean(use.Path); ; path = filepath.Dir(path) {
			if open(path) {
				notes = append(notes, fmt.Sprintf("table %s: every user of this machine can change it, since %s is writable for all", use.Path, path))
				break
			}
			if path == filepath.Dir(path) {
				break
			}
		}
	}
	slices.Sort(notes)
	return slices.Compact(notes)
}

// open reports whether everybody may write. In a folder with the sticky bit
// that means new files only.
func open(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o002 != 0 && (!info.IsDir() || info.Mode()&fs.ModeSticky == 0)
}
