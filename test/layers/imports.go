package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sort"
	"strings"
)

const module = "github.com/postcote/postcote/"

type pkgInfo struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func listPackages(pattern string) ([]pkgInfo, error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", pattern).Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", pattern, err)
	}
	var pkgs []pkgInfo
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkgInfo
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
}

// place splits an import path of this module into layer and package; ok is
// false for paths outside pkg/.
func place(path string) (layerName, rest string, ok bool) {
	p, ours := strings.CutPrefix(path, module+"pkg/")
	if !ours {
		return "", "", false
	}
	layerName, rest, _ = strings.Cut(p, "/")
	return layerName, rest, true
}

// rank is the column of a package in its layer's row: the longest listed
// prefix counts. -1 when it is not listed.
func (l *layer) rank(rest string) int {
	best, at := -1, -1
	for i, name := range l.order {
		if (rest == name || strings.HasPrefix(rest, name+"/")) && len(name) > best {
			best, at = len(name), i
		}
	}
	return at
}

func (p *plan) checkImports(pkgs []pkgInfo) []string {
	var faults []string
	for _, pkg := range pkgs {
		from, fromRest, ok := place(pkg.ImportPath)
		if !ok {
			continue
		}
		l := p.layers[from]
		if l == nil {
			faults = append(faults, fmt.Sprintf("%s: pkg/%s is not a layer of the plan", pkg.ImportPath, from))
			continue
		}
		if len(l.order) > 0 && l.rank(fromRest) < 0 {
			faults = append(faults, fmt.Sprintf("%s: not in the row of layer %s", pkg.ImportPath, from))
		}
		for _, imp := range pkg.Imports {
			if f := p.checkImport(l, pkg.ImportPath, fromRest, imp); f != "" {
				faults = append(faults, f)
			}
		}
	}
	sort.Strings(faults)
	return faults
}

func (p *plan) checkImport(l *layer, path, fromRest, imp string) string {
	if strings.HasPrefix(imp, module) && !strings.HasPrefix(imp, module+"pkg/") {
		return fmt.Sprintf("%s imports %s: pkg/ stands on pkg/ only", path, imp)
	}
	to, toRest, ok := place(imp)
	switch {
	case !ok:
		return ""
	case to != l.name:
		if !l.below[to] {
			return fmt.Sprintf("%s imports %s: %s is not below %s", path, imp, to, l.name)
		}
	case l.leftwards && l.rank(toRest) > l.rank(fromRest):
		return fmt.Sprintf("%s imports %s: it stands to the right in the row of %s", path, imp, l.name)
	}
	return ""
}
