package main

import (
	"fmt"
	"os/exec"
	"strings"
)

func listDeps(pkg string) ([]string, error) {
	cmd := exec.Command("go", "list", "-deps", pkg)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps %s: %w", pkg, err)
	}
	return strings.Fields(string(out)), nil
}

// check names every dependency that the binary must not link. A rule covers
// the package it names and everything below it.
func (l link) check(deps []string) []string {
	var faults []string
	for _, d := range deps {
		own := strings.TrimPrefix(d, module)
		for _, n := range l.never {
			if own == n || strings.HasPrefix(own, n+"/") {
				faults = append(faults, fmt.Sprintf("%s links %s", l.binary, d))
			}
		}
	}
	return faults
}
