package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// event is one line of `go test -json` (cmd/test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // in place of Package where a build speaks
	Test       string
	Output     string
}

// pkg is what a package has said so far.
type pkg struct {
	own     strings.Builder             // lines of no test
	open    map[string]*strings.Builder // by test, until it ends
	order   []string                    // of open, by their beginning
	failed  strings.Builder
	skipped []string
}

// digest writes to w what the events in r amount to, a package as soon as it ends.
func digest(r io.Reader, w io.Writer) error {
	pkgs := map[string]*pkg{}
	skips := 0
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			skips += take(pkgs, line, w)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if skips > 0 {
		fmt.Fprintf(w, "%d skipped\n", skips)
	}
	return nil
}

// take handles one line, and returns how many skipped tests it told of.
func take(pkgs map[string]*pkg, line []byte, w io.Writer) int {
	var e event
	if json.Unmarshal(line, &e) != nil {
		// go test passes on what is not its own, a linker's complaint for one.
		w.Write(line)
		return 0
	}
	if e.Action == "build-output" {
		io.WriteString(w, e.Output)
		return 0
	}
	p := pkgs[e.Package]
	if p == nil {
		p = &pkg{open: map[string]*strings.Builder{}}
		pkgs[e.Package] = p
	}
	if e.Test != "" {
		p.test(e)
		return 0
	}
	switch e.Action {
	case "output":
		p.own.WriteString(e.Output)
	case "pass", "fail", "skip":
		p.print(w, e.Action == "fail")
		delete(pkgs, e.Package)
		return len(p.skipped)
	}
	return 0
}

// test handles an event of a test.
func (p *pkg) test(e event) {
	said := p.open[e.Test]
	if said == nil {
		said = new(strings.Builder)
		p.open[e.Test] = said
		p.order = append(p.order, e.Test)
	}
	switch e.Action {
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			said.WriteString(e.Output)
		}
		return
	case "pass":
	case "fail":
		p.failed.WriteString(said.String())
	case "skip":
		p.skipped = append(p.skipped, e.Test+": "+reason(said.String()))
	default:
		return
	}
	said.Reset()
}

// reason is what a skipped test said, in one line, with its place.
func reason(said string) string {
	said, _, _ = strings.Cut(said, "--- SKIP")
	return strings.Join(strings.Fields(said), " ")
}

// print writes the package's lines: of failed tests and, where the package
// broke off, of those that never ended; the skipped ones; its own.
func (p *pkg) print(w io.Writer, failed bool) {
	io.WriteString(w, p.failed.String())
	if failed {
		for _, name := range p.order {
			io.WriteString(w, p.open[name].String())
		}
	}
	for _, line := range strings.SplitAfter(p.own.String(), "\n") {
		// With -json a package says PASS before its line of result; go test alone does not.
		if line != "PASS\n" {
			io.WriteString(w, line)
		}
	}
	for _, s := range p.skipped {
		fmt.Fprintf(w, "    skipped %s\n", s)
	}
}
