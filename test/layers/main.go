package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	page := flag.String("page", "docs/architecture.md", "the page with the tables")
	sizes := flag.Bool("sizes", false, "check file, function and package sizes instead of imports")
	flag.Parse()
	var faults []string
	var err error
	if *sizes {
		faults, err = checkSizes(".")
	} else {
		faults, err = checkPlan(*page)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "layers:", err)
		os.Exit(2)
	}
	for _, f := range faults {
		fmt.Println(f)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
	fmt.Println("layers: ok")
}

func checkPlan(page string) ([]string, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	plan, err := readPlan(string(text))
	if err != nil {
		return nil, err
	}
	pkgs, err := listPackages("./...")
	if err != nil {
		return nil, err
	}
	faults := plan.checkImports(pkgs)
	for _, l := range plan.links {
		deps, err := listDeps("./cmd/" + l.binary)
		if err != nil {
			return nil, err
		}
		faults = append(faults, l.check(deps)...)
	}
	return faults, nil
}
