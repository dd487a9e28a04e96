package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
)

// The limits of docs/architecture.md, "Sizes and habits".
const (
	maxFileLines    = 700
	maxFuncLines    = 80
	maxPackageFiles = 15
)

// checkSizes walks the tree below root. Tests are held to the file limit
// only: a table of cases is long by nature.
func checkSizes(root string) ([]string, error) {
	var faults []string
	count := map[string]int{}
	hasDoc := map[string]bool{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if n := fset.Position(f.End()).Line; n > maxFileLines {
			faults = append(faults, fmt.Sprintf("%s: %d lines, the limit is %d", path, n, maxFileLines))
		}
		name := filepath.Base(path)
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		dir := filepath.Dir(path)
		if name == "doc.go" {
			hasDoc[dir] = true
		}
		if !strings.HasPrefix(name, "cmd_") {
			count[dir]++
		}
		faults = append(faults, checkFuncs(fset, path, f)...)
		return nil
	})
	for dir, n := range count {
		if n > maxPackageFiles {
			faults = append(faults, fmt.Sprintf("%s: %d files, the limit is %d: which noun is missing?", dir, n, maxPackageFiles))
		}
		if strings.HasPrefix(dir, "pkg/") && !hasDoc[dir] {
			faults = append(faults, dir+": no doc.go")
		}
	}
	sort.Strings(faults)
	return faults, err
}

func checkFuncs(fset *token.FileSet, path string, f *ast.File) []string {
	var faults []string
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
		if n > maxFuncLines && !isTable(fn) {
			faults = append(faults, fmt.Sprintf("%s: %s has %d lines, the limit is %d", path, fn.Name.Name, n, maxFuncLines))
		}
		if fn.Name.Name == "init" && fn.Recv == nil {
			faults = append(faults, path+": init function")
		}
	}
	return faults
}

// isTable: a function that only returns one composite literal is a table.
func isTable(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	r, ok := fn.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(r.Results) != 1 {
		return false
	}
	e := r.Results[0]
	if u, ok := e.(*ast.UnaryExpr); ok {
		e = u.X
	}
	_, ok = e.(*ast.CompositeLit)
	return ok
}
